/** `deno task sweep`. */

import { runCommand } from "../src/cli/errors.ts";
import { run } from "../src/cli/sweep.ts";

if (import.meta.main) await runCommand(run);
