// deno-lint-ignore-file no-console
/** Commands that many processes run together: rank 0 runs them, the others do as it says. */

import { endFollowers, follow } from "../distributed/follow.ts";
import { isLaunchedFollower, MpiUnavailableError } from "../distributed/loader.ts";
import { RankFailedError } from "../distributed/session.ts";
import { openWorld, type World } from "../distributed/world.ts";
import { describeError, EXIT, withInterrupt } from "./errors.ts";
import { quietDrivers } from "./quiet_drivers.ts";

/** Starts MPI, and runs a command on rank 0, whose sessions all ranks share.
 *
 * An error of rank 0 ends the other ranks in peace; one of a rank that others wait for is printed by
 * that rank, and ends them all at once.
 */
export async function withWorld(lead: (world: World) => Promise<number>): Promise<number> {
  let world: World;
  try {
    world = openWorld();
  } catch (error) {
    // Every process finds the same; one is enough to say it.
    if (error instanceof MpiUnavailableError && isLaunchedFollower()) return EXIT.failure;
    throw error;
  }
  return world.rank === 0 ? await leadAll(world, lead) : await followWorld(world);
}

async function leadAll(world: World, lead: (world: World) => Promise<number>): Promise<number> {
  try {
    return await lead(world);
  } catch (error) {
    if (error instanceof RankFailedError) endAtOnce(world, error.cause);
    throw error;
  } finally {
    endFollowers(world);
    world.finalize();
  }
}

/** Follows rank 0 until it ends the job. */
export async function followWorld(world: World): Promise<number> {
  quietDrivers();
  try {
    // A launcher passes Ctrl-C on to all: rank 0 alone decides what comes of it.
    await withInterrupt(() => follow(world));
  } catch (error) {
    endAtOnce(world, error);
  }
  world.finalize();
  return EXIT.ok;
}

/** Prints an error and ends all ranks: the others are waiting for this one, and would for ever. */
function endAtOnce(world: World, error: unknown): never {
  console.error(`error: ${describeError(error)} (on rank ${world.rank} of ${world.size})`);
  world.abort(EXIT.failure);
  Deno.exit(EXIT.failure);
}
