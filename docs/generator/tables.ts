/** The tables of the lesson: computed here and now, or from recorded trainings. */

import { referenceBackend } from "../../src/backends/reference/backend.ts";
import type { LabeledImages } from "../../src/data/dataset.ts";
import { initialParameters, initialStatistics } from "../../src/nn/init.ts";
import { type Model, outputSize, sequential } from "../../src/nn/sequential.ts";
import { conv2d, flatten, linear } from "../../src/nn/layers.ts";
import { channelOf, isNormalized, type Standardization } from "../../src/nn/standardization.ts";
import { MODEL_NAMES, ZOO, zooModel } from "../../src/nn/zoo.ts";
import { costsOf, formatCount, formatTable, summaryTable } from "../../src/report/table.ts";
import { COMPARED_EPOCHS, type Training } from "./trainings.ts";

/** Mean loss of each model of the zoo before its first step. */
export async function firstLossTable(data: LabeledImages): Promise<string> {
  const rows = [["any model, all weights 0", (await lossOf(zooModel("softmax"), data)).toFixed(3)]];
  for (const name of MODEL_NAMES) {
    const model = zooModel(name);
    const parameters = initialParameters(model, 0, ZOO[name].recipe.init);
    rows.push([`\`${name}\``, (await lossOf(model, data, parameters)).toFixed(3)]);
  }
  return formatTable(["model", `loss of the first ${data.count} images`], rows, "lr");
}

async function lossOf(
  model: Model,
  data: LabeledImages,
  parameters: Float32Array = new Float32Array(model.parameterCount),
): Promise<number> {
  const optimizer = { type: "sgd", momentum: 0 } as const;
  await using session = await referenceBackend.open(model, { optimizer, batchSize: 1 });
  const statistics = initialStatistics(model);
  await session.loadState({ parameters, statistics, slots: [], step: 0 });
  await session.attach(data);
  return (await session.evaluate(data)).loss;
}

/** Output sizes of 28 pixels; each is also what `sequential` makes of such a layer. */
export function sizesTable(): string {
  const cases = [[5, 0, 1], [5, 2, 1], [3, 1, 1], [3, 1, 2], [2, 0, 2], [5, 2, 3], [28, 0, 1]];
  const rows = cases.map(([kernelSize, padding, stride]) => {
    const size = outputSize(28, kernelSize, stride, padding);
    const layer = conv2d({ outChannels: 1, kernelSize, padding, stride });
    const [, height] = sequential([layer, flatten(), linear({ outFeatures: 2 })]).layers[0]
      .outputShape;
    if (height !== size) throw new Error(`A layer has ${height} rows, the formula gives ${size}`);
    const sum = `(28 + ${2 * padding} - ${kernelSize}) / ${stride}`;
    return [String(kernelSize), String(padding), String(stride), `⌊${sum}⌋ + 1`, String(size)];
  });
  return formatTable(["kernel", "padding", "stride", "formula", "output"], rows, "rrrlr");
}

/** `deno task summary`. */
export function lenetTable(): string {
  return `\`\`\`text\n${summaryTable(costsOf(zooModel("lenet")))}\n\`\`\``;
}

/** What models cost, and what they reach after as many epochs. */
export function parametersTable(trainings: readonly Training[]): string {
  const rows = (["mlp", "lenet"] as const).map((name) => {
    const model = zooModel(name);
    const { total } = costsOf(model);
    const linear = model.layers.filter(({ inputShape }) => inputShape.length === 1)
      .flatMap(({ parameters }) => parameters)
      .reduce((sum, { size }) => sum + size, 0);
    const { testAccuracy } = find(trainings, `${name}-0`).epochs[COMPARED_EPOCHS - 1];
    return [
      `\`${name}\``,
      formatCount(total.parameters),
      `${(100 * linear / total.parameters).toFixed(0)}%`,
      formatCount(total.forwardMacs),
      testAccuracy.toFixed(3),
    ];
  });
  const header = ["model", "parameters", "of these in linear layers", "multiply-accumulates"];
  return `${
    formatTable([...header, `test accuracy, ${COMPARED_EPOCHS} epochs`], rows, "lrrrr")
  }\n\n${provenance(["mlp-0", "lenet-0"].map((name) => find(trainings, name)))}`;
}

/** Loss and accuracy with pixels prepared in either way. */
export function standardizationTable(trainings: readonly Training[]): string {
  const compared = comparedTrainings(trainings);
  const rows = compared.map(({ training, seed, pixels }) => {
    const [first] = training.epochs;
    const last = training.epochs[COMPARED_EPOCHS - 1];
    return [
      pixels,
      String(seed),
      first.trainLoss.toFixed(3),
      first.testAccuracy.toFixed(3),
      last.trainLoss.toFixed(3),
      last.testAccuracy.toFixed(3),
    ];
  });
  const after = `epoch ${COMPARED_EPOCHS}`;
  const header = ["pixels", "seed", "train loss, epoch 1", "test accuracy, epoch 1"];
  const table = formatTable(
    [...header, `train loss, ${after}`, `test accuracy, ${after}`],
    rows,
    "lrrrrr",
  );
  const { training } = compared.find(({ training }) => !isNormalized(training.standardization))!;
  const { mean, std } = channelOf(training.standardization, 0);
  return `The training set's mean is ${mean.toFixed(4)}, its standard deviation ${std.toFixed(4)}` +
    `.\n\n${table}\n\n${provenance(compared.map(({ training }) => training))}`;
}

/** What models reach by better recipes than their own. */
export function recipesTable(trainings: readonly Training[]): string {
  const compared = ["relu-adam-0", "mlp-0", "softmax-0", "lenet-0"].map((name) =>
    find(trainings, name)
  );
  const rows = compared.map(({ command, epochs }) => {
    const { trainLoss, trainAccuracy, testAccuracy } = epochs[COMPARED_EPOCHS - 1];
    const flags = command.replace(/.*--threads 1/, "").replace(` --epochs ${COMPARED_EPOCHS}`, "");
    const values = [trainLoss, trainAccuracy, testAccuracy].map((value) => value.toFixed(3));
    return [`\`${flags.trim() || "--model lenet"}\``, ...values];
  });
  const header = ["flags of `deno task train`", "train loss", "train accuracy", "test accuracy"];
  return `After ${COMPARED_EPOCHS} epochs:\n\n${formatTable(header, rows, "lrrr")}\n\n` +
    provenance(compared);
}

/** Answers to the lesson's exercises, worked out by the product. */
export function exerciseAnswers(): string {
  const padded = sequential([
    conv2d({ outChannels: 6, kernelSize: 5 }),
    conv2d({ outChannels: 16, kernelSize: 5, stride: 2 }),
    flatten(),
    linear({ outFeatures: 10 }),
  ]);
  const { layers: [first, second] } = costsOf(padded);
  const wide = costsOf(
    sequential(
      ZOO.lenet.specs(10).map((spec) =>
        spec.type === "conv2d" && spec.name === "conv1" ? { ...spec, outChannels: 12 } : spec
      ),
    ),
  );
  const conv2 = (costs: ReturnType<typeof costsOf>) =>
    costs.layers.find(({ name }) => name === "conv2")!;
  const before = conv2(costsOf(zooModel("lenet")));
  const after = conv2(wide);
  return [
    `1. ${first.outputShape.join("x")}, then ${second.outputShape.join("x")}: ` +
    `⌊(24 - 5) / 2⌋ + 1 = ${second.outputShape[1]}.`,
    `2. ${second.receptiveField[0]}: 5, and 4 more at a step of 1.`,
    `3. conv2 has ${formatCount(after.parameters)} parameters instead of ` +
    `${formatCount(before.parameters)}, and ${
      formatCount(after.forwardMacs)
    } multiply-accumulates ` +
    `instead of ${
      formatCount(before.forwardMacs)
    }: its kernels reach over twice as many maps; the ` +
    `16 biases stay.`,
    `4. -ln 0.25 = ${(-Math.log(0.25)).toFixed(3)}; and e^-3 = ${Math.exp(-3).toFixed(3)}.`,
    `5. ${formatCount(28 * 28 * 120 + 120)} parameters in a layer that has ` +
    `${formatCount(400 * 120 + 120)} now.`,
  ].join("\n");
}

/** The trainings of LeNet that differ in pixels and seed only. */
export function comparedTrainings(trainings: readonly Training[]) {
  return trainings.filter(({ name }) => name.startsWith("lenet-"))
    .map((training) => ({
      training,
      seed: Number(training.name.split("-").at(-1)),
      pixels: describePixels(training.standardization),
    }))
    .sort((a, b) => a.pixels < b.pixels ? -1 : a.pixels > b.pixels ? 1 : a.seed - b.seed);
}

/** The training of a name.
 *
 * @throws {TypeError} If it was not recorded.
 */
export function find(trainings: readonly Training[], name: string): Training {
  const training = trainings.find((training) => training.name === name);
  if (training === undefined) {
    throw new TypeError(`Cannot find training "${name}": run deno task docs:figures --train`);
  }
  return training;
}

function describePixels(standardization: Standardization): string {
  return isNormalized(standardization) ? "normalised" : "standardised";
}

/** How to repeat what a table shows. */
function provenance(trainings: readonly Training[]): string {
  const machines = [...new Set(trainings.map(({ machine }) => machine))].join(" and ");
  const dates = [...new Set(trainings.map(({ date }) => date))].join(", ");
  const commands = trainings.map(({ command }) => `    ${command}`);
  return `Measured on ${machines}, ${dates}, by\n\n${commands.join("\n")}`;
}
