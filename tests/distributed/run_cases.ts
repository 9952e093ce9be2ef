// deno-lint-ignore-file no-console
/** One rank of the parity test: trains all cases on all ranks, and prints what came of them. */

import type { BackendName } from "../../src/backends/backend.ts";
import { runCommand } from "../../src/cli/errors.ts";
import { withWorld } from "../../src/cli/mpi.ts";
import { quietDrivers } from "../../src/cli/backend_flags.ts";
import { openTogether } from "../../src/distributed/session.ts";
import { optionsOf, runCase, sharedCases } from "./shared_cases.ts";

quietDrivers();
await runCommand((args) =>
  withWorld(async (world) => {
    for (const shared of await sharedCases(args as BackendName[])) {
      const { backend, model } = shared;
      const options = optionsOf(shared);
      await using session = await openTogether(world, { backend, model, options });
      console.log(JSON.stringify(await runCase(session, shared)));
    }
    return 0;
  })
);
