/** A rank that follows rank 0 as it should, until it has summed gradients often enough. */

import { runCommand } from "../../src/cli/errors.ts";
import { followWorld } from "../../src/cli/mpi.ts";
import { openWorld } from "../../src/distributed/world.ts";

/** Ways to fail, each in the middle of a step, while the other ranks wait. */
const FAULTS: Readonly<Record<string, (sum: Float32Array | Float64Array) => void>> = {
  dies: () => Deno.kill(Deno.pid, "SIGKILL"),
  throws: () => {
    throw new Error("This rank has had enough");
  },
  strays: (sum) => sum[0] += 0.01,
};

await runCommand(([fault, after]) => {
  const world = openWorld();
  let sums = 0;
  return followWorld({
    ...world,
    sum(values) {
      world.sum(values);
      if (values instanceof Float32Array && ++sums === Number(after)) FAULTS[fault](values);
    },
  });
});
