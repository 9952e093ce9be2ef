/** The same training by several contenders, in turns, measured: what the compare command reports. */

import { BackendUnavailableError, type Device } from "../backends/backend.ts";
import { type Agreement, Oracle } from "./agreement.ts";
import type { Contender, ContenderSession, Trained } from "./contender.ts";
import {
  chooseEvaluation,
  chooseSteps,
  type ComparisonPlan,
  SampleOrder,
  type Work,
} from "./plan.ts";

/** What is known of a contender before its turns. */
interface Opened {
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

/** What one contender did. */
export interface Measured extends Opened {
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
  const rows: (Unavailable | Entry)[] = [];
  const running = () => rows.filter((row) => row instanceof Entry);
  try {
    for (const { contender, plan, name = contender.name } of entrants) {
      signal?.throwIfAborted();
      say(`${name}: start, first steps against the reference, warm-up`);
      rows.push(await openEntry({ name, contender, plan }, oracle, signal));
    }
    await inTurns(running(), repeats, async (entry, round) => {
      if (entry === running()[0]) await onRound?.(round);
      signal?.throwIfAborted();
      say(`${entry.name}: repeat ${round + 1} of ${repeats}`);
      await entry.takeTurn(signal);
    });
    return rows.map((row) => row instanceof Entry ? row.measured() : row);
  } finally {
    for (const { session } of running()) await session[Symbol.asyncDispose]();
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

/** What one did in one repeat. */
interface Turn {
  readonly trained: Trained;
  readonly evalMs: number;
  readonly testAccuracy: number;
}

/** An entrant under way: it trains on as it takes its turns. */
class Entry {
  readonly session: ContenderSession;
  readonly #plan: ComparisonPlan;
  readonly #opened: Opened;
  readonly #order: SampleOrder;
  readonly #turns: Turn[] = [];

  constructor(plan: ComparisonPlan, session: ContenderSession, opened: Opened) {
    [this.#plan, this.session, this.#opened] = [plan, session, opened];
    this.#order = new SampleOrder(plan);
  }

  get name(): string {
    return this.#opened.backend;
  }

  /** Trains and evaluates as its work says, on the samples that follow. */
  async takeTurn(signal?: AbortSignal): Promise<void> {
    const { steps, batchSize, evalImages, evalPasses } = this.#opened.work;
    const { learningRate } = this.#plan;
    const images = steps * batchSize;
    const samples = this.#order.slice(this.#turns.length * images, images);
    const trained = await this.session.train(samples, { batchSize, learningRate, signal });
    let [evalMs, testAccuracy] = [0, NaN];
    for (let pass = 0; pass < evalPasses; pass++) {
      const { elapsedMs, accuracy } = await this.session.evaluate(evalImages);
      [evalMs, testAccuracy] = [evalMs + elapsedMs, accuracy];
    }
    this.#turns.push({ trained, evalMs, testAccuracy });
  }

  /** What it did, in one turn or more. */
  measured(): Measured {
    const { steps, batchSize, evalImages, evalPasses } = this.#opened.work;
    const images = steps * batchSize;
    const trainMs = this.#turns.map(({ trained }) => trained.elapsedMs);
    const { trained: { losses, correct }, testAccuracy } = this.#turns.at(-1)!;
    return {
      ...this.#opened,
      stepMs: trainMs.map((ms) => ms / steps),
      trainImagesPerSecond: trainMs.map((ms) => 1000 * images / ms),
      evalImagesPerSecond: this.#turns.map(({ evalMs }) => 1000 * evalPasses * evalImages / evalMs),
      trainLoss: losses.reduce((sum, loss) => sum + loss, 0) / steps,
      trainAccuracy: correct === undefined ? undefined : correct / images,
      testAccuracy,
    };
  }
}

async function openEntry(
  { name, contender, plan }: Required<Entrant>,
  oracle: Oracle,
  signal?: AbortSignal,
): Promise<Entry | Unavailable> {
  const started = performance.now();
  let session: ContenderSession;
  try {
    session = await contender.open(plan);
  } catch (error) {
    return unavailable(name, error);
  }
  try {
    const startMs = performance.now() - started;
    const warm = await warmUp(contender, session, { plan, oracle, signal });
    const { outside } = contender;
    return new Entry(plan, session, {
      ...{ backend: name, outside, device: session.device, startMs, ...warm },
    });
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw error;
  }
}

/** First step, agreement, and as much more as it takes to know how fast it is; ends where it began. */
async function warmUp(
  contender: Contender,
  session: ContenderSession,
  { plan, oracle, signal }: {
    readonly plan: ComparisonPlan;
    readonly oracle: Oracle;
    readonly signal?: AbortSignal;
  },
) {
  const { learningRate, steps: asked, dataset: { test } } = plan;
  const order = new SampleOrder(plan);
  let [warmUpSteps, warmUpMs] = [0, 0];
  const step = async (batchSize: number) => {
    const batch = order.slice(0, batchSize);
    const { elapsedMs } = await session.train(batch, { batchSize, learningRate, signal });
    warmUpSteps++;
    warmUpMs += elapsedMs;
    return elapsedMs;
  };
  const isShort = contender.slow && asked === undefined;
  const firstBatchSize = isShort ? Math.min(SLOW_BATCH_SIZE, plan.batchSize) : plan.batchSize;
  const firstStepMs = await step(firstBatchSize);
  const agreement = await oracle.judge(contender, session, { plan, signal });
  await session.load(plan.parameters);
  const stepMs = await step(firstBatchSize);
  const steps = chooseSteps(plan, stepMs / firstBatchSize);
  if (steps.batchSize !== firstBatchSize) await step(steps.batchSize);
  const evaluate = async (count: number) => {
    const { elapsedMs } = await session.evaluate(count);
    warmUpMs += elapsedMs;
    return elapsedMs / count;
  };
  // Evaluation does less than training: what training could do in its time, it can.
  const { evalImages } = chooseEvaluation(plan, stepMs / firstBatchSize);
  const firstCount = Math.min(test.count, Math.max(evalImages, MIN_EVALUATION));
  const coldMs = await evaluate(firstCount);
  // Where the length is fixed, a second evaluation would tell nothing, and may take minutes.
  const evalMs = asked === undefined ? await evaluate(firstCount) : coldMs;
  const work: Work = { ...steps, ...chooseEvaluation(plan, evalMs) };
  await session.load(plan.parameters);
  return { work, firstStepMs, firstBatchSize, warmUpMs, warmUpSteps, agreement };
}
