/** The `webgpu` engine: everything lives on the device until it is asked for. */

import type { LabeledImages } from "../../data/dataset.ts";
import type { Model } from "../../nn/sequential.ts";
import type { Device } from "../backend.ts";
import type { Engine, EngineOptions, Pass, Results, Vectors, Work } from "../engine.ts";
import { augmenterOf } from "../gather.ts";
import { type Batch, cutBatch, stepConstants } from "./chunk.ts";
import { CommandStream, type Job } from "./command_stream.ts";
import { type CompiledKernel, Compiler } from "./compiler.ts";
import { DataStore, type DeviceImages } from "./data_store.ts";
import type { Gpu } from "./gpu.ts";
import { type KernelTime, timeJob } from "./kernel_timer.ts";
import { writeTurns } from "./kernels/augment.ts";
import { gatherImages, type ImageChanges } from "./kernels/gather_images.ts";
import { storeLogits } from "./kernels/softmax_cross_entropy.ts";
import { buildNetwork, type Network } from "./network.ts";
import { packParameters, unpackParameters } from "./parameter_layout.ts";
import { runShardSteps } from "./shard_steps.ts";
import type { Tuning } from "./tuning.ts";
import { WorkBuffers } from "./work_buffers.ts";

/** The parts of an open engine. */
interface Parts {
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
  readonly images: DeviceImages;
  readonly kernels: readonly CompiledKernel[];
}

/** What {@linkcode openWebgpuEngine} needs beyond what every engine does. */
export interface WebgpuEngineOptions extends EngineOptions {
  readonly tuning: Tuning;
  /** Most bytes of a buffer of images; default: all that the device can bind. */
  readonly bytesPerBuffer?: number;
}

/** Opens an engine on a device, whose part it then owns. */
export async function openWebgpuEngine(
  gpu: Gpu,
  model: Model,
  options: WebgpuEngineOptions,
): Promise<WebgpuEngine> {
  const { network, stream, work } = await gpu.guard(
    `make room for batches of ${options.batchSize}`,
    () => ({
      network: buildNetwork(gpu, model, options),
      stream: new CommandStream(gpu),
      work: new WorkBuffers(gpu),
    }),
  );
  const compiler = new Compiler(gpu, stream.chunks);
  const { training, evaluation } = network;
  await compiler.compile([...training.before, ...training.after, ...evaluation.before]);
  const data = new DataStore(gpu, options.bytesPerBuffer);
  return new WebgpuEngine(model, options, { gpu, network, stream, compiler, data, work });
}

/** See {@linkcode openWebgpuEngine}. */
export class WebgpuEngine implements Engine<DeviceImages> {
  readonly device: Device;
  readonly inferenceBatch: number;
  readonly batches: Engine["batches"];
  readonly stretchesInFlight: number;
  readonly #model: Model;
  readonly #options: WebgpuEngineOptions;
  readonly #parts: Parts;
  readonly #changes: ImageChanges | undefined;
  /** The kernels of the last training and evaluation, which are bound to their data. */
  readonly #bound: Partial<Record<"training" | "evaluation", BoundKernels>> = {};

  /** Takes over the parts. */
  constructor(model: Model, options: WebgpuEngineOptions, parts: Parts) {
    const { name, software } = parts.gpu;
    this.device = { kind: "gpu", description: `WebGPU on ${name}`, threads: 1, software };
    this.inferenceBatch = parts.network.capacity;
    this.batches = { first: software ? 1 : 32, most: Infinity };
    // Two, so that the device never waits; a shard's steps cannot overlap.
    this.stretchesInFlight = options.shard ? 1 : 2;
    this.#model = model;
    this.#options = options;
    this.#parts = parts;
    const augmenter = augmenterOf(model, options);
    this.#changes = augmenter && { augmenter, turns: writeTurns(parts.gpu, augmenter) };
  }

  load({ parameters, slots }: Vectors): void {
    const { gpu: { device: { queue } }, network } = this.#parts;
    const buffers = [network.parameters, ...network.slots];
    for (const [n, values] of [parameters, ...slots].entries()) {
      queue.writeBuffer(buffers[n], 0, packParameters(network.layout, values) as BufferSource);
    }
  }

  async read(): Promise<Vectors> {
    const { network } = this.#parts;
    const [parameters, ...slots] = await this.#readVectors([network.parameters, ...network.slots]);
    return { parameters, statistics: new Float32Array(), slots };
  }

  attach(data: LabeledImages): Promise<DeviceImages> {
    return this.#parts.data.attach(data);
  }

  detach(images: DeviceImages): void {
    for (const pass of ["training", "evaluation"] as const) {
      if (this.#bound[pass]?.images === images) delete this.#bound[pass];
    }
    this.#parts.data.detach(images);
  }

  async begin(work: Work<DeviceImages>): Promise<Pass> {
    const { kind, images, order, batchSize, learningRates, divisors, step } = work;
    const { gpu, stream } = this.#parts;
    const { optimizer, shard } = this.#options;
    const training = kind === "train" || kind === "gradients";
    const kernels = [...await this.#kernels(images, order, training ? "training" : "evaluation")];
    const logits = kind === "predict" ? await this.#makeRoom(order.length) : undefined;
    if (logits) kernels.push(logits.copy);
    const batchOf = (batch: number) => {
      const first = batch * batchSize;
      return {
        first,
        count: Math.min(batchSize, order.length - first),
        divisor: divisors[batch], // evaluation has none, and needs none
        step: step + batch,
      };
    };
    const constantsOf = (batch: number) =>
      stepConstants(optimizer, { learningRate: learningRates[batch], step: step + batch + 1 });
    return {
      run: async (first, count) => {
        if (shard && kind === "train") {
          const steps = { first, count, batchOf, constantsOf, shard };
          return await runShardSteps({ ...this.#parts, model: this.#model, kernels }, steps);
        }
        const jobs: Job[] = [];
        for (let batch = first; batch < first + count; batch++) {
          const update = kind === "train";
          const constants = update ? constantsOf(batch) : {};
          jobs.push(...this.#jobs({ ...batchOf(batch), update, ...constants }, kernels));
        }
        stream.submit(jobs);
        await gpu.finish();
      },
      read: (places) => this.#readResults(places, logits?.buffer),
      end: () => logits && gpu.destroyBuffer(logits.buffer),
    };
  }

  async readGradients(): Promise<Float32Array> {
    return (await this.#readVectors([this.#parts.network.gradients]))[0];
  }

  /** GPU time of each kernel of one training step with a learning rate of 0, for measurements.
   *
   * @throws {Error} If the device has no `timestamp-query`.
   */
  async timeKernels(images: DeviceImages, indices: Uint32Array): Promise<KernelTime[]> {
    const { gpu, stream } = this.#parts;
    const kernels = await this.#kernels(images, indices, "training");
    const [job] = this.#jobs({ first: 0, count: indices.length, update: true }, kernels);
    stream.writeChunks([job]);
    return await timeJob(gpu, job);
  }

  dispose(): void {
    this.#parts.gpu.destroy();
  }

  /** Kernels of a pass over a data set, in an order that is written to the device. */
  async #kernels(
    images: DeviceImages,
    order: Uint32Array,
    pass: "training" | "evaluation",
  ): Promise<readonly CompiledKernel[]> {
    const { gpu, work, network, compiler } = this.#parts;
    await gpu.guard(`make room for ${order.length} images`, () => work.setOrder(order));
    const { before, after } = network[pass];
    const bound = this.#bound[pass];
    if (bound?.order === work.order && bound.images === images) return bound.kernels;
    const { labels } = images;
    const { order: places, losses, predictions } = work;
    const kernels = await compiler.compile([
      gatherImages({ ...images, order: places }, {
        ...network,
        changes: pass === "training" ? this.#changes : undefined,
      }, this.#options.tuning),
      ...before,
      network[pass].loss({ labels, order: places, losses, predictions }),
      ...after,
    ]);
    this.#bound[pass] = { order: places, images, kernels };
    return kernels;
  }

  /** A batch's chunks, to be carried through kernels. */
  #jobs(batch: Batch, kernels: readonly CompiledKernel[]): Job[] {
    return cutBatch(batch, this.#parts.network).map((chunk) => ({ chunk, kernels }));
  }

  /** A buffer for logits, and the kernel that copies a chunk's into it. */
  async #makeRoom(count: number) {
    const { gpu, network, compiler } = this.#parts;
    const { classCount } = this.#model;
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC;
    const buffer = await gpu.guard(
      `make room for ${count} predictions`,
      () => gpu.createBuffer("logits", Math.max(16, 4 * count * classCount), usage),
    );
    const results = { results: buffer, classCount };
    const [copy] = await compiler.compile([
      storeLogits(network.logits, results, this.#options.tuning),
    ]);
    return { buffer, copy };
  }

  async #readResults(places: number, logits?: GPUBuffer): Promise<Results> {
    const { work } = this.#parts;
    const kept = logits ? 0 : 4 * places;
    const ranges = [
      { buffer: work.losses, byteLength: kept },
      { buffer: work.predictions, byteLength: kept },
      ...(logits ? [{ buffer: logits, byteLength: 4 * places * this.#model.classCount }] : []),
    ];
    const [losses, predictions, output] = await work.read(ranges);
    return {
      losses: new Float32Array(losses),
      predictions: new Uint32Array(predictions),
      logits: new Float32Array(output ?? 0),
    };
  }

  async #readVectors(buffers: readonly GPUBuffer[]): Promise<Float32Array[]> {
    const { work, network: { layout } } = this.#parts;
    const ranges = buffers.map((buffer) => ({ buffer, byteLength: 4 * layout.length }));
    return (await work.read(ranges)).map((bytes) =>
      unpackParameters(layout, new Float32Array(bytes), this.#model.parameterCount)
    );
  }
}
