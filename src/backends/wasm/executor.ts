/** What each thread does with a task: groups of its images, then its rows of the parameters. */

import { clipFactor } from "../../nn/optimizers.ts";
import { type OptimizerSpec, type Shard, shardRange } from "../backend.ts";
import { BLOCK } from "./arena.ts";
import { ImageLoader, type ImageLoaderOptions } from "./image_loader.ts";
import type { Task } from "./task.ts";
import { groupStarts } from "./layout.ts";
import type { Thread } from "./layers/layer.ts";
import {
  type BatchPass,
  buildLayerUpdates,
  buildNetwork,
  type LayerUpdate,
  type Network,
  threadOf,
} from "./network.ts";
import type { Team } from "./team.ts";
import { locate } from "./tensors.ts";

/** What a executor is made of. */
export interface ExecutorOptions extends ImageLoaderOptions {
  readonly team: Team;
  readonly optimizer: OptimizerSpec;
  readonly clipNorm?: number;
  readonly thread: number;
  readonly threads: number;
  /** This session's part of every batch; thread 0 sums its gradients with the others'. */
  readonly shard?: Place & Partial<Shard>;
}

/** Which part of every batch is this session's. */
export type Place = Pick<Shard, "index" | "count">;

/** A stretch of a task's images; what their gradients are multiplied by, one over the divisor of the whole
 * batch that they belong to; the size of that batch, and the number of updates before it. */
interface Stretch {
  readonly first: number;
  readonly size: number;
  readonly scale: number;
  readonly batch: number;
  readonly step: number;
}

/** One thread's hands. All threads run the same task and meet between its phases; each takes
 * the next group of images when it has done one. Sums are made in the order of images and of groups,
 * so that equal tasks give equal bits whichever thread does what.
 */
export class Executor {
  readonly #options: ExecutorOptions;
  readonly #network: Network;
  readonly #rows: readonly LayerUpdate[];
  readonly #at: Thread;
  readonly #mask: Float32Array;
  readonly #loader: ImageLoader;
  /** Whether parameters and statistics are those of the last inference. */
  #isFolded = false;

  constructor(options: ExecutorOptions) {
    const { layout, memory } = options;
    this.#options = options;
    this.#at = threadOf(layout, options);
    this.#mask = new Float32Array(memory.buffer, this.#at.mask, BLOCK);
    this.#network = buildNetwork(layout, this.#at);
    this.#rows = buildLayerUpdates(layout, this.#at, options);
    this.#loader = new ImageLoader(this.#at, options);
  }

  /** Does this thread's share of a task; returns when all threads are done. */
  run(task: Task): void {
    switch (task.kind) {
      case "pack":
        this.#isFolded = false;
        for (const rows of this.#rows) rows.pack?.();
        return this.#options.team.meet();
      case "train":
        this.#prepare({ folds: false });
        return this.#train(task);
      case "gradients":
        this.#prepare({ folds: false });
        this.#gradients(task, {
          ...{ first: 0, size: task.count, batch: task.count, step: task.step },
          scale: 1 / this.#divisors(task, 1)[0],
        });
        return this.#options.team.meet();
      default:
        this.#prepare({ folds: true });
        return this.#infer(task);
    }
  }

  /** What layers need before any pass of a task; for inference, only if there has been other work. */
  #prepare({ folds }: { readonly folds: boolean }): void {
    if (folds && this.#isFolded) return;
    this.#isFolded = folds;
    const { prepare, fold } = this.#network;
    const calls = folds ? [...prepare, ...fold] : prepare;
    if (calls.length > 0) this.#alone(() => calls.forEach((call) => call()));
  }

  /** Work of one thread, for which the others wait. */
  #alone(work: () => void): void {
    const { team, thread } = this.#options;
    if (thread === 0) work();
    team.meet();
  }

  #train(task: Task): void {
    const { count, batchSize } = task;
    const steps = Math.ceil(count / batchSize);
    const { memory, team, shard, clipNorm } = this.#options;
    const learningRates = new Float32Array(memory.buffer, task.learningRates, steps);
    const divisors = this.#divisors(task, steps);
    for (let step = 0; step < steps; step++) {
      const first = step * batchSize;
      const batch = Math.min(batchSize, count - first);
      const whole = { batch, scale: 1 / divisors[step], step: task.step + step };
      if (shard === undefined) {
        this.#gradients(task, { first, size: batch, ...whole });
      } else {
        const { start, end } = shardRange(batch, shard);
        this.#gradients(task, { first: first + start, size: end - start, ...whole });
        team.meet();
        shard.sum?.(this.#gradientVector());
        team.meet();
      }
      if (clipNorm !== undefined) this.#clip(clipNorm);
      for (const rows of this.#rows) {
        rows.update(learningRates[step], task.step + step + 1);
        rows.pack?.();
      }
      team.meet();
    }
  }

  /** Shortens the gradients. Every thread works out their norm, so that it is the same on all. */
  #clip(clipNorm: number): void {
    const { kernels, layout, model, team } = this.#options;
    team.meet(); // until all rows have their sums
    const norm = Math.sqrt(kernels.squaredNorm(layout.gradients, model.parameterCount));
    team.meet(); // until everyone has read them
    for (const rows of this.#rows) rows.scale(clipFactor(norm, clipNorm));
  }

  /** Gradients of the batch's mean loss, as far as the stretch's images make it, chunk by chunk.
   *
   * Blocks are anybody's, rows their thread's own: it may go on with them without meeting.
   */
  #gradients(task: Task, { first, size, ...of }: Stretch): void {
    const { team, threads, layout: { chunkSize } } = this.#options;
    let groups = 0;
    for (let start = 0; start === 0 || start < size; start += chunkSize) {
      if (start > 0) team.meet(); // until everyone has read the last chunk
      const chunk = { first: first + start, size: Math.min(chunkSize, size - start), ...of };
      const blocks = Math.ceil(chunk.size / BLOCK);
      const starts = groupStarts(blocks, threads);
      if (start === 0) groups = starts.length - 1;
      for (const [place, pass] of this.#network.passes.entries()) {
        const isFirst = place === 0;
        for (let group; (group = team.claim()) < starts.length - 1;) {
          if (isFirst && start === 0) this.#clear(group);
          for (let block = starts[group]; block < starts[group + 1]; block++) {
            if (isFirst) this.#loadBlock(task, chunk, block);
            this.#passBlock(task, chunk, { pass, block, group });
          }
        }
        team.meet();
        this.#finish(task, chunk, pass);
      }
      for (const rows of this.#rows) rows.accumulate?.(blocks, start === 0);
    }
    for (const rows of this.#rows) rows.reduce?.(groups);
  }

  /** What a pass has one thread do with the whole batch. */
  #finish(task: Task, { size, batch }: Stretch, { finish }: BatchPass): void {
    if (finish.length === 0) return;
    const isStep = task.kind === "train";
    const shard = isStep ? this.#options.shard : undefined;
    const whole = { images: size, batchSize: batch, isStep, shard };
    this.#alone(() => finish.forEach((call) => call(whole)));
  }

  #loadBlock(task: Task, { first, size, step }: Stretch, block: number): void {
    const position = first + block * BLOCK;
    this.#loader.load(task, {
      position,
      count: Math.min(BLOCK, size - block * BLOCK),
      block,
      step,
    });
  }

  /** One pass over one block of a chunk: of most models all there is, forward and backward. */
  #passBlock(
    task: Task,
    { first, size, scale, step }: Stretch,
    { pass, block, group }: {
      readonly pass: BatchPass;
      readonly block: number;
      readonly group: number;
    },
  ): void {
    const { kernels, layout, model } = this.#options;
    const { own, block: at } = this.#at;
    const count = Math.min(BLOCK, size - block * BLOCK);
    const position = first + block * BLOCK;
    const indices = task.indices + 4 * position;
    Object.assign(at, { indices, count, step });
    if (this.#network.passes.length > 1) this.#mask.fill(1, 0, count).fill(0, count);
    for (const call of pass.forward) call(block, group);
    if (pass.turns) {
      const loss = [
        locate(layout.logits, own, block),
        model.classCount,
        task.labels,
        indices,
        count,
        scale,
        locate(layout.gradLogits, own, block),
        task.losses + 4 * position,
      ] as const;
      kernels.softmaxCrossEntropy(...loss, task.predictions + position);
      if (layout.targets) kernels.weighTargets(...loss, layout.targets.address);
    }
    for (const call of pass.backward) call(block, group);
  }

  /** Forgets a group's convolution gradients of the step before. */
  #clear(group: number): void {
    const { kernels, layout: { sums, groupBytes } } = this.#options;
    kernels.fillZeros(sums + group * groupBytes, groupBytes);
  }

  /** Forward only; tensors that training keeps for each block are kept for each thread. */
  #infer(task: Task): void {
    const { kernels, layout, model, team, thread: slot } = this.#options;
    const { own } = this.#at;
    const blocks = Math.ceil(task.count / BLOCK);
    for (let block; (block = team.claim()) < blocks;) {
      const position = block * BLOCK;
      const count = Math.min(BLOCK, task.count - position);
      this.#loader.load(task, { position, count, block: slot });
      for (const call of this.#network.infer) call(slot, 0);
      const logits = locate(layout.logits, own, slot);
      if (task.kind === "predict") {
        const output = task.logits + 4 * position * model.classCount;
        kernels.storeLogits(logits, model.classCount, count, output);
        continue;
      }
      kernels.softmaxCrossEntropy(
        logits,
        model.classCount,
        task.labels,
        task.indices + 4 * position,
        count,
        1,
        locate(layout.gradLogits, own, slot),
        task.losses + 4 * position,
        task.predictions + position,
      );
    }
    team.meet();
  }

  #divisors({ divisors }: Task, steps: number): Float64Array {
    return new Float64Array(this.#options.memory.buffer, divisors, steps);
  }

  #gradientVector(): Float32Array {
    const { memory, layout, model } = this.#options;
    return new Float32Array(memory.buffer, layout.gradients, model.parameterCount);
  }
}
