/** The train command: parses flags, and starts a run or goes on with one. */

import { findLauncher } from "../distributed/launcher.ts";
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
  // What is wrong with flags is said before MPI is there, which help does without.
  const flags = asksForMpi(args) && (findLauncher()?.rank ?? 0) > 0
    ? parseInSilence(args)
    : parseTrainFlags(args);
  if (flags === undefined) return EXIT.ok;
  if (!flags.mpi) return await trainOn(flags);
  const { withWorld } = await import("./mpi.ts");
  return await withWorld((world) => trainOn(flags, world));
}

/** The flags.
 *
 * @throws {UsageError} If one is wrong, or contradicts another.
 */
function parseTrainFlags(args: string[]): TrainFlags {
  const { flags } = parseTraining(TRAIN_COMMAND, args);
  checkCombination(args, flags);
  return flags;
}

/** The same on a rank above 0, undefined where help is asked for or a flag is wrong: rank 0 says so, and its exit code is the job's. */
function parseInSilence(args: string[]): TrainFlags | undefined {
  try {
    return parseTrainFlags(args);
  } catch (error) {
    if (error instanceof UsageError || error instanceof HelpAsked) return undefined;
    throw error;
  }
}

/** Trains in this process, or in all of a world. */
async function trainOn(flags: TrainFlags, world?: World): Promise<number> {
  return await withInterrupt((signal) =>
    flags.resume === undefined
      ? startRun(flags, { signal, world })
      : resumeRun(flags, flags.resume, { signal, world })
  );
}
