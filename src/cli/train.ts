/** The train command: parses flags, and starts a run or goes on with one. */

import { findLauncher } from "../distributed/loader.ts";
import type { World } from "../distributed/world.ts";
import { EXIT, HelpAsked, UsageError, withInterrupt } from "./errors.ts";
import {
  asksForMpi,
  checkCombination,
  parseTraining,
  TRAIN_COMMAND,
  type TrainFlags,
} from "./train_flags.ts";
import { resumeRun } from "./train_resume.ts";
import { startRun } from "./train_start.ts";

export { TRAIN_COMMAND as command };

/** Runs the command with its arguments and returns the exit code. */
export async function run(args: string[]): Promise<number> {
  let flags: TrainFlags;
  // What is wrong with flags is said before MPI is there, which help does without.
  try {
    ({ flags } = parseTraining(TRAIN_COMMAND, args));
    checkCombination(args, flags);
  } catch (error) {
    // Rank 0 says it, and its exit code is the job's.
    const isSilent = asksForMpi(args) && (findLauncher()?.rank ?? 0) > 0 &&
      (error instanceof UsageError || error instanceof HelpAsked);
    if (isSilent) return EXIT.ok;
    throw error;
  }
  const { resume } = flags;
  const trainOn = (world?: World) =>
    withInterrupt((signal) =>
      resume === undefined
        ? startRun(flags, { signal, world })
        : resumeRun(flags, resume, { signal, world })
    );
  if (!flags.mpi) return await trainOn();
  const { withWorld } = await import("./mpi.ts");
  return await withWorld(trainOn);
}
