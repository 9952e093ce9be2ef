// deno-lint-ignore-file no-console
/** A plain TensorFlow.js program that trains a CNN on the wasm backend.
 *
 * As published, that backend has no gradient of a convolution: without the one line that registers
 * this project's kernels, `fit` fails.
 *
 *     deno run --allow-read --allow-env --allow-sys examples/tfjs_wasm.ts
 */

import { loadDataset } from "@lenet/lenet";
import { registerWasmTrainingKernels } from "@lenet/lenet/tfjs";
import * as tf from "@tensorflow/tfjs";
import "@tensorflow/tfjs-backend-wasm";

registerWasmTrainingKernels();
await tf.setBackend("wasm");

const { train, classNames } = await loadDataset("sample");
const count = 1_000;
const pixels = Float32Array.from(train.images.subarray(0, count * 784), (pixel) => pixel / 255);
const images = tf.tensor4d(pixels, [count, 28, 28, 1]);
const labels = tf.oneHot(tf.tensor1d([...train.labels.subarray(0, count)], "int32"), 10);

const model = tf.sequential({
  layers: [
    tf.layers.conv2d({ inputShape: [28, 28, 1], filters: 6, kernelSize: 5, activation: "relu" }),
    tf.layers.maxPooling2d({ poolSize: 2 }),
    tf.layers.flatten(),
    tf.layers.dense({ units: classNames.length, activation: "softmax" }),
  ],
});
model.compile({ optimizer: "adam", loss: "categoricalCrossentropy", metrics: ["accuracy"] });
await model.fit(images, labels, {
  epochs: 3,
  batchSize: 50,
  verbose: 0,
  callbacks: {
    onEpochEnd: (epoch, logs) =>
      console.log(`epoch ${epoch + 1}: loss ${logs?.loss.toFixed(3)} on ${tf.getBackend()}`),
  },
});
