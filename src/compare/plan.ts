/** What every contender of a comparison is asked to do, and on which images. */

import type { Dataset } from "../data/dataset.ts";
import type { Model } from "../nn/sequential.ts";
import { epochOrder } from "../train/plan.ts";

/** What every contender is asked to do. */
export interface ComparisonPlan {
  readonly model: Model;
  readonly dataset: Dataset;
  /** Initial parameters, the same for all. */
  readonly parameters: Float32Array;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly seed: number;
  /** Steps of each repeat; without them as many as fit into the budget. */
  readonly steps?: number;
  /** Measured repeats of training and of evaluation. */
  readonly repeats: number;
  /** Milliseconds that training may take in a repeat, where steps are left open. */
  readonly budgetMs: number;
  readonly threads?: number;
  /** Largest batch of the steps that are compared with the reference; default 256. */
  readonly judgedBatch?: number;
}

/** What a contender is opened with. */
export type OpenPlan = Pick<
  ComparisonPlan,
  "model" | "dataset" | "parameters" | "batchSize" | "threads"
>;

/** What one contender does in a repeat. */
export interface Work {
  readonly steps: number;
  readonly batchSize: number;
  /** Test images of one pass of evaluation. */
  readonly evalImages: number;
  readonly evalPasses: number;
}

/** Most steps, or passes, of a repeat whose length the budget decides. */
const MAX_TIMES = 500;
/** Longest step, in budgets, that is done as asked; beyond it the batch shrinks. */
const LONG = 4;
/** Evaluation's share of the budget. */
const EVAL_SHARE = 0.25;

/** Fits training into the budget: several steps, or one, or one of a smaller batch. */
export function chooseSteps(
  { batchSize, steps, budgetMs }: Pick<ComparisonPlan, "batchSize" | "steps" | "budgetMs">,
  msPerImage: number,
): Pick<Work, "steps" | "batchSize"> {
  if (steps !== undefined) return { steps, batchSize };
  const [times, images] = fit(batchSize, { msPerImage, limitMs: budgetMs, shortMs: 2 * budgetMs });
  return { steps: times, batchSize: images };
}

/** Fits evaluation into its share of the budget: several passes, or one, or one over fewer images. */
export function chooseEvaluation(
  { dataset: { test: { count } }, steps, budgetMs }: Pick<
    ComparisonPlan,
    "dataset" | "steps" | "budgetMs"
  >,
  msPerImage: number,
): Pick<Work, "evalImages" | "evalPasses"> {
  if (steps !== undefined) return { evalImages: count, evalPasses: 1 };
  const limitMs = EVAL_SHARE * budgetMs;
  const [evalPasses, images] = fit(count, { msPerImage, limitMs, shortMs: limitMs });
  return { evalImages: Math.min(count, images), evalPasses };
}

/** How often some images fit into a limit; where once is far too long, a power of two that is not. */
function fit(
  images: number,
  { msPerImage, limitMs, shortMs }: Readonly<Record<"msPerImage" | "limitMs" | "shortMs", number>>,
): [times: number, images: number] {
  const onceMs = msPerImage * images;
  if (onceMs > LONG * limitMs) {
    return [1, 2 ** Math.max(0, Math.floor(Math.log2(shortMs / msPerImage)))];
  }
  return [Math.min(MAX_TIMES, Math.max(1, Math.floor(limitMs / onceMs))), images];
}

/** Samples in training order: epochs follow one another, each with its own order. */
export class SampleOrder {
  readonly #seed: number;
  readonly #count: number;
  readonly #epochs: Uint32Array[] = [];

  constructor({ seed, dataset }: Pick<ComparisonPlan, "seed" | "dataset">) {
    this.#seed = seed;
    this.#count = dataset.train.count;
  }

  /** The samples first .. first + length - 1, counted over all epochs. */
  slice(first: number, length: number): Uint32Array {
    const order = new Uint32Array(length);
    for (let done = 0; done < length;) {
      const offset = (first + done) % this.#count;
      const part = this.#epoch(Math.floor((first + done) / this.#count))
        .subarray(offset, offset + length - done);
      order.set(part, done);
      done += part.length;
    }
    return order;
  }

  #epoch(index: number): Uint32Array {
    const plan = { seed: this.#seed, shuffle: true };
    return this.#epochs[index] ??= epochOrder(plan, index + 1, this.#count);
  }
}
