// deno-lint-ignore-file no-console
/** A network of one's own: what it costs, and how well it does with Adam.
 *
 *     deno run --allow-read examples/own_model.ts
 */

import {
  conv2d,
  flatten,
  linear,
  loadDataset,
  maxPool2d,
  openBackend,
  relu,
  sequential,
  summarize,
  train,
} from "@lenet/lenet";

const model = sequential([
  conv2d({ name: "conv1", outChannels: 8, kernelSize: 3, stride: 2, padding: 1 }),
  relu(),
  conv2d({ name: "conv2", outChannels: 16, kernelSize: 3, padding: 1 }),
  relu(),
  maxPool2d({ poolSize: 2 }),
  flatten(),
  linear({ name: "fc", outFeatures: 10 }),
], { name: "strided" });

for (const { name, outputShape, parameters, receptiveField } of summarize(model)) {
  const [height, width] = receptiveField;
  console.log(`${name.padEnd(10)} [${outputShape}]  ${parameters} parameters  ${height}x${width}`);
}

const dataset = await loadDataset("sample");
await using session = await openBackend("auto", model, {
  optimizer: { type: "adam", beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
  batchSize: 128,
});
const plan = { epochs: 3, batchSize: 128, learningRate: 0.003, schedule: "cosine" } as const;
const { progress } = await train(session, dataset, plan);
console.log(`best test accuracy ${progress.bestAccuracy.toFixed(3)} in ${progress.step} steps`);
