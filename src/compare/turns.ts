/** The same training by several contenders, in turns, measured: what the compare command reports. */

import { BackendUnavailableError, type Device } from "../backends/backend.ts";
import { type Agreement, Oracle } from "./agreement.ts";
import type { Contender, Runner } from "./contender.ts";
import {
  chooseEvaluation,
  chooseSteps,
  type ComparisonPlan,
  SampleOrder,
  type Work,
} from "./plan.ts";

/** What grows with every repeat. */
interface Repeats {
  /** Milliseconds of a step, one number a repeat; so are the rates. */
  readonly stepMs: number[];
  readonly trainImagesPerSecond: number[];
  readonly evalImagesPerSecond: number[];
  /** Mean loss over the last repeat's batches, before each update. */
  trainLoss: number;
  /** Over the last repeat's batches; undefined if it does not count. */
  trainAccuracy?: number;
  /** After the last repeat, over its images of the test set. */
  testAccuracy: number;
}

/** What one contender did. */
export interface Measured extends Readonly<Repeats> {
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
  /** What all are compared with; one that knows outcomes already need not find them again. */
  readonly oracle?: Oracle;
}

/** Who takes part, and what is asked of it. */
export interface Entrant {
  /** Default: the contender's. */
  readonly name?: string;
  readonly contender: Contender;
  readonly plan: ComparisonPlan;
}

/** Fewest images of the evaluation that tells how fast one is. */
const MIN_EVALUATION = 32;
/** Images of the first step by a contender that is known to be slow. */
const SLOW_BATCH_SIZE = 8;

/** An entrant under way: it trains on as it takes its turns. */
class Entry {
  readonly plan: ComparisonPlan;
  readonly runner: Runner;
  readonly order: SampleOrder;
  work: Work = { steps: 1, batchSize: 1, evalImages: 0, evalPasses: 0 };
  repeats: Repeats = emptyRepeats();
  #position = 0;

  constructor(plan: ComparisonPlan, runner: Runner) {
    [this.plan, this.runner, this.order] = [plan, runner, new SampleOrder(plan)];
  }

  /** Trains and evaluates as its work says, on the samples that follow. */
  async takeTurn(signal?: AbortSignal): Promise<void> {
    const { runner, repeats, plan: { learningRate } } = this;
    const { steps, batchSize, evalImages, evalPasses } = this.work;
    const images = steps * batchSize;
    const samples = this.order.slice(this.#position, images);
    this.#position += images;
    const trained = await runner.train(samples, { batchSize, learningRate, signal });
    repeats.stepMs.push(trained.elapsedMs / steps);
    repeats.trainImagesPerSecond.push(1000 * images / trained.elapsedMs);
    repeats.trainLoss = trained.losses.reduce((sum, loss) => sum + loss, 0) / steps;
    repeats.trainAccuracy = trained.correct === undefined ? undefined : trained.correct / images;
    if (evalPasses === 0) return;
    let evalMs = 0;
    for (let pass = 0; pass < evalPasses; pass++) {
      const { elapsedMs, accuracy } = await runner.evaluate(evalImages);
      evalMs += elapsedMs;
      repeats.testAccuracy = accuracy;
    }
    repeats.evalImagesPerSecond.push(1000 * evalPasses * evalImages / evalMs);
  }

  /** Begins again where it began: what it did so far was to warm up. */
  async restart(): Promise<void> {
    await this.runner.load(this.plan.parameters);
    this.repeats = emptyRepeats();
    this.#position = 0;
  }
}

/** Measures entrants, repeats in turns (A B C A B C), so that drift hits all alike.
 *
 * All with equal plans start from the same bits and take samples in the same order. Before the repeats
 * each one's first steps are compared with the reference's, and it warms up.
 *
 * @throws {Error} The signal's reason, once it aborts.
 */
export async function measureEntrants(
  entrants: readonly Entrant[],
  repeats: number,
  { signal, say = () => {}, oracle = new Oracle(), onRound }: ComparisonHooks & {
    /** What else is measured before each round. */
    readonly onRound?: (round: number) => Promise<void>;
  } = {},
): Promise<Row[]> {
  const rows: (Unavailable | { readonly entry: Entry; readonly opened: Opened })[] = [];
  const running = () => rows.filter((row) => "entry" in row);
  try {
    for (const entrant of entrants) {
      signal?.throwIfAborted();
      say(`${nameOf(entrant)}: start, first steps against the reference, warm-up`);
      rows.push(await openEntry(entrant, oracle, signal));
    }
    await inTurns(running(), repeats, async (row, round) => {
      if (row === running()[0]) await onRound?.(round);
      signal?.throwIfAborted();
      say(`${row.opened.backend}: repeat ${round + 1} of ${repeats}`);
      await row.entry.takeTurn(signal);
    });
    return rows.map((row) =>
      "entry" in row ? { ...row.opened, work: row.entry.work, ...row.entry.repeats } : row
    );
  } finally {
    for (const { entry } of running()) await entry.runner[Symbol.asyncDispose]();
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
  if (error instanceof BackendUnavailableError) return { backend: name, reason: error.message };
  throw error;
}

type Opened = Omit<Measured, keyof Repeats | "work">;

function nameOf({ name, contender }: Entrant): string {
  return name ?? contender.name;
}

async function openEntry(entrant: Entrant, oracle: Oracle, signal?: AbortSignal) {
  const { contender, plan } = entrant;
  const name = nameOf(entrant);
  const started = performance.now();
  let runner: Runner;
  try {
    runner = await contender.open(plan);
  } catch (error) {
    return unavailable(name, error);
  }
  try {
    const startMs = performance.now() - started;
    const entry = new Entry(plan, runner);
    const warm = await warmUp(contender, entry, oracle, signal);
    const { device } = runner;
    return {
      entry,
      opened: { backend: name, outside: contender.outside, device, startMs, ...warm },
    };
  } catch (error) {
    await runner[Symbol.asyncDispose]();
    throw error;
  }
}

/** First step, agreement, and as much more as it takes to know how fast it is; ends where it began. */
async function warmUp(contender: Contender, entry: Entry, oracle: Oracle, signal?: AbortSignal) {
  const { plan, runner, order } = entry;
  const { learningRate, steps: asked, dataset: { test } } = plan;
  let [warmUpSteps, warmUpMs] = [0, 0];
  const step = async (batchSize: number) => {
    const batch = order.slice(0, batchSize);
    const { elapsedMs } = await runner.train(batch, { batchSize, learningRate, signal });
    warmUpSteps++;
    warmUpMs += elapsedMs;
    return elapsedMs;
  };
  const isShort = contender.slow && asked === undefined;
  const firstBatchSize = isShort ? Math.min(SLOW_BATCH_SIZE, plan.batchSize) : plan.batchSize;
  const firstStepMs = await step(firstBatchSize);
  const agreement = await oracle.judge(contender, runner, { plan, signal });
  await runner.load(plan.parameters);
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
  const firstCount = Math.min(test.count, Math.max(evalImages, MIN_EVALUATION));
  const coldMs = await evaluate(firstCount);
  // Where the length is fixed, a second evaluation would tell nothing, and may take minutes.
  const evalMs = asked === undefined ? await evaluate(firstCount) : coldMs;
  entry.work = { ...steps, ...chooseEvaluation(plan, evalMs) };
  await entry.restart();
  return { firstStepMs, firstBatchSize, warmUpMs, warmUpSteps, agreement };
}

function emptyRepeats(): Repeats {
  return {
    ...{ stepMs: [], trainImagesPerSecond: [], evalImagesPerSecond: [] },
    ...{ trainLoss: NaN, testAccuracy: NaN },
  };
}
