/** `deno task summary`. */

import { runCommand } from "../src/cli/errors.ts";
import { run } from "../src/cli/summary.ts";

if (import.meta.main) await runCommand(run);
