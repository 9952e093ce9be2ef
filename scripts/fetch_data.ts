/** `deno task fetch`: obtains the datasets. */
import { runCommand } from "../src/cli/errors.ts";
import { run } from "../src/cli/fetch.ts";

if (import.meta.main) await runCommand(run);
