/** Time to an accuracy: what a user waits for, where images a second are only a part of it. */

import { epochOrder } from "../train/plan.ts";
import { type ComparisonHooks, unavailable } from "./turns.ts";
import type { ComparisonPlan } from "./plan.ts";
import type { Contender } from "./contender.ts";
import { median } from "./statistics.ts";

/** How long a contender trained to reach an accuracy on the whole test set. */
export interface TimeToAccuracy {
  readonly backend: string;
  /** Why it was not tried; the rest is then undefined. */
  readonly reason?: string;
  /** Whether it got there within the epochs allowed. */
  readonly reached?: boolean;
  readonly epochs?: number;
  /** The last epoch's. */
  readonly testAccuracy?: number;
  /** Training alone, evaluation left out. */
  readonly trainMs?: number;
  /** From before the first step to after the last evaluation. */
  readonly wallMs?: number;
  /** Median over its epochs, evaluation left out. */
  readonly epochMs?: number;
}

/** Nobody waits hours for an accuracy: a contender whose epoch takes longer is left out. */
const MAX_EPOCH_MS = 60_000;
/** Nor for one that does not get there: an attempt ends after the epoch in which so much time has passed. */
const MAX_MS = 600_000;

/** What to reach. */
interface Target {
  readonly accuracy: number;
  readonly maxEpochs: number;
}

/** Trains each contender, one after the other, until it reaches an accuracy after an epoch.
 *
 * @throws {Error} The signal's reason, once it aborts.
 */
export async function timeToAccuracy(
  contenders: readonly Contender[],
  plan: ComparisonPlan,
  { rates, ...target }: Target & ComparisonHooks & {
    /** Training images a second by contender, as measured. */
    readonly rates: ReadonlyMap<string, number>;
  },
): Promise<TimeToAccuracy[]> {
  const times: TimeToAccuracy[] = [];
  for (const contender of contenders) {
    const { name } = contender;
    const rate = rates.get(name);
    if (rate === undefined) continue;
    const epochMs = 1000 * plan.dataset.train.count / rate;
    const reason = `left out: an epoch would take ${(epochMs / 60_000).toFixed(1)} minutes`;
    times.push(
      epochMs > MAX_EPOCH_MS
        ? { backend: name, reason }
        : await trainUntil(contender, plan, target).catch((error) => unavailable(name, error)),
    );
  }
  return times;
}

async function trainUntil(
  contender: Contender,
  plan: ComparisonPlan,
  { accuracy, maxEpochs, signal, say }: Target & ComparisonHooks,
): Promise<TimeToAccuracy> {
  const { dataset: { train, test }, seed, batchSize, learningRate } = plan;
  await using session = await contender.open(plan);
  // What is compiled or allocated at first use is start-up, which has a column of its own.
  const batch = epochOrder({ seed, shuffle: true }, 1, train.count).subarray(0, batchSize);
  await session.train(batch, { batchSize, learningRate, signal });
  await session.evaluate(test.count);
  await session.load(plan.parameters);
  const epochTimes: number[] = [];
  let testAccuracy = 0;
  const started = performance.now();
  const isOver = () => epochTimes.length >= maxEpochs || performance.now() - started > MAX_MS;
  while (testAccuracy < accuracy && !isOver()) {
    signal?.throwIfAborted();
    const epoch = epochTimes.length + 1;
    say?.(`${contender.name}: epoch ${epoch}, at ${testAccuracy.toFixed(3)} of ${accuracy}`);
    const order = epochOrder({ seed, shuffle: true }, epoch, train.count);
    const { elapsedMs } = await session.train(order, { batchSize, learningRate, signal });
    epochTimes.push(elapsedMs);
    testAccuracy = (await session.evaluate(test.count)).accuracy;
  }
  return {
    backend: contender.name,
    reached: testAccuracy >= accuracy,
    epochs: epochTimes.length,
    testAccuracy,
    trainMs: epochTimes.reduce((sum, ms) => sum + ms, 0),
    wallMs: performance.now() - started,
    epochMs: median(epochTimes),
  };
}
