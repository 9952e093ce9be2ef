/** `deno task export`. */

import { runCommand } from "../src/cli/errors.ts";
import { exportCommand } from "../src/cli/export.ts";

if (import.meta.main) await runCommand(exportCommand);
