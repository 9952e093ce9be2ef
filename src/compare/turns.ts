/** The same training by several contenders, in turns, measured: what the compare command reports. */

import { BackendUnavailableError, type Device } from "../backends/backend.ts";
import { type Agreement, Oracle } from "./agreement.ts";
import {
  chooseEvaluation,
  chooseSteps,
  type ComparisonPlan,
  SampleOrder,
  type Work,
} from "./plan.ts";
import type { Contender, Runner } from "./contender.ts";
import { PeerMissingError } from "./peers.ts";

/** What one contender did. */
export interface Measured {
  /** Name of the backend or the peer. */
  readonly backend: string;
  /** Whether it is a program of its own. */
  readonly outside: boolean;
  readonly device: Device;
  /** Loading the code, opening the session, attaching the data. */
  readonly startMs: number;
  /** The first step, with all that is compiled or allocated on the way. */
  readonly firstStepMs: number;
  readonly firstBatchSize: number;
  /** What came before the repeats and is not part of them, the first step included. */
  readonly warmUpMs: number;
  readonly warmUpSteps: number;
  /** What it did in each repeat. */
  readonly work: Work;
  /** Milliseconds of a step, one number a repeat; so are the rates. */
  readonly stepMs: readonly number[];
  readonly trainImagesPerSecond: readonly number[];
  readonly evalImagesPerSecond: readonly number[];
  /** Mean loss over the last repeat's batches, before each update. */
  readonly trainLoss: number;
  /** Over the last repeat's batches; undefined if it does not count. */
  readonly trainAccuracy?: number;
  /** After the last repeat, over its images of the test set. */
  readonly testAccuracy: number;
  readonly agreement: Agreement;
}

/** A contender that cannot run here, and why. */
export interface Unavailable {
  readonly backend: string;
  readonly reason: string;
}

/** One row of a comparison. */
export type Row = Measured | Unavailable;

/** Tells the two kinds of rows apart. */
export function isMeasured(row: Row): row is Measured {
  return "device" in row;
}

/** How a comparison is watched and stopped. */
export interface ComparisonHooks {
  readonly signal?: AbortSignal;
  /** Called with what is being done. */
  readonly say?: (activity: string) => void;
}

/** Fewest images of the evaluation that tells how fast one is. */
const MIN_EVALUATION = 32;
/** Images of the first step by a contender that is known to be slow. */
const SLOW_BATCH_SIZE = 8;

/** A contender under way. */
interface Entry {
  readonly contender: Contender;
  readonly runner: Runner;
  readonly opened: Omit<Measured, keyof Repeats>;
  readonly repeats: Repeats;
  /** Samples trained on so far. */
  position: number;
}

/** What grows with every repeat. */
interface Repeats {
  readonly stepMs: number[];
  readonly trainImagesPerSecond: number[];
  readonly evalImagesPerSecond: number[];
  trainLoss: number;
  trainAccuracy?: number;
  testAccuracy: number;
}

/** Runs the plan with each contender, repeats in turns (A B C A B C), so that drift hits all alike.
 *
 * All start from the same bits and take samples in the same order. Before the repeats each one's
 * first steps are compared with the reference's, and it warms up.
 *
 * @throws {Error} The signal's reason, once it aborts.
 */
export async function compareContenders(
  contenders: readonly Contender[],
  plan: ComparisonPlan,
  { signal, say = () => {}, oracle = new Oracle(plan) }: ComparisonHooks & {
    readonly oracle?: Oracle;
  } = {},
): Promise<Row[]> {
  const order = new SampleOrder(plan);
  const entries: (Entry | Unavailable)[] = [];
  const running = () => entries.filter((entry) => "runner" in entry);
  try {
    for (const contender of contenders) {
      signal?.throwIfAborted();
      say(`${contender.name}: start, first steps against the reference, warm-up`);
      entries.push(await openEntry(contender, plan, { order, oracle, signal }));
    }
    await inTurns(running(), plan.repeats, async (entry, repeat) => {
      signal?.throwIfAborted();
      say(`${entry.contender.name}: repeat ${repeat + 1} of ${plan.repeats}`);
      await measureRepeat(entry, plan, { order, signal });
    });
    return entries.map((entry): Row =>
      "runner" in entry ? { ...entry.opened, ...entry.repeats } : entry
    );
  } finally {
    for (const { runner } of running()) await runner[Symbol.asyncDispose]();
  }
}

/** Visits all entries round by round (A B C A B C), so that a noisy minute hurts all alike. */
export async function inTurns<Entry>(
  entries: readonly Entry[],
  rounds: number,
  visit: (entry: Entry, round: number) => Promise<void>,
): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (const entry of entries) await visit(entry, round);
  }
}

/** The reason why a contender is not there; other errors are thrown again. */
export function unavailable(name: string, error: unknown): Unavailable {
  if (error instanceof BackendUnavailableError || error instanceof PeerMissingError) {
    return { backend: name, reason: error.message };
  }
  throw error;
}

interface Means {
  readonly order: SampleOrder;
  readonly oracle: Oracle;
  readonly signal?: AbortSignal;
}

async function openEntry(
  contender: Contender,
  plan: ComparisonPlan,
  means: Means,
): Promise<Entry | Unavailable> {
  const started = performance.now();
  let runner: Runner;
  try {
    runner = await contender.open(plan);
  } catch (error) {
    return unavailable(contender.name, error);
  }
  try {
    const startMs = performance.now() - started;
    const warm = await warmUp(contender, runner, plan, means);
    const opened = {
      backend: contender.name,
      outside: contender.outside,
      device: runner.device,
      startMs,
      ...warm,
    };
    const repeats = {
      stepMs: [],
      trainImagesPerSecond: [],
      evalImagesPerSecond: [],
      trainLoss: NaN,
      testAccuracy: NaN,
    };
    return { contender, runner, opened, repeats, position: 0 };
  } catch (error) {
    await runner[Symbol.asyncDispose]();
    throw error;
  }
}

/** First step, agreement, and as much more as it takes to know how fast it is; ends where it began. */
async function warmUp(
  contender: Contender,
  runner: Runner,
  plan: ComparisonPlan,
  { order, oracle, signal }: Means,
) {
  let [warmUpSteps, warmUpMs] = [0, 0];
  const { learningRate, parameters } = plan;
  const step = async (batchSize: number) => {
    const batch = order.slice(0, batchSize);
    const { elapsedMs } = await runner.train(batch, { batchSize, learningRate, signal });
    warmUpSteps++;
    warmUpMs += elapsedMs;
    return elapsedMs;
  };
  const isShort = contender.slow && plan.steps === undefined;
  const firstBatchSize = isShort ? Math.min(SLOW_BATCH_SIZE, plan.batchSize) : plan.batchSize;
  const firstStepMs = await step(firstBatchSize);
  const agreement = await oracle.judge(contender, runner, signal);
  await runner.load(parameters);
  const stepMs = await step(firstBatchSize);
  const steps = chooseSteps(plan, stepMs / firstBatchSize);
  if (steps.batchSize !== firstBatchSize) await step(steps.batchSize);
  const evaluate = async (count: number) => {
    const { elapsedMs } = await runner.evaluate(count);
    warmUpMs += elapsedMs;
    return elapsedMs / count;
  };
  // Evaluation does less than training: what training could do in its time, it can.
  const { evalImages } = chooseEvaluation(plan, stepMs / firstBatchSize);
  const firstCount = Math.min(plan.dataset.test.count, Math.max(evalImages, MIN_EVALUATION));
  const coldMs = await evaluate(firstCount);
  // Where the length is fixed, a second evaluation would tell nothing, and may take minutes.
  const evalMs = plan.steps === undefined ? await evaluate(firstCount) : coldMs;
  const evaluation = chooseEvaluation(plan, evalMs);
  await runner.load(parameters);
  const work: Work = { ...steps, ...evaluation };
  return { firstStepMs, firstBatchSize, warmUpMs, warmUpSteps, agreement, work };
}

async function measureRepeat(
  entry: Entry,
  { learningRate }: ComparisonPlan,
  { order, signal }: Pick<Means, "order" | "signal">,
): Promise<void> {
  const { runner, repeats, opened: { work } } = entry;
  const { steps, batchSize, evalImages, evalPasses } = work;
  const images = steps * batchSize;
  const samples = order.slice(entry.position, images);
  entry.position += images;
  const trained = await runner.train(samples, { batchSize, learningRate, signal });
  repeats.stepMs.push(trained.elapsedMs / steps);
  repeats.trainImagesPerSecond.push(1000 * images / trained.elapsedMs);
  repeats.trainLoss = trained.losses.reduce((sum, loss) => sum + loss, 0) / steps;
  repeats.trainAccuracy = trained.correct === undefined ? undefined : trained.correct / images;
  let evalMs = 0;
  for (let pass = 0; pass < evalPasses; pass++) {
    const { elapsedMs, accuracy } = await runner.evaluate(evalImages);
    evalMs += elapsedMs;
    repeats.testAccuracy = accuracy;
  }
  repeats.evalImagesPerSecond.push(1000 * evalPasses * evalImages / evalMs);
}
