/** `lenet`: all commands as one program, which `deno task compile` makes into one file. */

import { runCommand } from "../src/cli/errors.ts";
import { type CommandTable, runProgram } from "../src/cli/program.ts";

/** The program's commands; deno.json describes each and says what it may do. */
export const COMMANDS: CommandTable = {
  train: () => import("../src/cli/train.ts"),
  sweep: () => import("../src/cli/sweep.ts"),
  eval: () => import("../src/cli/eval.ts"),
  predict: () => import("../src/cli/predict.ts"),
  export: () => import("../src/cli/export.ts"),
  compare: () => import("../src/cli/compare.ts"),
  fetch: () => import("../src/cli/fetch.ts"),
  summary: () => import("../src/cli/summary.ts"),
  lab: () => import("../src/cli/lab.ts"),
  devices: () => import("../src/cli/devices.ts"),
};

if (import.meta.main) await runCommand((args) => runProgram(COMMANDS, args));
