/** A model's networks on a device: built, compiled and bound to data when they are first needed. */

import type { Model } from "../../nn/sequential.ts";
import { augmenterOf } from "../gather.ts";
import { knowsBatch } from "./capacity.ts";
import type { CompiledKernel, Compiler } from "./compiler.ts";
import type { DeviceImages } from "./data_store.ts";
import type { Gpu } from "./gpu.ts";
import { writeTurns } from "./kernels/augment.ts";
import { gatherImages, type ImageChanges } from "./kernels/gather_images.ts";
import { storeLogits } from "./kernels/softmax_cross_entropy.ts";
import { buildNetwork, type Network, type NetworkOptions } from "./network.ts";
import type { Mode } from "./operations.ts";
import type { EngineOptions } from "../engine.ts";
import type { WorkBuffers } from "./work_buffers.ts";

/** Kernels, and the buffers of a data set and a call that they are bound to. */
interface BoundKernels {
  readonly network: Network;
  readonly order: GPUBuffer;
  readonly images: DeviceImages;
  readonly kernels: readonly CompiledKernel[];
}

/** What networks are made of. */
export interface NetworkParts extends Pick<NetworkOptions, "state"> {
  readonly gpu: Gpu;
  readonly compiler: Compiler;
  readonly work: WorkBuffers;
  /** Most images of a chunk. */
  readonly capacities: Readonly<Record<Mode, number>>;
}

/** See above. */
export class Networks {
  readonly #model: Model;
  readonly #options: EngineOptions & Pick<NetworkOptions, "tuning">;
  readonly #parts: NetworkParts;
  readonly #changes: ImageChanges | undefined;
  /** By mode and capacity. */
  readonly #networks = new Map<string, Network>();
  /** The kernels of the last training and evaluation, which are bound to their data. */
  readonly #bound: Partial<Record<Mode, BoundKernels>> = {};

  /** Starts with none. */
  constructor(
    model: Model,
    options: EngineOptions & Pick<NetworkOptions, "tuning">,
    parts: NetworkParts,
  ) {
    this.#model = model;
    this.#options = options;
    this.#parts = parts;
    const augmenter = augmenterOf(model, options);
    this.#changes = augmenter && { augmenter, turns: writeTurns(parts.gpu, augmenter) };
  }

  /** A network for batches; for a few images outside training, one of few.
   *
   * @throws {RangeError} If a layer must know more of a batch than fits.
   */
  async networkFor(mode: Mode, batch: number): Promise<Network> {
    const { gpu, state, compiler, capacities } = this.#parts;
    const { imagesPerInvocation, invocations } = this.#options.tuning;
    const [few, most] = [imagesPerInvocation * invocations, capacities[mode]];
    if (mode === "train" && batch > most && knowsBatch(this.#model)) {
      throw new RangeError(
        `Cannot train model "${this.#model.name}" on batches of ${batch} images: its batch norms ` +
          `need whole batches, of which ${gpu.name} can bind ${most}; use a smaller batch size`,
      );
    }
    const capacity = mode === "eval" && batch <= few ? few : most;
    const key = `${mode} ${capacity}`;
    let network = this.#networks.get(key);
    if (network === undefined) {
      const options = { ...this.#options, state, mode, capacity };
      network = await gpu.guard(
        `make room for batches of ${capacity}`,
        () => buildNetwork(gpu, this.#model, options),
      );
      this.#networks.set(key, network);
      const { before, after, update } = network;
      await compiler.compile([...before, ...after, ...update]);
    }
    return network;
  }

  /** Kernels of a pass over a data set, in an order that is written to the device. */
  async kernelsOf(
    network: Network,
    { images, order, mode }: {
      readonly images: DeviceImages;
      readonly order: Uint32Array;
      readonly mode: Mode;
    },
  ): Promise<readonly CompiledKernel[]> {
    const { gpu, work, compiler } = this.#parts;
    await gpu.guard(`make room for ${order.length} images`, () => work.setOrder(order));
    const { before, after, update } = network;
    const bound = this.#bound[mode];
    const isBound = bound?.network === network && bound.order === work.order;
    if (isBound && bound.images === images) return bound.kernels;
    const { labels } = images;
    const { order: places, losses, predictions } = work;
    const kernels = await compiler.compile([
      gatherImages({ ...images, order: places }, {
        ...network,
        changes: mode === "train" ? this.#changes : undefined,
      }, this.#options.tuning),
      ...before,
      network.loss({ labels, order: places, losses, predictions }),
      ...after,
      ...update,
    ]);
    this.#bound[mode] = { network, order: places, images, kernels };
    return kernels;
  }

  /** A buffer for logits, and the kernel that copies a chunk's into it. */
  async logitsOf(network: Network, count: number) {
    const { gpu, compiler } = this.#parts;
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

  /** Lets go of kernels that are bound to images. */
  forget(images: DeviceImages): void {
    for (const mode of ["train", "eval"] as const) {
      if (this.#bound[mode]?.images === images) delete this.#bound[mode];
    }
  }
}
