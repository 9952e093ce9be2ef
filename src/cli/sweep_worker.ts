/** Trains one configuration of a sweep, here or on the ranks that share its work. */

import type { Dataset } from "../data/dataset.ts";
import { printable } from "../quote.ts";
import type { SweepResult } from "../run/sweep_record.ts";
import type { Monitor } from "../train/plan.ts";
import { bestEpoch, type EpochMetrics } from "../train/progress.ts";
import { train } from "../train/trainer.ts";
import { openSession } from "./backend_flags.ts";
import { describeError } from "./errors.ts";
import { flagsOf, type Settings } from "./sweep_flags.ts";
import type { TrainFlags } from "./train_flags.ts";
import { setApart } from "./train_recipe.ts";
import { beginningOf, readInitialModel } from "./train_init.ts";

/** What a rank needs to train configurations. */
export interface SweepWork {
  /** The flags that all configurations share. */
  readonly base: TrainFlags;
  readonly dataset: Dataset;
  readonly rank: number;
  /** Threads of a session that is not told otherwise. */
  readonly threads?: number;
  readonly signal: AbortSignal;
}

/** Trains what `next` gives, here or on many ranks, and passes on what comes of it. */
export type TrainAll = (work: {
  readonly base: TrainFlags;
  readonly dataset: Dataset;
  readonly signal: AbortSignal;
  next(): Settings | undefined;
  done(result: SweepResult): Promise<void>;
}) => Promise<void>;

/** Trains all configurations in this process. */
export const trainAlone: TrainAll = async ({ next, done, ...work }) => {
  for (let settings; (settings = next()) !== undefined;) {
    const result = await trainConfiguration({ ...work, rank: 0 }, settings);
    if (result) await done(result);
  }
};

/** Trains a configuration; what goes wrong is part of the result.
 *
 * @returns undefined if it was interrupted.
 */
export async function trainConfiguration(
  { base, dataset: whole, rank, threads, signal }: SweepWork,
  settings: Settings,
): Promise<SweepResult | undefined> {
  const started = performance.now();
  const epochs: EpochMetrics[] = [];
  let error: string | undefined;
  let monitor: Monitor | undefined;
  let restored = false;
  try {
    const given = flagsOf(base, settings);
    const dataset = setApart(whole, given);
    const { flags, plan, options, model, state } = await beginningOf(
      given,
      dataset,
      await readInitialModel(given),
    );
    ({ monitor } = plan);
    const { session } = await openSession(flags.backend, model, {
      ...options,
      threads: options.threads ?? threads,
    });
    await using _ending = session;
    await session.loadState(state);
    const ended = await train(session, dataset, plan, {
      signal,
      onEpoch: (metrics) => void epochs.push(metrics),
    });
    if (ended.outcome === "interrupted") return undefined;
    ({ restored } = ended);
  } catch (failure) {
    if (signal.aborted) return undefined;
    // What is read back is checked to be printable.
    error = printable(describeError(failure).slice(0, 1_000));
  }
  const elapsedMs = performance.now() - started;
  const best = bestEpoch(epochs, monitor);
  const last = restored ? best?.metrics : epochs.at(-1);
  return {
    settings,
    ...(last && best && { last, bestAccuracy: best.accuracy, chosenOn: best.chosenOn }),
    ...(error !== undefined && { error }),
    elapsedMs,
    rank,
  };
}
