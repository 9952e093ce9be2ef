/** `deno task eval`. */

import { runCommand } from "../src/cli/errors.ts";
import { evalCommand } from "../src/cli/eval.ts";

if (import.meta.main) await runCommand(evalCommand);
