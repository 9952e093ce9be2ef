/** What to train and for how long: the numbers of a recipe. */

import { checkName, checkNumber, checkObject, checkSeed } from "../check.ts";
import { createRandom, permutation } from "../random.ts";

/** How the learning rate changes over a run. */
export type Schedule = "constant" | "cosine";

const SCHEDULES: readonly Schedule[] = ["constant", "cosine"];

/** The numbers of a training run, apart from model, data and optimiser. */
export interface TrainPlan {
  /** Passes over the training set, 1 or more. */
  readonly epochs: number;
  /** Images in a step, 1 or more; the last batch of an epoch may be smaller. */
  readonly batchSize: number;
  /** Learning rate, or the first one of a schedule; above 0. */
  readonly learningRate: number;
  /** How the learning rate changes over the run. */
  readonly schedule: Schedule;
  /** Draws initial parameters and orders; an integer in 0 .. 2^53 - 1. */
  readonly seed: number;
  /** Whether each epoch has its own random order. */
  readonly shuffle: boolean;
  /** Ends the run after this many steps in all. */
  readonly maxSteps?: number;
  /** Ends the run after the first epoch whose accuracy reaches this, in 0 .. 1: on the validation set
   * where there is one, else on the test set.
   */
  readonly targetAccuracy?: number;
}

/** A plan of which only epochs and learning rate must be said. */
export type PlanOptions = Pick<TrainPlan, "epochs" | "learningRate"> & Partial<TrainPlan>;

/** Fills a plan's gaps: batches of 256, a constant learning rate, seed 0, shuffled.
 *
 * @throws {TypeError} If the options are no object, or the schedule is none.
 * @throws {RangeError} If a number is missing or out of range.
 */
export function completePlan(options: PlanOptions): TrainPlan {
  checkObject("plan", options, "an object with epochs and learningRate");
  const { epochs, learningRate, batchSize = 256, schedule = "constant", seed = 0 } = options;
  const { shuffle = true, maxSteps, targetAccuracy } = options;
  checkNumber("epochs", epochs, { whole: true, min: 1 });
  checkNumber("learningRate", learningRate, { above: 0 });
  checkNumber("batchSize", batchSize, { whole: true, min: 1 });
  checkName("schedule", schedule, SCHEDULES);
  checkSeed(seed);
  if (maxSteps !== undefined) checkNumber("maxSteps", maxSteps, { whole: true, min: 0 });
  if (targetAccuracy !== undefined) {
    checkNumber("targetAccuracy", targetAccuracy, { min: 0, max: 1 });
  }
  return {
    epochs,
    batchSize,
    learningRate,
    schedule,
    seed,
    shuffle: Boolean(shuffle),
    ...(maxSteps !== undefined && { maxSteps }),
    ...(targetAccuracy !== undefined && { targetAccuracy }),
  };
}

/** Order of an epoch's samples, a function of seed and epoch alone, so that a run can go on anywhere.
 *
 * @param epoch Number of the epoch, from 1.
 */
export function epochOrder(
  { seed, shuffle }: Pick<TrainPlan, "seed" | "shuffle">,
  epoch: number,
  count: number,
): Uint32Array<ArrayBuffer> {
  return shuffle
    ? permutation(count, createRandom(seed, `order of epoch ${epoch}`))
    : Uint32Array.from({ length: count }, (_, index) => index);
}

/** Learning rates of the steps first .. first + count - 1, counted from 0 over the whole run.
 *
 * The cosine schedule falls from the learning rate at the first step towards 0 after the last one.
 * Source: Loshchilov and Hutter 2017, without restarts.
 */
export function learningRates(
  { learningRate, schedule, epochs }: TrainPlan,
  { first, count, stepsPerEpoch }: {
    readonly first: number;
    readonly count: number;
    readonly stepsPerEpoch: number;
  },
): Float32Array<ArrayBuffer> {
  const totalSteps = epochs * stepsPerEpoch;
  return Float32Array.from(
    { length: count },
    (_, index) =>
      schedule === "constant"
        ? learningRate
        : learningRate * (1 + Math.cos(Math.PI * (first + index) / totalSteps)) / 2,
  );
}
