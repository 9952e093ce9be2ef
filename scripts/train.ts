/** `deno task train`. */

import { runCommand } from "../src/cli/errors.ts";
import { run } from "../src/cli/train.ts";

if (import.meta.main) await runCommand(run);
