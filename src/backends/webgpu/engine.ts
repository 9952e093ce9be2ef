/** The `webgpu` engine: everything lives on the device until it is asked for. */

import type { LabeledImages } from "../../data/dataset.ts";
import { constantsOf } from "../../nn/optimizers.ts";
import type { Model } from "../../nn/sequential.ts";
import { summarize } from "../../nn/summary.ts";
import type { Device } from "../backend.ts";
import type { Engine, EngineOptions, Pass, Vectors, Work } from "../engine.ts";
import { checkRounds, chooseCapacity } from "./capacity.ts";
import { cutBatch } from "./chunk.ts";
import { type ChunkWork, CommandStream, FIRST_MACS } from "./command_stream.ts";
import { Compiler } from "./compiler.ts";
import { DataStore, type DeviceImages } from "./data_store.ts";
import { DeviceState } from "./device_state.ts";
import type { Gpu } from "./gpu.ts";
import { type KernelTime, timeChunk } from "./kernel_timer.ts";
import { Networks } from "./networks.ts";
import type { Mode } from "./operations.ts";
import { layParameters } from "./parameter_layout.ts";
import { runShardSteps } from "./shard_steps.ts";
import type { Tuning } from "./tuning.ts";
import { WorkBuffers } from "./work_buffers.ts";

/** Bytes of parameters and the optimiser's vectors that are read with a training's results, at most: whoever
 * asks for them next need not wait. */
const MOST_STATE_BYTES = 2 ** 22;

/** The parts of an open engine. */
interface Parts {
  readonly gpu: Gpu;
  readonly state: DeviceState;
  readonly inferenceBatch: number;
  readonly stream: CommandStream;
  readonly networks: Networks;
  readonly data: DataStore;
  readonly work: WorkBuffers;
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
  checkRounds(gpu, model);
  const layout = layParameters(model);
  const capacityOf = (mode: Mode) => chooseCapacity(gpu, model, { ...options, mode, layout });
  const capacities = { train: capacityOf("train"), eval: capacityOf("eval") };
  const parts = await gpu.guard(
    `make room for ${model.parameterCount} parameters`,
    () => ({
      state: new DeviceState(gpu, model, { layout, ...options }),
      stream: new CommandStream(gpu),
      work: new WorkBuffers(gpu),
    }),
  );
  const compiler = new Compiler(gpu, parts.stream.chunks);
  const data = new DataStore(gpu, options.bytesPerBuffer);
  const networks = new Networks(model, options, { gpu, ...parts, capacities, compiler });
  // One image at a time is how models are asked for answers; what else may fail is to fail at once.
  const { batchSize, shard } = options;
  if (batchSize > 1) await networks.networkFor("train", Math.ceil(batchSize / (shard?.count ?? 1)));
  const inferenceBatch = capacities.eval;
  return new WebgpuEngine(model, options, { gpu, ...parts, data, networks, inferenceBatch });
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
  /** What the last training left, which was read with its results. */
  #trained: ArrayBuffer[] | undefined;

  /** Takes over the parts. */
  constructor(model: Model, options: WebgpuEngineOptions, parts: Parts) {
    const { name, software } = parts.gpu;
    this.device = { kind: "gpu", description: `WebGPU on ${name}`, threads: 1, software };
    this.inferenceBatch = parts.inferenceBatch;
    const macs = summarize(model).reduce((sum, { trainingMacs }) => sum + trainingMacs, 0);
    const fitting = Math.floor(FIRST_MACS / (macs * this.inferenceBatch));
    this.batches = { first: software ? 1 : Math.max(1, Math.min(32, fitting)), most: Infinity };
    // Two, so that the device never waits; a shard's steps cannot overlap.
    this.stretchesInFlight = options.shard ? 1 : 2;
    this.#model = model;
    this.#options = options;
    this.#parts = parts;
  }

  load(vectors: Vectors): void {
    this.#trained = undefined;
    this.#parts.state.load(vectors);
  }

  async read(): Promise<Vectors> {
    const { state, work } = this.#parts;
    const bytes = this.#trained ?? await work.read(state.ranges);
    this.#trained = undefined;
    return state.unpack(bytes);
  }

  attach(data: LabeledImages): Promise<DeviceImages> {
    return this.#parts.data.attach(data);
  }

  detach(images: DeviceImages): void {
    this.#parts.networks.forget(images);
    this.#parts.data.detach(images);
  }

  async begin(work: Work<DeviceImages>): Promise<Pass> {
    const { kind, images, order, batchSize, learningRates, divisors, step } = work;
    const { gpu, stream, networks } = this.#parts;
    const { optimizer, shard } = this.#options;
    const mode = kind === "train" || kind === "gradients" ? "train" : "eval";
    if (kind === "train") this.#trained = undefined;
    const own = kind === "train" ? shard : undefined;
    const largest = Math.min(batchSize, order.length);
    const network = await networks.networkFor(mode, own ? Math.ceil(largest / own.count) : largest);
    const kernels = [...await networks.kernelsOf(network, { images, order, mode })];
    const logits = kind === "predict" ? await networks.logitsOf(network, order.length) : undefined;
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
    const ruleConstants = (batch: number) => {
      const numbers = { learningRate: learningRates[batch], step: step + batch + 1 };
      return Object.values(constantsOf(optimizer, numbers));
    };
    const batches = Math.ceil(order.length / batchSize);
    let submitted = { macs: 0, start: 0 };
    const measure = ({ macs, start }: typeof submitted) =>
      stream.measured(macs, performance.now() - start);
    return {
      run: async (first, count) => {
        if (own) {
          const steps = { first, count, batchOf, constantsOf: ruleConstants, shard: own };
          return await runShardSteps({ ...this.#parts, network, kernels }, steps);
        }
        const queue: ChunkWork[] = [];
        for (let batch = first; batch < first + count; batch++) {
          const update = kind === "train";
          const constants = update ? ruleConstants(batch) : [];
          const chunks = cutBatch({ ...batchOf(batch), update, constants }, network);
          queue.push(...chunks.map((chunk) => ({ chunk, kernels })));
        }
        const start = performance.now();
        const stretch = submitted = { start, macs: stream.submit(queue) };
        if (first + count === batches) return; // mapping the results waits for the device, too
        await gpu.finish();
        measure(stretch);
      },
      read: async (places) => {
        const results = await this.#readResults(kind, places, logits?.buffer);
        if (submitted.macs > 0) measure(submitted);
        return results;
      },
      end: () => logits && gpu.destroyBuffer(logits.buffer),
    };
  }

  readGradients(): Promise<Float32Array> {
    return this.#parts.state.readGradients(this.#parts.work);
  }

  /** GPU time of each kernel of one training step with a learning rate of 0, for measurements.
   *
   * @throws {Error} If the device has no `timestamp-query`.
   */
  async timeKernels(images: DeviceImages, indices: Uint32Array): Promise<KernelTime[]> {
    const { gpu, stream, networks } = this.#parts;
    const network = await networks.networkFor("train", indices.length);
    const kernels = await networks.kernelsOf(network, { images, order: indices, mode: "train" });
    const [chunk] = cutBatch({ first: 0, count: indices.length, update: true }, network);
    stream.writeChunks([{ chunk, kernels }]);
    return await timeChunk(gpu, { chunk, kernels });
  }

  dispose(): void {
    this.#parts.gpu.destroy();
  }

  async #readResults(kind: Work<never>["kind"], places: number, logits?: GPUBuffer) {
    const { work, state } = this.#parts;
    const kept = logits ? 0 : 4 * places;
    const stateBytes = state.ranges.reduce((sum, { byteLength }) => sum + byteLength, 0);
    const withState = kind === "train" && stateBytes <= MOST_STATE_BYTES;
    const [losses, predictions, output, ...trained] = await work.read([
      { buffer: work.losses, byteLength: kept },
      { buffer: work.predictions, byteLength: kept },
      logits
        ? { buffer: logits, byteLength: 4 * places * this.#model.classCount }
        : { buffer: work.losses, byteLength: 0 },
      ...(withState ? state.ranges : []),
    ]);
    this.#trained = withState ? trained : this.#trained;
    return {
      losses: new Float32Array(losses),
      predictions: new Uint32Array(predictions),
      logits: new Float32Array(output),
    };
  }
}
