/** An experiment as a TypeScript program. */

import { definitionOf, type LayerSpec } from "../../nn/layers/table.ts";
import { type Experiment, initOf, optimizerOf } from "../experiment.ts";

/** What a program is written from. */
export interface Written {
  readonly experiment: Experiment;
  /** The layers of the network that is open. */
  readonly layers: readonly LayerSpec[];
  /** Threads that it runs on. */
  readonly threads: number;
  /** Learning rates that were changed while it trained, in the order of steps. */
  readonly rates: readonly { readonly step: number; readonly learningRate: number }[];
  /** Shape of an image. */
  readonly inputShape: readonly number[];
}

/** Writes the program. */
export function typescriptOf(written: Written): string {
  const { experiment, layers, threads, inputShape } = written;
  const { data, standardize, engine, batchSize, seed } = experiment;
  const names = new Set(["evaluate", "loadDataset", "openBackend", "sequential", "train"]);
  if (standardize) names.add("standardizationOf");
  const calls = layers.map((spec) => constructorCall(spec, names, 1));
  const [, height, width] = inputShape;
  const source = data === "own"
    ? `"photos/", {\n  pictures: { size: { width: ${width}, height: ${height} } },\n}`
    : `"${data}"`;
  return `import {
  ${[...names].sort().join(",\n  ")},
} from "@lenet/lenet";

const dataset = await loadDataset(${source});
const model = sequential([
${calls.join(",\n")},
], {
  name: "${experiment.model}",
  inputShape: dataset.train.shape,${
    standardize ? "\n  standardization: standardizationOf(dataset.train.images)," : ""
  }
});
await using session = await openBackend("${engine}", model, {
  optimizer: ${JSON.stringify(optimizerOf(experiment))},
  init: ${JSON.stringify(initOf(experiment))},
  batchSize: ${batchSize},
  seed: ${seed},${engine === "wasm" ? `\n  threads: ${threads},` : ""}
});

${trainingOf(written)}
const { loss, accuracy } = await evaluate(session, dataset.test);
console.log(JSON.stringify({ loss, accuracy }));
`;
}

/** One call of \`train\`, or one for each learning rate. */
function trainingOf({ experiment, rates }: Written): string {
  const { epochs, batchSize, schedule, seed, learningRate } = experiment;
  const plan = `epochs: ${epochs}, batchSize: ${batchSize}, schedule: "${schedule}", seed: ${seed}`;
  const hooks = `onEpoch: ({ epoch, trainLoss, testLoss, testAccuracy }: {
    epoch: number;
    trainLoss: number;
    testLoss: number;
    testAccuracy: number;
  }) => console.log(JSON.stringify({ epoch, trainLoss, testLoss, testAccuracy })),`;
  if (rates.length < 2) {
    return `await train(session, dataset, { ${plan}, learningRate: ${learningRate} }, {
  ${hooks}
});
`;
  }
  const lines = rates.map(({ learningRate }, n) => {
    const end = rates[n + 1] ? `, maxSteps: ${rates[n + 1].step}` : "";
    const start = n === 0 ? "hooks" : "{ ...hooks, start: progress }";
    const call =
      `await train(session, dataset, { ...plan, learningRate: ${learningRate}${end} }, ${start})`;
    return n === 0 ? `let { progress } = ${call};` : `({ progress } = ${call});`;
  });
  return `const plan = { ${plan} } as const;
const hooks = {
  ${hooks}
};
// The learning rate was changed while it trained.
${lines.join("\n")}
`;
}

/** The call of a layer's constructor, which has the name of its kind. */
function constructorCall(spec: LayerSpec, names: Set<string>, depth: number): string {
  const indent = "  ".repeat(depth);
  names.add(spec.type);
  const fields = definitionOf(spec).fields as Readonly<Record<string, { readonly type: string }>>;
  const values = spec as unknown as Readonly<Record<string, unknown>>;
  const lists: string[] = [];
  const options: string[] = spec.name === undefined ? [] : [`name: ${JSON.stringify(spec.name)}`];
  for (const [key, { type }] of Object.entries(fields)) {
    const value = values[key];
    if (value === undefined) continue;
    if (type === "layers") {
      const inner = (value as LayerSpec[]).map((one) => constructorCall(one, names, depth + 1));
      lists.push(inner.length === 0 ? "[]" : `[\n${inner.join(",\n")},\n${indent}]`);
    } else options.push(`${key}: ${literal(value)}`);
  }
  const args = [...lists, ...(options.length > 0 ? [`{ ${options.join(", ")} }`] : [])];
  return `${indent}${spec.type}(${args.join(", ")})`;
}

function literal(value: unknown): string {
  const isPair = Array.isArray(value) && value.length === 2 && value[0] === value[1];
  return JSON.stringify(isPair ? value[0] : value).replaceAll(",", ", ");
}
