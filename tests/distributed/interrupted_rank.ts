/** A rank that interrupts itself, as Ctrl-C would, once a file is there; otherwise `train`. */

import { runCommand } from "../../src/cli/errors.ts";
import { trainCommand } from "../../src/cli/train.ts";

const [file, ...args] = Deno.args;
const timer = setInterval(async () => {
  if (!await exists(file)) return;
  clearInterval(timer);
  Deno.kill(Deno.pid, "SIGINT");
}, 1);
await runCommand(trainCommand, args);

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
