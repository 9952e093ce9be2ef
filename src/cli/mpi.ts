// deno-lint-ignore-file no-console
/** Commands that many processes run together: rank 0 runs them, the others do as it says. */

import { endFollowers, follow } from "../distributed/follow.ts";
import { findLauncher, MpiUnavailableError } from "../distributed/loader.ts";
import { RankFailedError } from "../distributed/session.ts";
import { MpiError, openWorld, type World } from "../distributed/world.ts";
import { describeError, EXIT, withInterrupt } from "./errors.ts";
import { quietDrivers } from "./backend_flags.ts";

/** Starts MPI, and runs a command on rank 0, whose sessions all ranks share. */
export async function withWorld(lead: (world: World) => Promise<number>): Promise<number> {
  return await withRanks({
    async lead(world) {
      try {
        return await orEndAll(world, () => lead(world));
      } catch (error) {
        if (error instanceof RankFailedError) endAtOnce(world, error.cause);
        throw error;
      } finally {
        endFollowers(world);
      }
    },
    // A launcher passes Ctrl-C on to all: rank 0 alone decides what it does.
    follow: (world) => withInterrupt(() => follow(world)),
  });
}

/** Starts MPI, and runs one thing on rank 0 and another on the others.
 *
 * What rank 0 throws ends the job once the others have been told; what another rank throws
 * is printed there, and ends them all at once. So does a failure of MPI itself, wherever it is.
 */
export async function withRanks({ lead, follow }: {
  lead(world: World): Promise<number>;
  follow(world: World): Promise<void>;
}): Promise<number> {
  let world: World;
  try {
    world = openWorld();
  } catch (error) {
    // Every process finds the same; one is enough to say it.
    const isOneOfMany = (findLauncher()?.rank ?? 0) > 0;
    if (error instanceof MpiUnavailableError && isOneOfMany) return EXIT.failure;
    throw error;
  }
  if (world.rank > 0) return await followWorld(world, follow);
  try {
    return await orEndAll(world, () => lead(world));
  } finally {
    await orEndAll(world, () => world.finalize());
  }
}

/** Follows rank 0 until it ends the job. */
export async function followWorld(
  world: World,
  body: (world: World) => Promise<void> = follow,
): Promise<number> {
  quietDrivers();
  try {
    await body(world);
    world.finalize();
  } catch (error) {
    endAtOnce(world, error);
  }
  return EXIT.ok;
}

/** Does something on rank 0; where MPI fails, there is no peaceful end. */
async function orEndAll<T>(world: World, action: () => T | Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof MpiError) endAtOnce(world, error);
    throw error;
  }
}

/** Prints an error and ends all ranks: the others are waiting for this one, and would for ever. */
export function endAtOnce(world: World, error: unknown): never {
  console.error(`error: ${describeError(error)} (on rank ${world.rank} of ${world.size})`);
  world.abort(EXIT.failure);
  Deno.exit(EXIT.failure);
}
