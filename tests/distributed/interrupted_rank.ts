/** A rank that interrupts itself, as Ctrl-C would, once a file is there; otherwise `train`. */

import { runCommand } from "../../src/cli/errors.ts";
import { run } from "../../src/cli/train.ts";

const [file, ...args] = Deno.args;
interruptOnceThere();
await runCommand(run, args);

async function interruptOnceThere(): Promise<void> {
  while (!await exists(file)) await new Promise((resolve) => setTimeout(resolve, 1));
  Deno.kill(Deno.pid, "SIGINT");
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
