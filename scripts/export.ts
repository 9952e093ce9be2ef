/** `deno task export`. */

import { runCommand } from "../src/cli/errors.ts";
import { run } from "../src/cli/export.ts";

if (import.meta.main) await runCommand(run);
