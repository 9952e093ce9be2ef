/** An experiment as a TypeScript program. */

import * as constructors from "../../nn/layers.ts";
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
  const { data, standardize, engine, batchSize, seed, labelSmoothing } = experiment;
  const names = new Set(["evaluate", "loadDataset", "openBackend", "sequential", "train"]);
  if (standardize) names.add("standardizationOf");
  const calls = layers.map((spec) => constructorCall(spec, names, 1));
  const [channels, height, width] = inputShape;
  const source = data === "own"
    ? `"photos/", {\n  pictures: { size: { width: ${width}, height: ${height} }, channels: ${channels} },\n}`
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
    standardize
      ? "\n  standardization: standardizationOf(dataset.train.images, dataset.train.shape),"
      : ""
  }
});
await using session = await openBackend("${engine}", model, {
  optimizer: ${literal(optimizerOf(experiment))},
  init: ${literal(initOf(experiment))},
  batchSize: ${batchSize},
  seed: ${seed},${labelSmoothing > 0 ? `\n  loss: { labelSmoothing: ${labelSmoothing} },` : ""}${
    engine === "wasm" ? `\n  threads: ${threads},` : ""
  }
});

${trainingOf(written)}
const { loss, accuracy } = await evaluate(session, dataset.test);
console.log(JSON.stringify({ loss, accuracy }));
`;
}

/** One call of \`train\`, or one for each learning rate. */
function trainingOf({ experiment, rates }: Written): string {
  const { epochs, batchSize, schedule, seed, learningRate, warmup } = experiment;
  const rise = warmup > 0 ? `, warmup: ${warmup}` : "";
  const plan =
    `epochs: ${epochs}, batchSize: ${batchSize}, schedule: "${schedule}", seed: ${seed}${rise}`;
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

/** The shortest call of a layer's constructor, which has the name of its kind, that gives the layer.
 *
 * Constructors take options, or the values of their fields one by one; blocks take their layers first.
 */
function constructorCall(spec: LayerSpec, names: Set<string>, depth: number): string {
  const indent = "  ".repeat(depth);
  const { type, ...values } = spec as { readonly type: string } & Readonly<Record<string, unknown>>;
  const make = (constructors as unknown as Record<string, (...args: unknown[]) => unknown>)[type];
  const fields: Readonly<Record<string, { readonly type: string }>> = definitionOf(spec).fields;
  const lists = Object.keys(fields).filter((key) => fields[key].type === "layers")
    .map((key) => values[key] ?? []) as (readonly LayerSpec[])[];
  const single = Object.fromEntries(
    Object.entries(values).filter(([key]) => fields[key]?.type !== "layers"),
  );
  const gives = (args: readonly unknown[]) => sameJson(make(...lists, ...args), spec);
  names.add(type);
  const inner = lists.map((list) =>
    list.length === 0
      ? "[]"
      : `[\n${list.map((one) => constructorCall(one, names, depth + 1)).join(",\n")},\n${indent}]`
  );
  const call = (args: readonly string[]) => {
    while (args.length === 0 && inner.at(-1) === "[]") inner.pop();
    return `${indent}${type}(${[...inner, ...args].join(", ")})`;
  };
  const options = gives([single]) && shortest(single, (part) => gives([part]));
  if (options) {
    const parts = Object.entries(options).map(([key, value]) => `${key}: ${literal(value)}`);
    return call(parts.length > 0 ? [`{ ${parts.join(", ")} }`] : []);
  }
  const inOrder = Object.keys(fields).filter((key) => key in single).map((key) => single[key]);
  if (gives(inOrder)) return call(inOrder.map(literal));
  names.delete(type);
  return `${indent}${JSON.stringify(spec)}`;
}

/** The fields that cannot be left out. */
function shortest(
  fields: Readonly<Record<string, unknown>>,
  isEnough: (fields: Readonly<Record<string, unknown>>) => boolean,
): Readonly<Record<string, unknown>> {
  let left = fields;
  for (const key of Object.keys(fields)) {
    const { [key]: _, ...rest } = left;
    if (tried(() => isEnough(rest))) left = rest;
  }
  return left;
}

function tried(test: () => boolean): boolean {
  try {
    return test();
  } catch {
    return false;
  }
}

/** Whether two are the same but for the order of keys. */
function sameJson(one: unknown, other: unknown): boolean {
  const sorted = (_: string, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1))
      : value;
  return JSON.stringify(one, sorted) === JSON.stringify(other, sorted);
}

/** A value as TypeScript writes it; a pair of one size as that size. */
function literal(value: unknown): string {
  if (Array.isArray(value)) {
    const isPair = value.length === 2 && value[0] === value[1];
    return isPair ? literal(value[0]) : `[${value.map(literal).join(", ")}]`;
  }
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const parts = Object.entries(value).map(([key, one]) => `${key}: ${literal(one)}`);
  return `{ ${parts.join(", ")} }`;
}
