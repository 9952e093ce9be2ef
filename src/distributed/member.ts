/** What every rank does in a distributed training: its part, in step with the others. */

import type { EvaluationResult, Session, TrainRequest, TrainResult } from "../backends/backend.ts";
import { shardRange } from "../backends/backend.ts";
import { nextStretch } from "../backends/calls.ts";
import { type LabeledImages, sliceImages } from "../data/dataset.ts";
import { bytesOf } from "./wire.ts";
import type { World } from "./world.ts";

/** How long the ranks train before rank 0 may stop them. */
const STRETCH_MS = 200;

/** One rank's side: calls return when all ranks have made them. */
export class Member {
  readonly session: Session;
  readonly #world: World;
  readonly #parts = new WeakMap<LabeledImages, LabeledImages>();
  /** Steps of the next stretch; rank 0 decides. */
  #stretch = 1;

  /** @param session Opened with this rank's shard. */
  constructor(world: World, session: Session) {
    this.#world = world;
    this.session = session;
  }

  /** Trains this rank's part of every batch, and adds up what all ranks measured.
   *
   * @param request Equal on all ranks, but for signal and progress, which only rank 0 has.
   */
  async train(data: LabeledImages, request: TrainRequest): Promise<TrainResult> {
    const { order, batchSize, learningRates, onProgress } = request;
    await this.session.attach(data);
    // Losses and correct counts side by side, so that one sum serves both.
    const sums = new Float64Array(2 * learningRates.length);
    const losses = sums.subarray(0, learningRates.length);
    const corrects = sums.subarray(learningRates.length);
    let done = 0;
    for (let count; (count = this.#nextStretch(request, done)) > 0; done += count) {
      const first = done;
      const started = performance.now();
      const result = await this.session.train(data, {
        order: order.subarray(first * batchSize, (first + count) * batchSize),
        batchSize,
        learningRates: learningRates.subarray(first, first + count),
        onProgress: (steps) => onProgress?.(first + steps),
      });
      losses.set(result.losses, first);
      corrects.set(result.corrects, first);
      const elapsedMs = performance.now() - started;
      // The rest of a call says little of how long a whole stretch may be.
      if (count === this.#stretch) this.#stretch = nextStretch(count, elapsedMs, STRETCH_MS);
    }
    this.#world.sum(sums);
    return {
      steps: done,
      losses: Float32Array.from(losses.subarray(0, done)),
      corrects: Uint32Array.from(corrects.subarray(0, done)),
    };
  }

  /** Evaluates this rank's part of the images, and puts all parts together. */
  async evaluate(data: LabeledImages): Promise<EvaluationResult> {
    const { rank, size } = this.#world;
    const { start, end } = shardRange(data.count, { index: rank, count: size });
    const sums = new Float64Array(1 + data.count);
    if (end > start) {
      const part = await this.#partOf(data, start, end);
      const { loss, predictions } = await this.session.evaluate(part);
      sums[0] = loss * (end - start);
      sums.set(predictions, 1 + start);
    }
    this.#world.sum(sums);
    return { loss: sums[0] / data.count, predictions: Uint8Array.from(sums.subarray(1)) };
  }

  /** Ranks whose parameters, statistics or optimiser memory differ from those of rank 0. */
  async findStrays(): Promise<number[]> {
    const { rank, size } = this.#world;
    const { parameters, statistics = [], slots } = await this.session.readState();
    const vectors = [parameters, Float32Array.from(statistics), ...slots];
    const whole = new Float32Array(vectors.reduce((sum, { length }) => sum + length, 0));
    vectors.reduce((start, vector) => (whole.set(vector, start), start + vector.length), 0);
    const digest = new DataView(await crypto.subtle.digest("SHA-256", whole));
    const digests = new Float64Array(size);
    digests[rank] = digest.getUint32(0) * 2 ** 16 + digest.getUint16(4);
    this.#world.sum(digests);
    return Array.from(digests.keys()).filter((other) => digests[other] !== digests[0]);
  }

  /** Frees images, and this rank's part of them. */
  async detach(data: LabeledImages): Promise<void> {
    const part = this.#parts.get(data);
    this.#parts.delete(data);
    for (const images of [data, ...(part ? [part] : [])]) await this.session.detach(images);
  }

  /** Rank 0's word on how many steps come next; 0 ends the call on all ranks at the same step. */
  #nextStretch({ learningRates, signal }: TrainRequest, done: number): number {
    const left = learningRates.length - done;
    const count = Float64Array.of(signal?.aborted ? 0 : Math.min(this.#stretch, left));
    this.#world.broadcast(bytesOf(count));
    return count[0];
  }

  /** A rank that only evaluates some images needs its part of them alone. */
  async #partOf(data: LabeledImages, start: number, end: number): Promise<LabeledImages> {
    const known = this.#parts.get(data);
    if (known) return known;
    const part = sliceImages(data, start, end);
    await this.session.attach(part);
    this.#parts.set(data, part);
    return part;
  }
}
