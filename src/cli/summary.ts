// deno-lint-ignore-file no-console
/** The summary command: a model's layers, sizes and costs as a table. */

import { formatCount, invocation, printable } from "../quote.ts";
import { showShape } from "../nn/sequential.ts";
import { ZOO, zooModel } from "../nn/zoo.ts";
import { costsOf, summaryTable } from "../report/table.ts";
import { frozenText } from "../run/recipe_text.ts";
import { EXIT } from "./errors.ts";
import { defineCommand, JSON_FLAG, parseFlags } from "./flags.ts";
import { loadModel, MODEL_FLAGS } from "./loaded_model.ts";
import { sayNotes } from "./picture_flags.ts";
import { said, widthOf, wrapLine } from "./wrap.ts";

export const command = defineCommand({
  usage: invocation("summary"),
  summary:
    "Print a model's layers: output sizes, parameters, multiply-accumulates, receptive field.",
  examples: [
    ["", "LeNet"],
    ["--model mlp", "another model of the zoo"],
    ["--run runs/first", "what a run trained"],
  ],
  flags: {
    run: { ...MODEL_FLAGS.run, defaultText: undefined },
    weights: MODEL_FLAGS.weights,
    model: {
      ...MODEL_FLAGS.model,
      defaultText: "lenet, or what the file says",
      help: "a model of the zoo, or that of --weights, for a file that does not say",
    },
    json: JSON_FLAG,
  },
});

export async function run(args: string[]): Promise<number> {
  const { flags } = parseFlags(command, args);
  const { run, weights, model: name = "lenet" } = flags;
  const loaded = run === undefined && weights === undefined ? undefined : await loadModel(flags);
  const { label, model, notes } = loaded ??
    { label: name, model: zooModel(name), notes: [] as string[] };
  if (loaded) sayNotes(loaded);
  const costs = costsOf(model);
  const { layers, total } = costs;
  if (flags.json) {
    const { name, inputShape } = model;
    const frozen = model.frozen.length > 0 && { frozen: model.frozen };
    const said = { ...(loaded && { weights: label }), ...(notes.length > 0 && { notes }) };
    console.log(JSON.stringify({ name, inputShape, layers, total, ...frozen, ...said }));
    return EXIT.ok;
  }
  const title = loaded ? `${label}: ${model.name}` : `${label}: ${ZOO[name].description}`;
  console.log(wrapLine(printable(title), widthOf(Deno.stdout), 2));
  console.log(`Input ${showShape(model.inputShape)}\n`);
  console.log(summaryTable(costs));
  console.log(
    `\nMACs: multiply-accumulates of one image, forward; training: with the gradients\n` +
      `(${(2 * total.trainingMacs / 1e6).toFixed(3)} MFLOP).\n` +
      `sees: receptive field of one output, in pixels of the input.`,
  );
  const more = said([
    total.statistics > 0 &&
    `Beside the parameters ${formatCount(total.statistics)} running means and variances, which ` +
      `training measures.`,
    model.frozen.length > 0 && `Frozen, marked *: ${frozenText(model)}.`,
  ]);
  for (const line of more) console.log(wrapLine(printable(line), widthOf(Deno.stdout), 2));
  return EXIT.ok;
}
