/** A session of the `webgpu` engine: everything lives on the device until it is asked for. */

import type { LabeledImages } from "../../data/dataset.ts";
import type { Model } from "../../nn/sequential.ts";
import {
  type Device,
  type EvaluationResult,
  type Session,
  type SessionOptions,
  shardRange,
  type TrainingState,
  type TrainRequest,
  type TrainResult,
} from "../backend.ts";
import { checkImages, checkIndices, checkRequest, checkState } from "../check_data.ts";
import { type Batch, cutBatch, stepNumbers } from "./chunk.ts";
import { CommandStream, type Job } from "./command_stream.ts";
import { type CompiledKernel, Compiler } from "./compiler.ts";
import { DataStore, type DeviceImages } from "./data_store.ts";
import type { Gpu } from "./gpu.ts";
import { type KernelTime, timeJob } from "./kernel_timer.ts";
import { gatherImages } from "./kernels/gather_images.ts";
import { storeLogits } from "./kernels/softmax_cross_entropy.ts";
import { buildNetwork, type Network } from "./network.ts";
import { packParameters, unpackParameters } from "./parameter_layout.ts";
import { runShardSteps } from "./shard_steps.ts";
import type { Tuning } from "./tuning.ts";
import { WorkBuffers } from "./work_buffers.ts";

/** The parts of an open session. */
interface Engine {
  readonly gpu: Gpu;
  readonly network: Network;
  readonly stream: CommandStream;
  readonly compiler: Compiler;
  readonly data: DataStore;
  readonly work: WorkBuffers;
}

/** Kernels, and the buffers of a data set and a call that they are bound to. */
interface BoundKernels {
  readonly order: GPUBuffer;
  readonly buffers: DeviceImages;
  readonly kernels: readonly CompiledKernel[];
}

/** The only part of a batch. */
const WHOLE = { index: 0, count: 1 };

/** What {@linkcode openWebgpuSession} needs beyond what every backend does. */
export interface WebgpuSessionOptions extends SessionOptions {
  readonly tuning: Tuning;
  /** Most bytes of a buffer of images; default: all that the device can bind. */
  readonly bytesPerBuffer?: number;
}

/** Opens a session on a device, which it then owns. */
export async function openWebgpuSession(
  gpu: Gpu,
  model: Model,
  { tuning, bytesPerBuffer, ...options }: WebgpuSessionOptions,
): Promise<WebgpuSession> {
  const { network, stream, work } = await gpu.guard(
    `make room for batches of ${options.batchSize}`,
    () => ({
      network: buildNetwork(gpu, model, { ...options, tuning }),
      stream: new CommandStream(gpu),
      work: new WorkBuffers(gpu),
    }),
  );
  const compiler = new Compiler(gpu, stream.chunks);
  const { training, evaluation } = network;
  await compiler.compile([...training.before, ...training.after, ...evaluation.before]);
  const data = new DataStore(gpu, bytesPerBuffer);
  const engine = { gpu, network, stream, compiler, data, work };
  return new WebgpuSession(model, { options, tuning, engine });
}

/** See {@linkcode openWebgpuSession}. */
export class WebgpuSession implements Session {
  readonly device: Device;
  readonly #model: Model;
  readonly #options: SessionOptions;
  readonly #tuning: Tuning;
  /** The kernels of the last training and evaluation, which are bound to their data. */
  readonly #bound: Partial<Record<"training" | "evaluation", BoundKernels>> = {};
  #engine: Engine | undefined;
  #step = 0;

  /** Takes over an engine. */
  constructor(
    model: Model,
    { options, tuning, engine }: { options: SessionOptions; tuning: Tuning; engine: Engine },
  ) {
    const { name, software } = engine.gpu;
    this.device = { kind: "gpu", description: `WebGPU on ${name}`, threads: 1, software };
    this.#model = model;
    this.#options = options;
    this.#tuning = tuning;
    this.#engine = engine;
  }

  // deno-lint-ignore require-await -- so that what a check throws rejects
  async loadState(state: TrainingState): Promise<void> {
    checkState(this.#model, this.#options.optimizer, state);
    const { gpu: { device: { queue } }, network } = this.#open();
    const { layout, parameters, slots } = network;
    queue.writeBuffer(parameters, 0, packParameters(layout, state.parameters) as BufferSource);
    for (const [index, slot] of slots.entries()) {
      const values = state.slots[index] ?? new Float32Array(this.#model.parameterCount);
      queue.writeBuffer(slot, 0, packParameters(layout, values) as BufferSource);
    }
    this.#step = state.step;
  }

  async readState(): Promise<TrainingState> {
    const { parameters, slots } = this.#open().network;
    const [first, ...rest] = await this.#readVectors([parameters, ...slots]);
    return { parameters: first, slots: rest, step: this.#step };
  }

  async attach(data: LabeledImages): Promise<void> {
    checkImages(this.#model, data);
    await this.#open().data.attach(data);
  }

  async train(data: LabeledImages, request: TrainRequest): Promise<TrainResult> {
    const { data: store, stream } = this.#open();
    store.find(data);
    const { order, batchSize, learningRates } = request;
    const maxBatchSize = this.#options.batchSize;
    const steps = checkRequest(request, { count: data.count, maxBatchSize });
    const kernels = await this.#kernels(data, order, "training");
    const firstStep = this.#step + 1;
    const { shard } = this.#options;
    const batchOf = (step: number) => {
      const first = step * batchSize;
      return { first, count: Math.min(batchSize, order.length - first) };
    };
    const numbersOf = (step: number) =>
      stepNumbers(this.#options.optimizer, {
        learningRate: learningRates[step],
        step: firstStep + step,
      });
    const { submitted: done, finished } = shard
      ? await runShardSteps(
        { ...this.#open(), kernels, model: this.#model },
        { steps, batchOf, numbersOf, shard },
        request,
      )
      : await stream.run(
        steps,
        (step) => this.#jobs({ ...batchOf(step), update: true, ...numbersOf(step) }, kernels),
        request,
      );
    this.#step += done;
    const places = Math.min(done * batchSize, order.length);
    const [{ losses, predictions }] = await Promise.all([this.#readResults(places), finished]);
    const result = {
      steps: done,
      losses: new Float32Array(done),
      corrects: new Uint32Array(done),
    };
    for (let step = 0; step < done; step++) {
      const { first, count } = batchOf(step);
      const part = shardRange(count, shard ?? WHOLE);
      const [start, end] = [first + part.start, first + part.end];
      result.losses[step] = sum(losses.subarray(start, end)) / count;
      for (let place = start; place < end; place++) {
        if (predictions[place] === data.labels[order[place]]) result.corrects[step]++;
      }
    }
    return result;
  }

  async evaluate(data: LabeledImages): Promise<EvaluationResult> {
    this.#open().data.find(data);
    const { finished } = await this.#infer(data);
    const [{ losses, predictions }] = await Promise.all([this.#readResults(data.count), finished]);
    return { loss: mean(losses), predictions: Uint8Array.from(predictions) };
  }

  async predict(data: LabeledImages): Promise<Float32Array> {
    const { gpu, data: store, network, compiler, work } = this.#open();
    store.find(data);
    const byteLength = 4 * data.count * this.#model.classCount;
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC;
    const results = await gpu.guard(
      `make room for ${data.count} predictions`,
      () => gpu.createBuffer("logits", Math.max(16, byteLength), usage),
    );
    try {
      const { classCount } = this.#model;
      const copy = storeLogits(network.logits, { results, classCount }, this.#tuning);
      const { finished } = await this.#infer(data, await compiler.compile([copy]));
      const [[bytes]] = await Promise.all([work.read([{ buffer: results, byteLength }]), finished]);
      return new Float32Array(bytes);
    } finally {
      gpu.destroyBuffer(results);
    }
  }

  async gradients(data: LabeledImages, indices: Uint32Array) {
    const { data: store, stream, network } = this.#open();
    store.find(data);
    checkIndices(indices, data.count);
    const kernels = await this.#kernels(data, indices, "training");
    const jobs = this.#jobs({ first: 0, count: indices.length, update: false }, kernels);
    await (await stream.run(jobs.length, (index) => [jobs[index]])).finished;
    const [gradients] = await this.#readVectors([network.gradients]);
    const { losses } = await this.#readResults(indices.length);
    return { loss: mean(losses), gradients };
  }

  /** GPU time of each kernel of one training step with a learning rate of 0, for measurements.
   *
   * @throws {Error} If the device has no `timestamp-query`.
   */
  async timeKernels(data: LabeledImages, indices: Uint32Array): Promise<KernelTime[]> {
    const { gpu, stream } = this.#open();
    const kernels = await this.#kernels(data, indices, "training");
    const [job] = this.#jobs({ first: 0, count: indices.length, update: true }, kernels);
    stream.writeChunks([job]);
    return await timeJob(gpu, job);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#engine?.gpu.destroy();
    this.#engine = undefined;
    return Promise.resolve();
  }

  /** Kernels of a pass over a data set, in an order that is written to the device. */
  async #kernels(
    data: LabeledImages,
    order: Uint32Array,
    pass: "training" | "evaluation",
  ): Promise<readonly CompiledKernel[]> {
    const { gpu, data: store, work, network, compiler } = this.#open();
    const buffers = store.find(data);
    await gpu.guard(`make room for ${order.length} images`, () => work.setOrder(order));
    const { before, after } = network[pass];
    const bound = this.#bound[pass];
    if (bound?.order === work.order && bound.buffers === buffers) return bound.kernels;
    const { labels } = buffers;
    const { order: places, losses, predictions } = work;
    const kernels = await compiler.compile([
      gatherImages({ ...buffers, order: places }, network, this.#tuning),
      ...before,
      network[pass].loss({ labels, order: places, losses, predictions }),
      ...after,
    ]);
    this.#bound[pass] = { order: places, buffers, kernels };
    return kernels;
  }

  /** Runs the model forward over all images; what it returns settles when the device is done. */
  async #infer(data: LabeledImages, extra: readonly CompiledKernel[] = []) {
    const order = Uint32Array.from({ length: data.count }, (_, index) => index);
    const kernels = [...await this.#kernels(data, order, "evaluation"), ...extra];
    const jobs = this.#jobs({ first: 0, count: data.count, update: false }, kernels);
    const { finished } = await this.#open().stream.run(jobs.length, (index) => [jobs[index]]);
    return { finished };
  }

  /** A batch's chunks, to be carried through kernels. */
  #jobs(batch: Batch, kernels: readonly CompiledKernel[]): Job[] {
    return cutBatch(batch, this.#open().network).map((chunk) => ({ chunk, kernels }));
  }

  async #readResults(places: number) {
    const { work } = this.#open();
    const [losses, predictions] = await work.read([
      { buffer: work.losses, byteLength: 4 * places },
      { buffer: work.predictions, byteLength: 4 * places },
    ]);
    return { losses: new Float32Array(losses), predictions: new Uint32Array(predictions) };
  }

  async #readVectors(buffers: readonly GPUBuffer[]): Promise<Float32Array[]> {
    const { work, network: { layout } } = this.#open();
    const ranges = buffers.map((buffer) => ({ buffer, byteLength: 4 * layout.length }));
    return (await work.read(ranges)).map((bytes) =>
      unpackParameters(layout, new Float32Array(bytes), this.#model.parameterCount)
    );
  }

  #open(): Engine {
    if (!this.#engine) throw new TypeError("Cannot use a session that was disposed");
    return this.#engine;
  }
}

function mean(values: Float32Array): number {
  return sum(values) / values.length;
}

function sum(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum;
}
