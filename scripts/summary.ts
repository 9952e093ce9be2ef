/** `deno task summary`. */

import { runCommand } from "../src/cli/errors.ts";
import { summaryCommand } from "../src/cli/summary.ts";

if (import.meta.main) await runCommand(summaryCommand);
