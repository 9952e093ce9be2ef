/** What a sweep knows of the ranks that share its work. */

import type { Dataset } from "../data/dataset.ts";
import type { World } from "../distributed/world.ts";
import type { SweepResult } from "../report/sweep_record.ts";
import type { SweepFlags } from "./sweep_flags.ts";
import type { Settings } from "./sweep_grid.ts";

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
