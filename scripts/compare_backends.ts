/** `deno task compare`. */

import { runCommand } from "../src/cli/errors.ts";
import { run } from "../src/cli/compare.ts";

if (import.meta.main) await runCommand(run);
