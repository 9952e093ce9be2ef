/** `deno task lab`. */

import { runCommand } from "../src/cli/errors.ts";
import { run } from "../src/cli/lab.ts";

if (import.meta.main) await runCommand(run);
