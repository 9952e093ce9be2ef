/** `deno task sweep`. */

import { runCommand } from "../src/cli/errors.ts";
import { sweepCommand } from "../src/cli/sweep.ts";

if (import.meta.main) await runCommand(sweepCommand);
