/** The one session of all backends: what an engine does not have to know. */

import type { LabeledImages } from "../data/dataset.ts";
import type { Model } from "../nn/sequential.ts";
import {
  type Backend,
  type BackendName,
  type Device,
  type EvaluationResult,
  type Session,
  shardRange,
  type TrainingState,
  type TrainRequest,
  type TrainResult,
  type Unlabeled,
} from "./backend.ts";
import {
  checkImages,
  checkIndices,
  checkOptions,
  checkRequest,
  checkSmallestBatch,
  checkState,
  notAttached,
} from "./check_data.ts";
import { Calls, nextStretch } from "./calls.ts";
import { batchDivisors } from "../nn/loss.ts";
import { slotCount } from "../nn/optimizers.ts";
import { type Engine, type EngineOptions, nextTask, type Results, type Work } from "./engine.ts";

/** How long an engine works before the event loop gets a turn. */
const STRETCH_MS = 100;

/** The shard of a session that trains alone. */
const WHOLE = { index: 0, count: 1 };

/** A backend whose sessions run on an engine.
 *
 * @param open Opens the engine; its options have been checked.
 */
export function engineBackend<Images>(
  name: BackendName,
  open: (model: Model, options: EngineOptions) => Promise<Engine<Images>>,
): Backend {
  return {
    name,
    async open(model, options) {
      const checked = checkOptions(model, options);
      return new EngineSession(await open(model, checked), model, checked);
    },
  };
}

/** A model on an engine.
 *
 * Work is cut into stretches of about 100 ms, after each of which the event loop takes a turn, progress
 * is told, and a signal or the session's disposal ends the work. How it is cut changes no result.
 */
export class EngineSession<Images> implements Session {
  readonly device: Device;
  readonly #engine: Engine<Images>;
  readonly #model: Model;
  readonly #options: EngineOptions;
  readonly #attached = new Map<LabeledImages, Images>();
  /** Images of the next stretch, which outlives the call: many calls may be short. */
  readonly #stretch: Record<"train" | "infer", number>;
  #step = 0;
  readonly #calls = new Calls();

  constructor(engine: Engine<Images>, model: Model, options: EngineOptions) {
    this.device = engine.device;
    this.#engine = engine;
    this.#model = model;
    this.#options = options;
    const { batches, inferenceBatch } = engine;
    this.#stretch = { train: batches.first, infer: batches.first * inferenceBatch };
  }

  loadState(state: TrainingState): Promise<void> {
    return this.#calls.make("loadState", async () => {
      const { optimizer } = this.#options;
      checkState(this.#model, optimizer, state);
      const slots = Array.from(
        { length: slotCount(optimizer) },
        (_, slot) => state.slots[slot] ?? new Float32Array(this.#model.parameterCount),
      );
      const { parameters, statistics = new Float32Array() } = state;
      await this.#engine.load({ parameters, statistics, slots });
      this.#step = state.step;
    });
  }

  readState(): Promise<TrainingState> {
    return this.#calls.make("readState", async () => {
      const { statistics, ...vectors } = await this.#engine.read();
      return { ...vectors, ...(statistics.length > 0 && { statistics }), step: this.#step };
    });
  }

  attach(data: LabeledImages): Promise<boolean> {
    return this.#calls.make("attach", async () => {
      checkImages(this.#model, data);
      if (this.#attached.has(data)) return false;
      this.#attached.set(data, await this.#engine.attach(data));
      return true;
    });
  }

  detach(data: LabeledImages): Promise<void> {
    return this.#calls.make("detach", () => {
      const images = this.#attached.get(data);
      if (images !== undefined) this.#engine.detach(images);
      this.#attached.delete(data);
      return Promise.resolve();
    });
  }

  train(data: LabeledImages, request: TrainRequest): Promise<TrainResult> {
    return this.#calls.make("train", async () => {
      const images = this.#attached.get(data);
      if (images === undefined) throw notAttached();
      const { batchSize: maxBatchSize } = this.#options;
      checkRequest(request, { model: this.#model, count: data.count, maxBatchSize });
      const { order, batchSize, learningRates } = request;
      const divisors = this.#divisors(data, request);
      const work = { kind: "train", images, order, batchSize, learningRates, divisors } as const;
      const { done, results } = await this.#run(work, request);
      return this.#sum(data, request, { done, results, divisors });
    });
  }

  evaluate(data: LabeledImages): Promise<EvaluationResult> {
    return this.#calls.make("evaluate", async () => {
      const { losses, predictions } = await this.#infer("evaluate", data);
      return { loss: sum(losses) / losses.length, predictions: Uint8Array.from(predictions) };
    });
  }

  predict(data: Unlabeled): Promise<Float32Array> {
    return this.#calls.make("predict", async () => (await this.#infer("predict", data)).logits);
  }

  gradients(data: LabeledImages, indices: Uint32Array) {
    return this.#calls.make("gradients", async () => {
      const images = this.#attached.get(data);
      if (images === undefined) throw notAttached();
      checkIndices(indices, data.count);
      checkSmallestBatch(this.#model, indices.length, indices.length);
      const batch = {
        order: indices,
        batchSize: indices.length,
        learningRates: new Float32Array(),
      };
      const divisors = this.#divisors(data, batch);
      const { results } = await this.#run({ kind: "gradients", images, ...batch, divisors });
      const loss = sum(results.losses) / divisors[0];
      return { loss, gradients: await this.#engine.readGradients() };
    });
  }

  /** Waits for a call that has not ended, which ends with an error after its stretch. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!await this.#calls.close()) return;
    this.#attached.clear();
    await this.#engine.dispose();
  }

  /** Runs the model forward over all images; those that are not attached are so for this call alone. */
  async #infer(
    kind: "evaluate" | "predict",
    data: Unlabeled,
  ): Promise<Results> {
    const known = this.#attached.get(data as LabeledImages);
    if (known === undefined) checkImages(this.#model, data, kind === "evaluate");
    // What a prediction gives depends on no label.
    const labels = kind === "evaluate" ? data.labels! : new Uint8Array(data.count);
    const images = known ?? await this.#engine.attach({ ...data, labels });
    try {
      const order = Uint32Array.from({ length: data.count }, (_, index) => index);
      const batches = { order, batchSize: this.#engine.inferenceBatch };
      const training = { learningRates: new Float32Array(), divisors: new Float64Array() };
      const work = { kind, images, ...batches, ...training };
      return (await this.#run(work)).results;
    } finally {
      if (known === undefined) this.#engine.detach(images);
    }
  }

  /** Carries batches through the engine, a stretch of them at a time. */
  async #run(
    work: Omit<Work<Images>, "step">,
    { signal, onProgress }: Pick<TrainRequest, "signal" | "onProgress"> = {},
  ): Promise<{ readonly done: number; readonly results: Results }> {
    const { order, batchSize } = work;
    const { stretchesInFlight, batches: { most } } = this.#engine;
    const batches = Math.ceil(order.length / batchSize);
    const mode = work.kind === "train" ? "train" : "infer";
    const pass = await this.#engine.begin({ ...work, step: this.#step });
    const inFlight: (() => Promise<void>)[] = [];
    let [submitted, done, lastEnd] = [0, 0, 0];
    let reading: Promise<Results> | undefined;
    const submit = () => {
      const whole = Math.min(most, Math.max(1, Math.floor(this.#stretch[mode] / batchSize)));
      const count = Math.min(whole, batches - submitted);
      const start = performance.now();
      const ended = pass.run(submitted, count);
      ended.catch(() => {}); // heard below, unless one before it failed
      submitted += count;
      const isLast = submitted === batches;
      if (mode === "train") this.#step += count;
      inFlight.push(async () => {
        await ended;
        if (isLast) await reading;
        const now = performance.now();
        const elapsedMs = now - Math.max(start, lastEnd);
        lastEnd = now;
        // The rest of a call says little of how long a whole stretch may be.
        if (count === whole) {
          this.#stretch[mode] = batchSize * nextStretch(count, elapsedMs, STRETCH_MS);
        }
        done += count;
        onProgress?.(done);
        await nextTask();
        this.#calls.requireOpen();
      });
    };
    try {
      while (submitted < batches && !signal?.aborted) {
        submit();
        if (submitted < batches && inFlight.length >= stretchesInFlight) await inFlight.shift()!();
      }
      const finish = async () => {
        while (inFlight.length > 0) await inFlight.shift()!();
      };
      if (stretchesInFlight === 1) await finish();
      const places = Math.min(submitted * batchSize, order.length);
      reading = pass.read(places);
      const [results] = await Promise.all([reading, finish()]);
      return { done: submitted, results };
    } finally {
      pass.end();
    }
  }

  #divisors({ labels }: LabeledImages, batches: Pick<TrainRequest, "order" | "batchSize">) {
    return batchDivisors({ ...batches, labels }, this.#options.targets);
  }

  /** Sums up what came of each step's images: of this session's part of them. */
  #sum(
    { labels }: LabeledImages,
    { order, batchSize }: TrainRequest,
    { done, results, divisors }: {
      readonly done: number;
      readonly results: Results;
      readonly divisors: Float64Array;
    },
  ): TrainResult {
    const losses = new Float32Array(done);
    const corrects = new Uint32Array(done);
    for (let step = 0; step < done; step++) {
      const first = step * batchSize;
      const batch = Math.min(batchSize, order.length - first);
      const { start, end } = shardRange(batch, this.#options.shard ?? WHOLE);
      losses[step] = sum(results.losses.subarray(first + start, first + end)) / divisors[step];
      for (let place = first + start; place < first + end; place++) {
        if (results.predictions[place] === labels[order[place]]) corrects[step]++;
      }
    }
    return { steps: done, losses, corrects };
  }
}

/** Made in order, so that it is the same however often it is made. */
function sum(values: Float32Array | Float64Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
