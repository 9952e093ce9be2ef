/** The training loop: epochs over a session, with metrics, stopping and going on. */

import type { Session, TrainingState, TrainResult } from "../backends/backend.ts";
import type { Dataset } from "../data/dataset.ts";
import { countCorrect } from "./metrics.ts";
import { epochOrder, learningRates, type TrainPlan } from "./plan.ts";

/** One finished epoch: a line of `metrics.jsonl`. */
export interface EpochMetrics {
  /** Number of the epoch, from 1. */
  readonly epoch: number;
  /** Steps since the start of the run. */
  readonly step: number;
  /** Mean over the epoch's images, each measured before the update its batch made. */
  readonly trainLoss: number;
  /** Share of correct predictions, measured as trainLoss is. */
  readonly trainAccuracy: number;
  /** After the epoch, over the whole test set. */
  readonly testLoss: number;
  /** Share of correct predictions on the test set. */
  readonly testAccuracy: number;
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
  /** The epoch at hand, if it was stopped half way. */
  readonly partial: PartialEpoch;
  /** Best test accuracy so far. */
  readonly bestAccuracy: number;
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

/** Why a run ended. */
export type Outcome = "finished" | "target reached" | "max steps reached" | "interrupted";

/** What the caller wants to hear while a run goes on. */
export interface TrainHooks {
  /** Stops the run after the step at hand. */
  readonly signal?: AbortSignal;
  /** Now and then within an epoch: steps done and steps in all of it. */
  readonly onProgress?: (progress: { epoch: number; steps: number; totalSteps: number }) => void;
  /** After training, before evaluation: losses and correct counts, the first step's number. */
  readonly onSteps?: (firstStep: number, result: TrainResult) => Promise<void>;
  /** After every epoch, and at an early end within one. */
  readonly onEpoch?: (metrics: EpochMetrics, checkpoint: Checkpoint) => Promise<void>;
  /** At an interruption within an epoch. */
  readonly onInterrupt?: (checkpoint: Checkpoint) => Promise<void>;
}

/** Thrown when the loss becomes NaN or infinite; what was saved before is kept. */
export class DivergedError extends Error {
  /** Name of the class. */
  override readonly name = "DivergedError";
}

const NOTHING_YET: PartialEpoch = { steps: 0, images: 0, lossSum: 0, correct: 0, trainMs: 0 };

/** The progress of a run that has not begun. */
export const NOT_STARTED: Progress = {
  epochsDone: 0,
  step: 0,
  partial: NOTHING_YET,
  bestAccuracy: 0,
};

/** Trains a session whose state is loaded and whose data is attached.
 *
 * @param start Where to go on; the session must hold the state of that moment.
 * @throws {DivergedError} If the loss of a step is not finite.
 */
export async function train(
  session: Session,
  { train: trainData, test: testData }: Dataset,
  plan: TrainPlan,
  { start = NOT_STARTED, ...hooks }: TrainHooks & { readonly start?: Progress } = {},
): Promise<{ readonly outcome: Outcome; readonly progress: Progress }> {
  const stepsPerEpoch = Math.ceil(trainData.count / plan.batchSize);
  const maxSteps = plan.maxSteps ?? Infinity;
  let progress = start;
  while (progress.epochsDone < plan.epochs) {
    const epoch = progress.epochsDone + 1;
    const doneBefore = progress.partial.steps;
    const stepsNow = Math.min(stepsPerEpoch - doneBefore, maxSteps - progress.step);
    if (stepsNow <= 0) return { outcome: "max steps reached", progress };
    const firstImage = doneBefore * plan.batchSize;
    const order = epochOrder(plan, epoch, trainData.count)
      .subarray(firstImage, firstImage + stepsNow * plan.batchSize);
    const started = performance.now();
    const result = await session.train(trainData, {
      order,
      batchSize: plan.batchSize,
      learningRates: learningRates(plan, { first: progress.step, count: stepsNow, stepsPerEpoch }),
      signal: hooks.signal,
      onProgress: (steps) =>
        hooks.onProgress?.({ epoch, steps: doneBefore + steps, totalSteps: stepsPerEpoch }),
    });
    const trainMs = performance.now() - started;
    await hooks.onSteps?.(progress.step + 1, result);
    requireFinite(result, progress.step, plan);
    const images = Math.min(result.steps * plan.batchSize, order.length);
    const partial = addSteps(progress.partial, result, { images, trainMs, plan });
    const step = progress.step + result.steps;
    if (result.steps < stepsNow) {
      progress = { ...progress, step, partial };
      await hooks.onInterrupt?.({ state: await session.readState(), progress });
      return { outcome: "interrupted", progress };
    }
    const metrics = await evaluateEpoch(session, testData, { epoch, step, partial });
    const bestAccuracy = Math.max(progress.bestAccuracy, metrics.testAccuracy);
    progress = partial.steps === stepsPerEpoch
      ? { epochsDone: epoch, step, partial: NOTHING_YET, bestAccuracy }
      : { epochsDone: epoch - 1, step, partial, bestAccuracy };
    await hooks.onEpoch?.(metrics, { state: await session.readState(), progress });
    if (metrics.testAccuracy >= (plan.targetAccuracy ?? Infinity)) {
      return { outcome: "target reached", progress };
    }
  }
  return { outcome: "finished", progress };
}

async function evaluateEpoch(
  session: Session,
  testData: Dataset["test"],
  { epoch, step, partial }: { epoch: number; step: number; partial: PartialEpoch },
): Promise<EpochMetrics> {
  const started = performance.now();
  const { loss, predictions } = await session.evaluate(testData);
  return {
    epoch,
    step,
    trainLoss: partial.lossSum / partial.images,
    trainAccuracy: partial.correct / partial.images,
    testLoss: loss,
    testAccuracy: countCorrect(predictions, testData.labels) / testData.count,
    trainMs: partial.trainMs,
    evalMs: performance.now() - started,
    imagesPerSecond: partial.images / partial.trainMs * 1000,
  };
}

function addSteps(
  partial: PartialEpoch,
  { steps, losses, corrects }: TrainResult,
  { images, trainMs, plan }: { images: number; trainMs: number; plan: TrainPlan },
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

function requireFinite({ losses }: TrainResult, stepsBefore: number, plan: TrainPlan): void {
  const index = losses.findIndex((loss) => !Number.isFinite(loss));
  if (index < 0) return;
  throw new DivergedError(
    `The loss became ${losses[index]} at step ${stepsBefore + index + 1}: training has diverged; ` +
      `try a --lr below ${plan.learningRate}`,
  );
}
