/** What each thread does with a job: its share of the blocks, then its share of the rows. */

import type { Model } from "../../nn/sequential.ts";
import { byteTransform } from "../../nn/standardization.ts";
import { BLOCK } from "./arena.ts";
import type { Job } from "./job.ts";
import type { Kernels } from "./kernels.ts";
import type { Layout } from "./layout.ts";
import { buildNetwork, locate, type Network, type NetworkOptions } from "./network.ts";
import type { Team } from "./team.ts";

/** What a runner is made of. */
export interface RunnerOptions extends NetworkOptions {
  readonly model: Model;
  readonly memory: WebAssembly.Memory;
  readonly kernels: Kernels;
  readonly layout: Layout;
  readonly team: Team;
}

/** One thread's hands. All threads run the same job and meet between its phases; sums are made in
 * the order of images and threads, so that equal jobs give equal bits.
 */
export class Runner {
  readonly #options: RunnerOptions;
  readonly #network: Network;
  readonly #own: number;

  constructor(options: RunnerOptions) {
    const { layout, thread } = options;
    this.#options = options;
    this.#network = buildNetwork(options.kernels, layout, options);
    this.#own = layout.ownStart + thread * layout.threadBytes;
  }

  /** Does this thread's share of a job; returns when all threads are done. */
  run(job: Job): void {
    switch (job.kind) {
      case "pack":
        for (const rows of this.#network.rows) rows.pack();
        return this.#options.team.meet();
      case "train":
        return this.#train(job);
      case "gradients":
        this.#batch(job, 0, job.count);
        return this.#options.team.meet();
      default:
        return this.#infer(job);
    }
  }

  #train(job: Job): void {
    const { count, batchSize } = job;
    const steps = Math.ceil(count / batchSize);
    const { memory, team } = this.#options;
    const learningRates = new Float32Array(memory.buffer, job.learningRates, steps);
    for (let step = 0; step < steps; step++) {
      const first = step * batchSize;
      this.#batch(job, first, Math.min(batchSize, count - first));
      for (const rows of this.#network.rows) {
        rows.update(learningRates[step], job.step + step + 1);
        rows.pack();
      }
      team.meet();
    }
  }

  /** Gradients of the mean loss of images first..first + batch, chunk by chunk. */
  #batch(job: Job, first: number, batch: number): void {
    const { layout, team } = this.#options;
    const { rows, clear } = this.#network;
    clear();
    for (let start = 0; start < batch; start += layout.chunkSize) {
      if (start > 0) team.meet(); // until everyone has read the last chunk
      const size = Math.min(layout.chunkSize, batch - start);
      this.#chunk(job, { first: first + start, size, batch });
      team.meet();
      const blocks = Math.ceil(size / BLOCK);
      for (const work of rows) work.accumulate(blocks, start === 0);
    }
    for (const work of rows) work.reduce();
  }

  /** Forward and backward through this thread's blocks of a chunk. */
  #chunk(job: Job, { first, size, batch }: { first: number; size: number; batch: number }): void {
    const { kernels, layout, model } = this.#options;
    const { forward, backward } = this.#network;
    const [start, end] = this.#share(Math.ceil(size / BLOCK));
    for (let block = start; block < end; block++) {
      const count = Math.min(BLOCK, size - block * BLOCK);
      const position = first + block * BLOCK;
      this.#load(job, { position, count, block });
      for (const call of forward) call(block);
      kernels.softmaxCrossEntropy(
        locate(layout.logits, this.#own, block),
        model.classCount,
        job.labels,
        job.indices + 4 * position,
        count,
        1 / batch,
        locate(layout.gradLogits, this.#own, block),
        job.losses + 4 * position,
        job.predictions + position,
      );
      for (const call of backward) call(block);
    }
  }

  /** Forward only; tensors that training keeps for each block are kept for each thread. */
  #infer(job: Job): void {
    const { kernels, layout, model, team, thread: slot } = this.#options;
    const [start, end] = this.#share(Math.ceil(job.count / BLOCK));
    for (let block = start; block < end; block++) {
      const position = block * BLOCK;
      const count = Math.min(BLOCK, job.count - position);
      this.#load(job, { position, count, block: slot });
      for (const call of this.#network.forward) call(slot);
      const logits = locate(layout.logits, this.#own, slot);
      if (job.kind === "predict") {
        const output = job.logits + 4 * position * model.classCount;
        kernels.storeLogits(logits, model.classCount, count, output);
        continue;
      }
      kernels.softmaxCrossEntropy(
        logits,
        model.classCount,
        job.labels,
        job.indices + 4 * position,
        count,
        1,
        locate(layout.gradLogits, this.#own, slot),
        job.losses + 4 * position,
        job.predictions + position,
      );
    }
    team.meet();
  }

  #load(job: Job, { position, count, block }: { position: number; count: number; block: number }) {
    const { kernels, layout, model } = this.#options;
    const { scale, offset } = byteTransform(model.standardization);
    kernels.loadImages(
      job.images,
      job.indices + 4 * position,
      count,
      ...model.inputShape,
      scale,
      offset,
      locate(layout.images, this.#own, block),
      layout.images.rowBytes,
    );
  }

  /** This thread's part of `count` pieces of work. */
  #share(count: number): [start: number, end: number] {
    const { thread, threads } = this.#options;
    return [Math.floor(thread * count / threads), Math.floor((thread + 1) * count / threads)];
  }
}
