// deno-lint-ignore-file no-console
/** Train a small network for a moment, then say what is in a picture of any size.
 *
 *     deno run --allow-read examples/classify.ts boot.png
 */

import { decodePictures, loadDataset, openBackend, predict, train, zooModel } from "@lenet/lenet";

const [path] = Deno.args;
if (path === undefined) {
  console.error("error: Cannot classify: expected the path of a picture");
  Deno.exit(2);
}

const dataset = await loadDataset("sample");
await using session = await openBackend("auto", zooModel("mlp"));
await train(session, dataset, { epochs: 5, learningRate: 0.1 });

const { classNames } = dataset;
const picture = decodePictures([await Deno.readFile(path)], { height: 28, width: 28 });
const [classes] = await predict(session, picture, { classNames });
for (const { className, probability } of classes) {
  console.log(`${className.padEnd(12)} ${(100 * probability).toFixed(1)}%`);
}
