/** `deno task predict`. */

import { runCommand } from "../src/cli/errors.ts";
import { predictCommand } from "../src/cli/predict.ts";

if (import.meta.main) await runCommand(predictCommand);
