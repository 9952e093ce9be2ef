/** `deno task train`. */

import { runCommand } from "../src/cli/errors.ts";
import { trainCommand } from "../src/cli/train.ts";

if (import.meta.main) await runCommand(trainCommand);
