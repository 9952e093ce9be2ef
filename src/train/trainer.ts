/** The training loop: epochs over a session, with metrics, stopping and going on. */

import type { Session, TrainingState, TrainResult } from "../backends/backend.ts";
import type { Dataset, LabeledImages } from "../data/dataset.ts";
import { checkFunction, checkNumber, checkObject } from "../check.ts";
import { checkSession } from "./inference.ts";
import { countCorrect } from "./metrics.ts";
import {
  type AnyPlan,
  completePlan,
  epochOrder,
  learningRates,
  type Monitor,
  type PlanOptions,
} from "./plan.ts";

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

/** Why a run ended. */
export type Outcome =
  | "finished"
  | "target reached"
  | "no improvement"
  | "max steps reached"
  | "interrupted";

/** How a training ended. */
export interface Ended {
  /** Why. */
  readonly outcome: Outcome;
  /** How far it has come. */
  readonly progress: Progress;
  /** Whether the session has gone back to the state of its best epoch, as runs with patience do. */
  readonly restored: boolean;
}

/** How often a run is handed out within an epoch; after every epoch it is anyway. */
export interface CheckpointInterval {
  /** After every so many steps of the run, 1 or more. */
  readonly steps?: number;
  /** After the current step when so much time has gone by since the last time. */
  readonly seconds?: number;
}

/** What {@linkcode train} needs of a dataset; a whole {@linkcode Dataset} will do. */
export type TrainingData = Pick<Dataset, "train"> & Partial<Pick<Dataset, "test" | "validation">>;

/** The type of test metrics of a run on such data. */
export type TestedOf<Data extends TrainingData> = Data extends Pick<Dataset, "test"> ? number
  : number | undefined;

/** What the caller wants to hear while a run goes on; it waits for what they return. */
export interface TrainHooks<Tested extends number | undefined = number> {
  /** Stops the run after the current step. */
  readonly signal?: AbortSignal;
  /** Cuts epochs into stretches, each of which ends with a checkpoint; results do not depend on it. */
  readonly checkpointEvery?: CheckpointInterval;
  /** Now and then within an epoch: steps done and steps in all of it. */
  readonly onProgress?: (progress: { epoch: number; steps: number; totalSteps: number }) => void;
  /** After each stretch of training: losses and correct counts, the first step's number. */
  readonly onSteps?: (firstStep: number, result: TrainResult) => void | Promise<void>;
  /** After every epoch, and at an early end within one. */
  readonly onEpoch?: (
    metrics: EpochMetrics<Tested>,
    checkpoint: Checkpoint,
  ) => void | Promise<void>;
  /** Within an epoch: at an interruption, and as often as `checkpointEvery` says. */
  readonly onCheckpoint?: (checkpoint: Checkpoint) => void | Promise<void>;
}

/** Thrown when a loss or a parameter becomes NaN or infinite; what was saved before is kept. */
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

/** Trains a session whose state is loaded.
 *
 * After each epoch the model is measured on the test set, if there is one, and on the validation set
 * where there is one, which then alone decides what is best and whether a target is reached. With
 * `patience`, the session has the state of the best epoch at the end, unless a signal stopped it or the
 * last epoch has reached the target.
 *
 * Images that are attached stay so; others are for this call alone.
 *
 * @param data Images to train on, and to test on: a dataset, or `{ train }` without a test set.
 * @param options What to train; see {@linkcode PlanOptions} for what may be left out.
 * @param start Where to go on; the session must hold the state of that moment.
 * @param best State of the best epoch so far, for a run that goes on with patience.
 * @throws {TypeError} If an argument is of the wrong kind, nothing can be measured for `patience` or
 * `targetAccuracy`, or another call of the session has not ended.
 * @throws {RangeError} If a number is out of range, or a set is empty.
 * @throws {DivergedError} If a loss or a parameter is not finite; no such state is handed out.
 * @example Five steps of a softmax regression
 * ```ts
 * import { loadDataset, openBackend, train, zooModel } from "@lenet/lenet";
 *
 * const dataset = await loadDataset("sample");
 * await using session = await openBackend("wasm", zooModel("softmax"));
 *
 * const plan = { epochs: 1, learningRate: 0.1, maxSteps: 5 };
 * const { progress } = await train(session, dataset, plan, {
 *   onEpoch: ({ trainLoss }) => console.log(trainLoss),
 * });
 * if (progress.step !== 5) throw new Error("expected five steps");
 * ```
 */
export async function train<Data extends TrainingData>(
  session: Session,
  data: Data,
  options: PlanOptions,
  hooks: TrainHooks<TestedOf<Data>> & {
    readonly start?: Progress;
    readonly best?: TrainingState;
  } = {},
): Promise<Ended> {
  checkSession(session);
  checkObject("data", data, "a dataset, or an object with train and test");
  const plan = completePlan(options);
  checkHooks(hooks);
  const { test, validation } = data;
  for (const [name, set] of Object.entries({ test, validation })) {
    if (set?.count !== 0) continue;
    throw new RangeError(`Cannot measure on 0 images: leave ${name} out to train without it`);
  }
  if (!test && !validation && plan.targetAccuracy !== undefined) {
    throw new TypeError("Cannot stop at a targetAccuracy without a test set");
  }
  const { patience } = plan;
  if (patience !== undefined && !test && !validation) {
    throw new TypeError("Cannot have patience without a validation or test set to measure on");
  }
  if (patience !== undefined && hooks.start?.epochsDone && hooks.best === undefined) {
    throw new TypeError(
      `Cannot go on with patience without the best epoch so far: give its state as best`,
    );
  }
  const attached: LabeledImages[] = [];
  try {
    for (const images of [data.train, ...[test, validation].filter((set) => set !== undefined)]) {
      if (await session.attach(images)) attached.push(images);
    }
    return await trainAttached(session, data, { plan, hooks: hooks as TrainHooks & Start });
  } finally {
    // Why training failed says more than that the session has failed with it.
    for (const images of attached) await session.detach(images).catch(() => {});
  }
}

/** Where a run goes on. */
interface Start {
  readonly start?: Progress;
  readonly best?: TrainingState;
}

/** Progress after an epoch, or a part of one that ended a run. */
function judge(
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

async function trainAttached(
  session: Session,
  data: TrainingData,
  { plan, hooks: { start = NOT_STARTED, best, ...hooks } }: {
    readonly plan: AnyPlan;
    readonly hooks: TrainHooks & Start;
  },
): Promise<Ended> {
  const { train: trainData } = data;
  const stepsPerEpoch = Math.ceil(trainData.count / plan.batchSize);
  const { maxSteps = Infinity, patience } = plan;
  let progress = start;
  const end = async (outcome: Outcome): Promise<Ended> => {
    const restored = patience !== undefined && best !== undefined;
    if (restored) await session.loadState(best!);
    return { outcome, progress, restored };
  };
  while (progress.epochsDone < plan.epochs) {
    if (progress.step >= maxSteps) return await end("max steps reached");
    if ((progress.sinceBest ?? 0) >= (patience ?? Infinity)) return await end("no improvement");
    progress = await trainStretch(session, trainData, { plan, hooks, progress });
    const { step, partial } = progress;
    const state = await session.readState();
    requireFinite(state.parameters, plan, () => `Parameters overflowed at step ${step}`);
    if (partial.steps < stepsPerEpoch && step < maxSteps) {
      await hooks.onCheckpoint?.({ state, progress });
      if (hooks.signal?.aborted) return { outcome: "interrupted", progress, restored: false };
      continue;
    }
    const epoch = progress.epochsDone + 1;
    const metrics = await evaluateEpoch(session, data, { epoch, step, partial });
    const { testLoss = 0, validationLoss = testLoss } = metrics;
    const name = Number.isFinite(testLoss) ? "validation" : "test";
    requireFinite(
      [testLoss, validationLoss],
      plan,
      () => `The ${name} loss overflowed after step ${step}`,
    );
    progress = judge(metrics, progress, plan, partial.steps === stepsPerEpoch);
    if (patience !== undefined && isBestSoFar(metrics, progress)) best = state;
    await hooks.onEpoch?.(metrics as EpochMetrics, { state, progress });
    if (scoreOf(metrics, "accuracy") >= (plan.targetAccuracy ?? Infinity)) {
      return { outcome: "target reached", progress, restored: false };
    }
  }
  return await end("finished");
}

function checkHooks(hooks: Omit<TrainHooks, "onEpoch"> & { readonly onEpoch?: unknown }): void {
  checkObject("hooks", hooks);
  for (const name of ["onProgress", "onSteps", "onEpoch", "onCheckpoint"] as const) {
    checkFunction(name, hooks[name]);
  }
  if (hooks.signal !== undefined) checkObject("signal", hooks.signal, "an AbortSignal");
  const { steps, seconds } = hooks.checkpointEvery ?? {};
  if (steps !== undefined) checkNumber("checkpointEvery.steps", steps, { whole: true, min: 1 });
  if (seconds !== undefined) checkNumber("checkpointEvery.seconds", seconds, { above: 0 });
}

/** Trains to the next checkpoint, the end of the epoch or of the run, or until the signal. */
async function trainStretch(
  session: Session,
  data: LabeledImages,
  { plan, hooks, progress }: {
    readonly plan: AnyPlan;
    readonly hooks: TrainHooks;
    readonly progress: Progress;
  },
): Promise<Progress> {
  const { step, partial, epochsDone } = progress;
  const { steps: interval = Infinity, seconds = Infinity } = hooks.checkpointEvery ?? {};
  const epoch = epochsDone + 1;
  const totalSteps = Math.ceil(data.count / plan.batchSize);
  const count = Math.min(
    totalSteps - partial.steps,
    (plan.maxSteps ?? Infinity) - step,
    interval === Infinity ? Infinity : interval - step % interval,
  );
  const first = partial.steps * plan.batchSize;
  const order = epochOrder(plan, epoch, data.count).subarray(first, first + count * plan.batchSize);
  const pause = new AbortController();
  const started = performance.now();
  const result = await session.train(data, {
    order,
    batchSize: plan.batchSize,
    learningRates: learningRates(plan, { first: step, count, stepsPerEpoch: totalSteps }),
    signal: hooks.signal ? AbortSignal.any([hooks.signal, pause.signal]) : pause.signal,
    onProgress: (steps) => {
      if (performance.now() - started >= 1000 * seconds) pause.abort();
      hooks.onProgress?.({ epoch, steps: partial.steps + steps, totalSteps });
    },
  });
  const trainMs = performance.now() - started;
  await hooks.onSteps?.(step + 1, result);
  requireFinite(
    result.losses,
    plan,
    (index) => `The loss became ${result.losses[index]} at step ${step + index + 1}`,
  );
  const images = Math.min(result.steps * plan.batchSize, order.length);
  return {
    ...progress,
    step: step + result.steps,
    partial: addSteps(partial, result, { images, trainMs, plan }),
  };
}

async function evaluateEpoch(
  session: Session,
  { test, validation }: TrainingData,
  { epoch, step, partial }: { epoch: number; step: number; partial: PartialEpoch },
): Promise<EpochMetrics<number | undefined>> {
  const measure = async (data: LabeledImages) => {
    const { loss, predictions } = await session.evaluate(data);
    return [loss, countCorrect(predictions, data.labels) / data.count];
  };
  const started = performance.now();
  const [testLoss, testAccuracy] = test ? await measure(test) : [];
  const [validationLoss, validationAccuracy] = validation ? await measure(validation) : [];
  return {
    epoch,
    step,
    trainLoss: partial.lossSum / partial.images,
    trainAccuracy: partial.correct / partial.images,
    testLoss,
    testAccuracy,
    ...(validation && { validationLoss, validationAccuracy }),
    trainMs: partial.trainMs,
    evalMs: performance.now() - started,
    imagesPerSecond: partial.images / partial.trainMs * 1000,
  };
}

function addSteps(
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

function requireFinite(
  values: ArrayLike<number>,
  { learningRate }: AnyPlan,
  describe: (index: number) => string,
): void {
  const index = Array.prototype.findIndex.call(values, (value) => !Number.isFinite(value));
  if (index < 0) return;
  throw new DivergedError(
    `${describe(index)}: training has diverged; try a --lr below ${learningRate}`,
  );
}
