/** What a finished epoch measured, how far a run has come, and which epoch is the best. */

import type { TrainingState, TrainResult } from "../backends/backend.ts";
import type { AnyPlan, Monitor } from "./plan.ts";

/** One finished epoch: a line of `metrics.jsonl`.
 *
 * @typeParam Tested `number`, or `number | undefined` where there may be no test set.
 */
export interface EpochMetrics<Tested extends number | undefined = number> {
  /** Number of the epoch, from 1. */
  readonly epoch: number;
  /** Steps since the start of the run. */
  readonly step: number;
  /** Mean over the epoch's images, each measured before the update its batch made: of the loss that is
   * trained on, smoothed and weighted where the session was opened so. */
  readonly trainLoss: number;
  /** Share of correct predictions, measured as trainLoss is. */
  readonly trainAccuracy: number;
  /** Plain cross-entropy after the epoch, over the whole test set; undefined without one. */
  readonly testLoss: Tested;
  /** Share of correct predictions on the test set; undefined without one. */
  readonly testAccuracy: Tested;
  /** As testLoss over the validation set; left out where there is none. */
  readonly validationLoss?: number;
  /** As testAccuracy on the validation set; left out where there is none. */
  readonly validationAccuracy?: number;
  /** Time of training. */
  readonly trainMs: number;
  /** Time of evaluation. */
  readonly evalMs: number;
  /** Training images a second, evaluation left out. */
  readonly imagesPerSecond: number;
}

/** How far a run has come: with the state and the plan, all that is needed to go on. */
export interface Progress {
  /** Epochs finished. */
  readonly epochsDone: number;
  /** Steps since the start of the run. */
  readonly step: number;
  /** The current epoch, if it was stopped half way. */
  readonly partial: PartialEpoch;
  /** Best accuracy so far: on the validation set where there is one, else on the test set. */
  readonly bestAccuracy: number;
  /** Lowest loss so far, on the same set; left out where the plan's monitor is accuracy. */
  readonly bestLoss?: number;
  /** Epochs since the last one that was better than all before; left out without patience. */
  readonly sinceBest?: number;
}

/** Sums over the part of an epoch that has been trained. */
export interface PartialEpoch {
  /** Steps done. */
  readonly steps: number;
  /** Images trained on. */
  readonly images: number;
  /** Sum of the images' losses. */
  readonly lossSum: number;
  /** Correct predictions. */
  readonly correct: number;
  /** Time of training. */
  readonly trainMs: number;
}

/** A run at one moment. */
export interface Checkpoint {
  /** Parameters and the optimiser's memory. */
  readonly state: TrainingState;
  /** Epochs and steps done. */
  readonly progress: Progress;
}

const NOTHING_YET: PartialEpoch = { steps: 0, images: 0, lossSum: 0, correct: 0, trainMs: 0 };

/** The progress of a run that has not begun. */
export const NOT_STARTED: Progress = {
  epochsDone: 0,
  step: 0,
  partial: NOTHING_YET,
  bestAccuracy: 0,
};

/** The epoch of a run to keep, and what it was chosen by. */
export interface BestEpoch {
  /** Its metrics. */
  readonly metrics: EpochMetrics;
  /** What decided: what was chosen on the test set does better there than it will on new images. */
  readonly chosenOn: "validation" | "test";
  /** Its accuracy on that set: the highest of all epochs, unless the loss decided. */
  readonly accuracy: number;
}

/** What an epoch is judged by: accuracy on the validation set where there is one, else on the test set. */
export function decidingAccuracy<Tested extends number | undefined>(
  { validationAccuracy, testAccuracy }: EpochMetrics<Tested>,
): number | Tested {
  return validationAccuracy ?? testAccuracy;
}

/** How good an epoch is on the set that decides: more is better. */
export function scoreOf(metrics: EpochMetrics<number | undefined>, monitor: Monitor): number {
  const { testLoss = 0, validationLoss = testLoss } = metrics;
  return monitor === "loss" ? -validationLoss : decidingAccuracy(metrics) ?? 0;
}

/** Whether no epoch before was better than the one that a progress comes right after. One that was not
 * finished, and will be made again when the run goes on, is best only where there is no other.
 */
export function isBestSoFar(
  metrics: EpochMetrics<number | undefined>,
  { bestAccuracy, bestLoss, epochsDone, partial }: Progress,
): boolean {
  if (partial.steps > 0 && epochsDone > 0) return false;
  return bestLoss === undefined
    ? scoreOf(metrics, "accuracy") >= bestAccuracy
    : scoreOf(metrics, "loss") >= -bestLoss;
}

/** The epoch with the highest accuracy, or the lowest loss, on the validation set where there is one, else
 * on the test set; the last among equals. An epoch that was not finished counts only where there is no
 * other.
 *
 * @param monitor What decides; default: accuracy.
 * @returns undefined if there is none.
 * @example None yet
 * ```ts
 * import { bestEpoch } from "@lenet/lenet";
 *
 * if (bestEpoch([]) !== undefined) throw new Error("expected none");
 * ```
 */
export function bestEpoch(
  history: readonly EpochMetrics[],
  monitor: Monitor = "accuracy",
): BestEpoch | undefined {
  const [first, ...rest] = history;
  if (first === undefined) return undefined;
  const others = rest.filter(({ epoch, step }) => step >= epoch * first.step);
  const metrics = others.reduce(
    (best, epoch) => scoreOf(epoch, monitor) >= scoreOf(best, monitor) ? epoch : best,
    first,
  );
  const chosenOn = metrics.validationAccuracy === undefined ? "test" : "validation";
  return { metrics, chosenOn, accuracy: decidingAccuracy(metrics) };
}

/** Progress after an epoch, or a part of one that ended a run. */
export function judge(
  metrics: EpochMetrics<number | undefined>,
  before: Progress,
  { monitor = "accuracy", patience }: AnyPlan,
  isWhole: boolean,
): Progress {
  if (!isWhole && before.epochsDone > 0) return before;
  const isFirst = before.epochsDone === 0;
  const { bestAccuracy, bestLoss = Infinity, sinceBest = 0 } = isFirst ? NOT_STARTED : before;
  const score = scoreOf(metrics, monitor);
  const isBetter = isFirst || score > (monitor === "loss" ? -bestLoss : bestAccuracy);
  return {
    ...before,
    bestAccuracy: Math.max(bestAccuracy, scoreOf(metrics, "accuracy")),
    ...(monitor === "loss" && { bestLoss: Math.min(bestLoss, -score) }),
    ...(patience !== undefined && { sinceBest: isBetter ? 0 : sinceBest + 1 }),
    ...(isWhole && { epochsDone: metrics.epoch, partial: NOTHING_YET }),
  };
}

/** The sums of an epoch's part, with those of the steps that came next. */
export function addSteps(
  partial: PartialEpoch,
  { steps, losses, corrects }: TrainResult,
  { images, trainMs, plan }: { images: number; trainMs: number; plan: AnyPlan },
): PartialEpoch {
  let { lossSum, correct } = partial;
  for (let step = 0; step < steps; step++) {
    const batchSize = Math.min(plan.batchSize, images - step * plan.batchSize);
    lossSum += losses[step] * batchSize;
    correct += corrects[step];
  }
  return {
    steps: partial.steps + steps,
    images: partial.images + images,
    lossSum,
    correct,
    trainMs: partial.trainMs + trainMs,
  };
}
