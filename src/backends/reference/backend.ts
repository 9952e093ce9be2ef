/** The `reference` backend: float64, one thread, plain loops; slow and obviously right. */

import type { Augmenter } from "../../data/augment.ts";
import type { LabeledImages } from "../../data/dataset.ts";
import { wholeBatchOf } from "../../nn/layers/table.ts";
import type { Model } from "../../nn/sequential.ts";
import { type Backend, type Device, type Shard, shardRange } from "../backend.ts";
import {
  type Engine,
  type EngineOptions,
  nextTask,
  type Pass,
  type Results,
  type Vectors,
  type Work,
} from "../engine.ts";
import { clipFactor } from "../../nn/optimizers.ts";
import { augmenterOf, changesOf, gatherImages } from "../gather.ts";
import { type Range, trainedRanges } from "../program.ts";
import { engineBackend } from "../session.ts";
import { forward, lossAndGradients } from "./network.ts";
import { updateParameters } from "./optimizer.ts";
import { softmaxCrossEntropy } from "./softmax_cross_entropy.ts";

/** Images that are taken at a time, so that memory stays bounded. */
const CHUNK_SIZE = 64;

/** The float64 oracle that every other backend is compared with.
 *
 * Its state is float64 but is read and loaded as float32, so that a run that was stopped and goes on
 * differs from an uninterrupted one by rounding.
 */
export const referenceBackend: Backend = engineBackend(
  "reference",
  (model, options) => Promise.resolve(new ReferenceEngine(model, options)),
);

class ReferenceEngine implements Engine<LabeledImages> {
  readonly device: Device = {
    kind: "cpu",
    description: "float64 TypeScript",
    threads: 1,
    software: false,
  };
  readonly inferenceBatch = CHUNK_SIZE;
  readonly batches = { first: 1, most: 1 };
  readonly stretchesInFlight = 1;
  readonly #model: Model;
  readonly #options: EngineOptions;
  #parameters: Float64Array;
  #statistics: Float64Array = new Float64Array();
  #gradients: Float64Array = new Float64Array();
  #slots: Float64Array[] = [];
  readonly #decays: Float64Array;
  readonly #augmenter: Augmenter | undefined;

  constructor(model: Model, options: EngineOptions) {
    this.#model = model;
    this.#options = options;
    this.#augmenter = augmenterOf(model, options);
    this.#parameters = new Float64Array(model.parameterCount);
    this.#decays = new Float64Array(model.parameterCount);
    for (const { decays, offset, size } of model.parameters) {
      this.#decays.fill(Number(decays), offset, offset + size);
    }
  }

  load({ parameters, statistics, slots }: Vectors): void {
    this.#parameters = Float64Array.from(parameters);
    this.#statistics = Float64Array.from(statistics);
    this.#slots = slots.map((slot) => Float64Array.from(slot));
  }

  read(): Promise<Vectors> {
    const [parameters, statistics, ...slots] = [
      this.#parameters,
      this.#statistics,
      ...this.#slots,
    ].map((vector) => Float32Array.from(vector));
    return Promise.resolve({ parameters, statistics, slots });
  }

  /** Nothing is copied. */
  attach(data: LabeledImages): LabeledImages {
    return data;
  }

  detach(): void {}

  begin(work: Work<LabeledImages>): Pass {
    const { order, batchSize } = work;
    const all = {
      losses: new Float64Array(order.length),
      predictions: new Uint8Array(order.length),
      logits: new Float32Array(work.kind === "predict" ? order.length * this.#model.classCount : 0),
    };
    return {
      run: async (first, count) => {
        for (let batch = first; batch < first + count; batch++) {
          const start = batch * batchSize;
          const range = { start, end: Math.min(start + batchSize, order.length) };
          if (work.kind === "train") await this.#train(work, range, all);
          else if (work.kind === "gradients") await this.#makeGradients(work, range, all);
          else this.#infer(work, range, all);
        }
      },
      read: () => Promise.resolve(all),
      end() {},
    };
  }

  readGradients(): Promise<Float32Array> {
    return Promise.resolve(Float32Array.from(this.#gradients));
  }

  dispose(): void {
    this.#parameters = this.#gradients = new Float64Array();
    this.#slots = [];
  }

  async #train(work: Work<LabeledImages>, range: Range, results: Results): Promise<void> {
    const { shard, optimizer, clipNorm } = this.#options;
    await this.#makeGradients(work, range, results);
    if (shard) sumOverShards(this.#gradients, shard);
    if (clipNorm !== undefined) {
      const squares = this.#gradients.reduce((sum, gradient) => sum + gradient ** 2, 0);
      const factor = clipFactor(Math.sqrt(squares), clipNorm);
      this.#gradients = this.#gradients.map((gradient) => factor * gradient);
    }
    const batch = range.start / work.batchSize;
    const numbers = { learningRate: work.learningRates[batch], step: work.step + batch + 1 };
    for (const { start, end } of trainedRanges(this.#model)) {
      const part = (vector: Float64Array) => vector.subarray(start, end);
      updateParameters(optimizer, {
        parameters: part(this.#parameters),
        gradients: part(this.#gradients),
        slots: this.#slots.map(part),
        decays: part(this.#decays),
      }, numbers);
    }
  }

  /** What this session's part of a batch makes of its gradients. */
  async #makeGradients(
    work: Work<LabeledImages>,
    { start, end }: Range,
    results: Results,
  ): Promise<void> {
    const { kind, batchSize } = work;
    const { seed, shard, targets } = this.#options;
    const own = kind === "train" ? shard : undefined;
    const part = own ? shardRange(end - start, own) : { start: 0, end: end - start };
    const context = {
      mode: "train",
      batchSize: end - start,
      statistics: kind === "train" ? this.#statistics : this.#statistics.slice(),
      seed,
      step: work.step + start / batchSize,
      sum: (values: Float64Array) => own && sumOverShards(values, own),
    } as const;
    const loss = { targets, divisor: work.divisors[start / batchSize] };
    this.#gradients = new Float64Array(this.#model.parameterCount);
    // What must know the whole batch takes part even where a shard has none of it.
    const isWhole = this.#model.layers.some((layer) => wholeBatchOf(layer) > 0);
    const size = isWhole ? Math.max(part.end - part.start, 1) : CHUNK_SIZE;
    for (let first = part.start; first < part.end || isWhole; first += size) {
      const place = start + first;
      const last = start + Math.min(first + size, part.end);
      const chunk = { ...context, ...this.#gather(work, place, last) };
      const result = lossAndGradients(this.#model, this.#parameters, chunk, loss);
      for (const [n, gradient] of result.gradients.entries()) this.#gradients[n] += gradient;
      results.losses.set(result.losses, place);
      results.predictions.set(result.predictions, place);
      await nextTask();
      if (isWhole) break;
    }
  }

  #infer(work: Work<LabeledImages>, { start, end }: Range, results: Results): void {
    const { labels, ...gathered } = this.#gather(work, start, end);
    const batch = {
      mode: "eval",
      batchSize: end - start,
      statistics: this.#statistics,
      ...{ seed: 0, step: 0, ...gathered },
      sum() {},
    } as const;
    const logits = forward(this.#model, this.#parameters, batch).at(-1)!;
    if (work.kind === "predict") return results.logits.set(logits, start * this.#model.classCount);
    const { losses, predictions } = softmaxCrossEntropy(logits, labels);
    results.losses.set(losses, start);
    results.predictions.set(predictions, start);
  }

  /** Images of a batch, or a part of one, as the model's input, and their labels. */
  #gather(work: Work<LabeledImages>, start: number, end: number) {
    const { images: { images: pixels, labels, count }, order, batchSize } = work;
    const indices = order.subarray(start, end);
    const images = new Float64Array(indices.length * pixels.length / count);
    const changeOf = changesOf(this.#augmenter, work, Math.floor(start / batchSize));
    gatherImages(this.#model, pixels, images, { indices, changeOf });
    return { images, indices, labels: Uint8Array.from(indices, (index) => labels[index]) };
  }
}

/** Replaces numbers of this part of a batch by those of the whole. */
function sumOverShards(values: Float64Array, shard: Shard): void {
  const sums = Float32Array.from(values);
  shard.sum(sums);
  values.set(sums);
}
