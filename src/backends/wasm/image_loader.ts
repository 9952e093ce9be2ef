/** Images of a task, as a block of a thread's activations. */

import type { Augmentation, Augmenter } from "../../data/augment.ts";
import type { Model } from "../../nn/sequential.ts";
import { byteTransform } from "../../nn/standardization.ts";
import { augmenterOf } from "../gather.ts";
import { BLOCK } from "./arena.ts";
import type { Task } from "./task.ts";
import type { Thread } from "./layers/layer.ts";
import type { Kernels } from "./kernels.ts";
import { CHANGE_BYTES, type Layout } from "./layout.ts";
import { locate } from "./tensors.ts";

/** What a loader is made of. */
export interface ImageLoaderOptions {
  readonly model: Model;
  readonly memory: WebAssembly.Memory;
  readonly kernels: Kernels;
  readonly layout: Layout;
  /** How images are changed in training, drawn by the seed; default: not at all. */
  readonly augmentation?: Augmentation;
  readonly seed: number;
}

/** Some images of a task, and the block that they are loaded into. */
interface Loading {
  readonly position: number;
  readonly count: number;
  readonly block: number;
  /** Of a step that changes images. */
  readonly step?: number;
}

/** Reads bytes, standardizes them, and changes images as the seed draws it. */
export class ImageLoader {
  readonly #at: Thread;
  readonly #options: ImageLoaderOptions;
  /** Of each channel. */
  readonly #transforms: readonly ReturnType<typeof byteTransform>[];
  readonly #augmenter: Augmenter | undefined;

  constructor(at: Thread, options: ImageLoaderOptions) {
    const { inputShape: [channels], standardization } = options.model;
    this.#at = at;
    this.#options = options;
    this.#transforms = Array.from(
      { length: channels },
      (_, channel) => byteTransform(standardization, channel),
    );
    this.#augmenter = augmenterOf(options.model, options);
  }

  /** Loads some images, changed in a step of training. */
  load(task: Task, { position, count, block, step }: Loading): void {
    const { kernels, layout, model: { inputShape } } = this.#options;
    const indices = task.indices + 4 * position;
    const changes = this.#at.own + layout.changes;
    const augmenter = step === undefined ? undefined : this.#augmenter;
    if (augmenter) this.#drawChanges(augmenter, { indices, count, step: step! });
    for (const [channel, { scale, offset }] of this.#transforms.entries()) {
      const load = [task.images, indices, count, ...inputShape, channel, scale, offset] as const;
      const output = locate(layout.images, this.#at.own, block);
      const { rowBytes } = layout.images;
      if (augmenter === undefined) {
        kernels.loadImages(...load, output, rowBytes);
        continue;
      }
      const turns = augmenter.turns.length > 0;
      const staging = this.#at.own + layout.staging;
      kernels.loadAugmented(...load, output, rowBytes, changes, turns, staging);
    }
  }

  /** Writes how each image of a block is changed, where the kernel reads it. */
  #drawChanges(
    augmenter: Augmenter,
    { indices, count, step }: { indices: number; count: number; step: number },
  ): void {
    const { memory: { buffer }, layout } = this.#options;
    const images = new Uint32Array(buffer, indices, count);
    for (let lane = 0; lane < BLOCK; lane++) {
      const place = this.#at.own + layout.changes + lane * CHANGE_BYTES;
      const words = new Int32Array(buffer, place, CHANGE_BYTES / 4);
      const { flip, down, right, cos, sin, factor, erased } = augmenter.changeOf(
        step,
        images[Math.min(lane, count - 1)],
      );
      words.set([Number(flip), down, right, cos, sin, 0]);
      words.set([erased.top, erased.left, erased.bottom, erased.right], 6);
      new Float32Array(buffer, place, CHANGE_BYTES / 4)[5] = factor;
    }
  }
}
