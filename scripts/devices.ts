/** `deno task devices`. */

import { runCommand } from "../src/cli/errors.ts";
import { devicesCommand } from "../src/cli/devices.ts";

if (import.meta.main) await runCommand(devicesCommand);
