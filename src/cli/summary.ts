// deno-lint-ignore-file no-console
/** The summary command: a model's layers, sizes and costs as a table. */

import { invocation } from "../invocation.ts";
import { showShape } from "../nn/sequential.ts";
import { MODEL_NAMES, ZOO, zooModel } from "../nn/zoo.ts";
import { costsOf, summaryTable } from "../report/summary_table.ts";
import { EXIT } from "./errors.ts";
import { defineCommand, parseFlags } from "./flags.ts";

const COMMAND = defineCommand({
  usage: invocation("summary"),
  summary:
    "Print a model's layers: output sizes, parameters, multiply-accumulates, receptive field.",
  examples: [["", "LeNet"], ["--model mlp", "another model of the zoo"]],
  flags: {
    model: { type: "choice", choices: MODEL_NAMES, default: "lenet", help: "which model" },
    json: { type: "boolean", help: "print JSON" },
  },
});

export { COMMAND as command, summaryCommand as run };

/** Runs the command with its arguments and returns the exit code. */
export function summaryCommand(args: string[]): Promise<number> {
  const { flags } = parseFlags(COMMAND, args);
  const model = zooModel(flags.model);
  const costs = costsOf(model);
  const { layers, total } = costs;
  if (flags.json) {
    console.log(JSON.stringify({ name: model.name, inputShape: model.inputShape, layers, total }));
    return Promise.resolve(EXIT.ok);
  }
  console.log(`${model.name}: ${ZOO[flags.model].description}`);
  console.log(`Input ${showShape(model.inputShape)}\n`);
  console.log(summaryTable(costs));
  console.log(
    `\nMACs: multiply-accumulates of one image, forward; training: with the gradients\n` +
      `(${(2 * total.trainingMacs / 1e6).toFixed(3)} MFLOP).\n` +
      `sees: receptive field of one output, in pixels of the input.`,
  );
  return Promise.resolve(EXIT.ok);
}
