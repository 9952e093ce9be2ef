/** The training loop: epochs over a session, with stopping and going on. */

import type { Session, TrainingState, TrainResult } from "../backends/backend.ts";
import type { Dataset, LabeledImages } from "../data/dataset.ts";
import { checkFunction, checkNumber, checkObject } from "../check.ts";
import { checkSession } from "./inference.ts";
import { countCorrect } from "./metrics.ts";
import { type AnyPlan, completePlan, epochOrder, learningRates, type PlanOptions } from "./plan.ts";
import {
  addSteps,
  type Checkpoint,
  type EpochMetrics,
  isBestSoFar,
  judge,
  NOT_STARTED,
  type PartialEpoch,
  type Progress,
  scoreOf,
} from "./progress.ts";

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

/** Where a run goes on, what stops it, and what the caller wants to hear meanwhile; it waits for what they
 * return. */
export interface TrainHooks<Tested extends number | undefined = number> {
  /** Where to go on; the session must hold the state of that moment. */
  readonly start?: Progress;
  /** State of the best epoch so far, for a run that goes on with patience. */
  readonly best?: TrainingState;
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
  hooks: TrainHooks<TestedOf<Data>> = {},
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
    return await trainAttached(session, data, { plan, hooks: hooks as TrainHooks });
  } finally {
    // Why training failed says more than that the session has failed with it.
    for (const images of attached) await session.detach(images).catch(() => {});
  }
}

async function trainAttached(
  session: Session,
  data: TrainingData,
  { plan, hooks: { start = NOT_STARTED, best, ...hooks } }: {
    readonly plan: AnyPlan;
    readonly hooks: TrainHooks;
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
