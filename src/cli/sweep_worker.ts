/** Trains one configuration of a sweep, here or on the ranks that share its work. */

import type { Dataset } from "../data/dataset.ts";
import type { World } from "../distributed/world.ts";
import { printable } from "../quote.ts";
import type { SweepResult } from "../run/sweep_record.ts";
import type { Monitor } from "../train/plan.ts";
import { bestEpoch, type EpochMetrics, train } from "../train/trainer.ts";
import { deviceOptions, openSession } from "./backend_flags.ts";
import { describeError } from "./errors.ts";
import type { SweepFlags } from "./sweep_flags.ts";
import { flagsOf, type Settings } from "./sweep_grid.ts";
import { lossOf } from "./recipe_flags.ts";
import { augmentationOf, setApart, type TrainFlags } from "./train_flags.ts";
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

/** How configurations reach the ranks that train them. */
export interface Sharing {
  readonly world: World;
  /** Trains what `next` gives on all ranks, and passes on what comes of it. */
  run(work: {
    readonly flags: SweepFlags;
    readonly dataset: Dataset;
    readonly signal: AbortSignal;
    next(): Settings | undefined;
    done(result: SweepResult): Promise<void>;
  }): Promise<void>;
}

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
    const { flags, plan, optimizer, model, state } = beginningOf(
      given,
      dataset,
      await readInitialModel(given),
    );
    ({ monitor } = plan);
    const device = deviceOptions(flags);
    const { session } = await openSession(flags.backend, model, {
      optimizer,
      ...await lossOf(flags, dataset),
      batchSize: plan.batchSize,
      seed: plan.seed,
      augmentation: augmentationOf(flags),
      ...device,
      threads: device.threads ?? threads,
    });
    await using _ending = session;
    await session.loadState(state);
    const ended = await train(session, dataset, plan, {
      signal,
      onEpoch: (metrics) => {
        epochs.push(metrics);
        return Promise.resolve();
      },
    });
    if (ended.outcome === "interrupted") return undefined;
    ({ restored } = ended);
  } catch (failure) {
    if (signal.aborted) return undefined;
    error = recordedError(failure);
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

/** What went wrong, as a record may have it: what is read back is checked to be printable. */
function recordedError(error: unknown): string {
  return printable(describeError(error).slice(0, 1_000));
}
