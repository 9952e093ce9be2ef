/** `deno task fetch`: obtains the datasets. */
import { runCommand } from "../src/cli/errors.ts";
import { fetchCommand } from "../src/cli/fetch.ts";

if (import.meta.main) await runCommand(fetchCommand);
