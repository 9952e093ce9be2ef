/** `deno task devices`. */

import { runCommand } from "../src/cli/errors.ts";
import { run } from "../src/cli/devices.ts";

if (import.meta.main) await runCommand(run);
