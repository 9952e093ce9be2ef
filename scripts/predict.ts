/** `deno task predict`. */

import { runCommand } from "../src/cli/errors.ts";
import { run } from "../src/cli/predict.ts";

if (import.meta.main) await runCommand(run);
