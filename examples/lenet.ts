// deno-lint-ignore-file no-console
/** LeNet in one screen: data, network, training, and what became of it.
 *
 *     deno run --allow-read examples/lenet.ts
 */

import { evaluate, lenet, loadDataset, openBackend, train } from "@lenet/lenet";

const dataset = await loadDataset("sample"); // or "fashion-mnist", after deno task fetch
// With plain SGD, sigmoids need the steps of the whole set; Adam gets there on the sample.
const optimizer = { type: "adam", beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;
await using session = await openBackend("auto", lenet(), { optimizer, seed: 0 });
console.log(`LeNet on ${dataset.train.count} images, on ${session.device.description}`);

await train(session, dataset, { epochs: 4, batchSize: 50, learningRate: 0.003 }, {
  onEpoch({ epoch, trainLoss, testAccuracy }) {
    console.log(`epoch ${epoch}: loss ${trainLoss.toFixed(3)}, test ${testAccuracy.toFixed(3)}`);
    return Promise.resolve();
  },
});

const { loss, accuracy } = await evaluate(session, dataset.test);
console.log(`after training: loss ${loss.toFixed(3)}, accuracy ${accuracy.toFixed(3)}`);
