/** `deno task compare`. */

import { runCommand } from "../src/cli/errors.ts";
import { compareCommand } from "../src/cli/compare.ts";

if (import.meta.main) await runCommand(compareCommand);
