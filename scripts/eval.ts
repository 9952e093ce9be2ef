/** `deno task eval`. */

import { runCommand } from "../src/cli/errors.ts";
import { run } from "../src/cli/eval.ts";

if (import.meta.main) await runCommand(run);
