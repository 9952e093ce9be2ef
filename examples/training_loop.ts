// deno-lint-ignore-file no-console
/** A training loop of one's own on a session: order, learning rates, and when to stop.
 *
 * The session keeps images and parameters on the device; a call trains one epoch.
 *
 *     deno run --allow-read examples/training_loop.ts
 */

import { evaluate, loadDataset, openBackend, zooModel } from "@lenet/lenet";

const BATCH_SIZE = 100;

const { train, test } = await loadDataset("sample");
await using session = await openBackend("auto", zooModel("mlp"), { batchSize: BATCH_SIZE });
await session.attach(train);

let best = 0;
for (let epoch = 1; epoch <= 10; epoch++) {
  // Images far apart follow each other: classes mix without a random order.
  const order = Uint32Array.from({ length: train.count }, (_, n) => n * 1_777 % train.count);
  const learningRates = new Float32Array(Math.ceil(train.count / BATCH_SIZE)).fill(0.1 / epoch);
  const { losses } = await session.train(train, { order, batchSize: BATCH_SIZE, learningRates });
  const { accuracy } = await evaluate(session, test);
  const mean = losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
  onEpoch(epoch, mean, accuracy);
  if (accuracy < best + 0.002) break; // it has stopped getting better
  best = accuracy;
}

function onEpoch(epoch: number, loss: number, accuracy: number): void {
  const bar = "#".repeat(Math.round(40 * accuracy));
  console.log(`epoch ${epoch}  loss ${loss.toFixed(3)}  accuracy ${accuracy.toFixed(3)}  ${bar}`);
}
