/** A session of the `wasm` engine: the main thread's side of it. */

import type { LabeledImages } from "../../data/dataset.ts";
import type { Model } from "../../nn/sequential.ts";
import type {
  Device,
  EvaluationResult,
  Session,
  SessionOptions,
  TrainingState,
  TrainRequest,
  TrainResult,
} from "../backend.ts";
import { shardRange } from "../backend.ts";
import {
  checkImages,
  checkIndices,
  checkRequest,
  checkState,
  requireAttached,
  slotCount,
} from "../check_data.ts";
import { DataStore } from "./data_store.ts";
import { type Job, NO_WORK, writeJob } from "./job.ts";
import { type Build, compileKernels, createMemory, instantiateKernels } from "./kernels.ts";
import { type Layout, layOut } from "./layout.ts";
import { Runner } from "./runner.ts";
import { countCorrect, mean, nextSlice, nextTask, sum } from "./slices.ts";
import { Team, TeamFailedError } from "./team.ts";
import { WorkerPool } from "./worker_pool.ts";

/** The shard of a session that trains alone. */
const WHOLE = { index: 0, count: 1 };

/** Images of an evaluation's first slice, before its speed is known. */
const FIRST_SLICE = 512;

/** The parts of an open session. */
interface Engine {
  readonly memory: WebAssembly.Memory;
  readonly layout: Layout;
  readonly runner: Runner;
  readonly team: Team;
  readonly pool: WorkerPool;
  readonly data: DataStore;
}

/** Opens a session on the build asked for, or the best one. */
export async function openWasmSession(
  model: Model,
  options: SessionOptions,
  wantedBuild?: Build,
): Promise<Session> {
  const { optimizer, batchSize, threads = navigator.hardwareConcurrency, shard } = options;
  if (!Number.isInteger(threads) || threads < 1) {
    throw new RangeError(`Cannot use ${threads} threads: expected a whole number, 1 or more`);
  }
  const { module, build } = await compileKernels(wantedBuild);
  const memory = createMemory();
  const layoutOptions = { batchSize, threads, slotCount: slotCount(optimizer) };
  const layout = layOut(model, layoutOptions);
  const data = new DataStore(memory, layout.end);
  initialize(memory, layout);
  const team = new Team(memory, layout.control, threads);
  const kernels = instantiateKernels(module, memory);
  const pool = await WorkerPool.start({
    ...layoutOptions,
    module,
    memory,
    model,
    optimizer,
    shard: shard && { index: shard.index, count: shard.count },
  });
  const runner = new Runner({
    model,
    memory,
    kernels,
    layout,
    team,
    thread: 0,
    threads,
    optimizer,
    shard,
  });
  const device: Device = {
    kind: "cpu",
    description: `WebAssembly SIMD${build === "relaxed" ? ", fused multiply-add" : ""}`,
    threads,
    software: false,
  };
  return new WasmSession(model, {
    options,
    device,
    engine: { memory, layout, runner, team, pool, data },
  });
}

/** Writes what the kernels read and nobody changes. */
export function initialize(memory: WebAssembly.Memory, layout: Layout): void {
  for (const { shape, sizes } of layout.stages) {
    new Int32Array(memory.buffer, shape, sizes.length).set(sizes);
  }
  new Float32Array(memory.buffer, layout.ones, 8).fill(1);
}

class WasmSession implements Session {
  readonly device: Device;
  readonly #model: Model;
  readonly #options: SessionOptions;
  #engine: Engine | undefined;
  #step = 0;
  /** Images of a training's next slice, which outlives the call: many calls may be short. */
  #sliceImages = 1;

  constructor(
    model: Model,
    { options, device, engine }: { options: SessionOptions; device: Device; engine: Engine },
  ) {
    this.device = device;
    this.#model = model;
    this.#options = options;
    this.#engine = engine;
  }

  async loadState(state: TrainingState): Promise<void> {
    checkState(this.#model, this.#options.optimizer, state);
    const { layout } = this.#open();
    this.#vector(layout.parameters).set(state.parameters);
    for (const [index, address] of layout.slots.entries()) {
      const slot = this.#vector(address);
      if (state.slots[index]) slot.set(state.slots[index]);
      else slot.fill(0);
    }
    this.#step = state.step;
    await this.#run({ kind: "pack" });
  }

  readState(): Promise<TrainingState> {
    const { layout } = this.#open();
    return Promise.resolve({
      parameters: this.#vector(layout.parameters).slice(),
      slots: layout.slots.map((address) => this.#vector(address).slice()),
      step: this.#step,
    });
  }

  attach(data: LabeledImages): Promise<void> {
    checkImages(this.#model, data);
    this.#open().data.attach(data);
    return Promise.resolve();
  }

  async train(data: LabeledImages, request: TrainRequest): Promise<TrainResult> {
    const { data: store } = this.#open();
    requireAttached(store.has(data));
    const { order, batchSize, learningRates, signal, onProgress } = request;
    const { batchSize: maxBatchSize, shard = WHOLE } = this.#options;
    const steps = checkRequest(request, { count: data.count, maxBatchSize });
    const work = store.prepare(order, { learningRates });
    const losses = new Float32Array(steps);
    const corrects = new Uint32Array(steps);
    let done = 0;
    while (done < steps && !signal?.aborted) {
      const slice = Math.max(1, Math.floor(this.#sliceImages / batchSize));
      const count = Math.min(slice, steps - done);
      const first = done * batchSize;
      const start = performance.now();
      await this.#run({
        kind: "train",
        ...store.locate(data),
        ...work.from(first, Math.min(count * batchSize, order.length - first)),
        learningRates: work.learningRates + 4 * done,
        batchSize,
        step: this.#step,
      });
      // The rest of a call says little of how long a whole slice may be.
      if (count === slice) {
        this.#sliceImages = batchSize * nextSlice(count, performance.now() - start);
      }
      for (let step = done; step < done + count; step++) {
        const first = step * batchSize;
        const batch = Math.min(batchSize, order.length - first);
        const { start, end } = shardRange(batch, shard);
        const result = work.results(first + start, first + end);
        losses[step] = sum(result.losses) / batch;
        corrects[step] = countCorrect(
          result.predictions,
          order.subarray(first + start),
          data.labels,
        );
      }
      done += count;
      this.#step += count;
      onProgress?.(done);
      await nextTask();
    }
    return { steps: done, losses: losses.subarray(0, done), corrects: corrects.subarray(0, done) };
  }

  async evaluate(data: LabeledImages): Promise<EvaluationResult> {
    const { losses, predictions } = await this.#infer("evaluate", data);
    return { loss: mean(losses), predictions: predictions.slice() };
  }

  async predict(data: LabeledImages): Promise<Float32Array> {
    return (await this.#infer("predict", data)).logits.slice();
  }

  async gradients(data: LabeledImages, indices: Uint32Array) {
    const { data: store, layout } = this.#open();
    requireAttached(store.has(data));
    checkIndices(indices, data.count);
    const work = store.prepare(indices);
    const slice = work.from(0, indices.length);
    await this.#run({ kind: "gradients", ...store.locate(data), ...slice });
    return {
      loss: mean(work.results(0, indices.length).losses),
      gradients: this.#vector(layout.gradients).slice(),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const engine = this.#engine;
    this.#engine = undefined;
    engine?.team.close();
    await engine?.pool.end();
  }

  /** Runs the model forward over all images, some at a time. */
  async #infer(kind: "evaluate" | "predict", data: LabeledImages) {
    const { data: store } = this.#open();
    requireAttached(store.has(data));
    const { classCount } = this.#model;
    const order = Uint32Array.from({ length: data.count }, (_, index) => index);
    const work = store.prepare(order, { classCount: kind === "predict" ? classCount : 0 });
    let done = 0;
    for (let slice = FIRST_SLICE; done < data.count;) {
      const count = Math.min(slice, data.count - done);
      const start = performance.now();
      await this.#run({ kind, ...store.locate(data), ...work.from(done, count) });
      slice = Math.ceil(nextSlice(count, performance.now() - start) / FIRST_SLICE) * FIRST_SLICE;
      done += count;
      await nextTask();
    }
    return work.results(0, data.count);
  }

  async #run(job: Partial<Job> & Pick<Job, "kind">): Promise<void> {
    const { memory, layout, team, runner, pool } = this.#open();
    const whole: Job = { ...NO_WORK, ...job };
    writeJob(memory, layout.job, whole);
    team.announceJob();
    try {
      runner.run(whole);
    } catch (error) {
      team.fail();
      this.#engine = undefined;
      try {
        if (error instanceof TeamFailedError) await pool.failure();
        throw error;
      } finally {
        pool.terminate();
      }
    }
  }

  #open(): Engine {
    if (!this.#engine) throw new TypeError("Cannot use a session that was disposed or has failed");
    return this.#engine;
  }

  /** A vector as long as the parameters. */
  #vector(address: number): Float32Array {
    return new Float32Array(this.#open().memory.buffer, address, this.#model.parameterCount);
  }
}
