/** Files of other programs: TensorFlow.js models as anybody builds them. */

import * as tf from "@tensorflow/tfjs";
import { useCpu } from "../use_cpu.ts";
import { decodeLayersModel } from "../../src/formats/layers_model/file.ts";
import type { TrainedModel } from "../../src/formats/trained_model.ts";
import { assertAlmostEquals, assertEquals, assertRejects } from "../assert.ts";
import { randomImages } from "../parity/cases.ts";
import { probabilities, referenceLogits } from "../reference_logits.ts";

const { layers } = tf;

/** Saves a model of TensorFlow.js and reads the two files. */
async function saved(network: tf.LayersModel) {
  let [topology, manifest, bytes]: [object, unknown, Uint8Array] = [{}, [], new Uint8Array()];
  await network.save(tf.io.withSaveHandler((artifacts) => {
    topology = artifacts.modelTopology as object;
    manifest = [{ paths: ["group1-shard1of1.bin"], weights: artifacts.weightSpecs }];
    bytes = new Uint8Array(tf.io.CompositeArrayBuffer.join(artifacts.weightData));
    const modelArtifactsInfo = { dateSaved: new Date(), modelTopologyType: "JSON" as const };
    return Promise.resolve({ modelArtifactsInfo });
  }));
  return { json: JSON.stringify({ modelTopology: topology, weightsManifest: manifest }), bytes };
}

async function imported(network: tf.LayersModel): Promise<TrainedModel> {
  const { json, bytes } = await saved(network);
  return await decodeLayersModel(json, () => Promise.resolve(bytes), "file");
}

/** What TensorFlow.js answers to images, their pixels divided by `divisor`. */
function answers(network: tf.LayersModel, images: Uint8Array, divisor: number): Float32Array {
  return tf.tidy(() => {
    const [, height, width, channels] = network.inputs[0].shape as number[];
    const pixels = tf.tensor(Float32Array.from(images), [3, channels, height, width]);
    const output = network.predict(pixels.div(divisor).transpose([0, 2, 3, 1])) as tf.Tensor;
    return output.dataSync<"float32">();
  });
}

/** Random biases too, since TensorFlow.js starts with zeros; variances are not negative. */
function shuffled(network: tf.LayersModel): tf.LayersModel {
  tf.tidy(() =>
    network.setWeights(
      network.weights.map(({ shape, originalName }, n) => {
        const [low, high] = originalName.endsWith("variance") ? [0.5, 1.5] : [-0.4, 0.4];
        return tf.randomUniform(shape as number[], low, high, "float32", n);
      }),
    )
  );
  return network;
}

const FOREIGN: Readonly<Record<string, { divisor: number; make: () => tf.LayersModel }>> = {
  "a convolutional classifier, flattened with channels last": {
    divisor: 255,
    make: () =>
      tf.sequential({
        layers: [
          layers.conv2d({
            inputShape: [9, 8, 2],
            filters: 3,
            kernelSize: [3, 5],
            padding: "same",
            activation: "relu",
          }),
          layers.maxPooling2d({ poolSize: 2 }),
          layers.dropout({ rate: 0.25 }),
          layers.conv2d({ filters: 4, kernelSize: 2, useBias: false }),
          layers.activation({ activation: "sigmoid" }),
          layers.averagePooling2d({ poolSize: [1, 2], strides: [2, 1] }),
          layers.flatten(),
          layers.reLU(),
          layers.dense({ units: 6, activation: "tanh" }),
          layers.dense({ units: 4, activation: "softmax" }),
        ],
      }),
  },
  "batch norm, and flattening that takes the rows for the channels": {
    divisor: 255,
    make: () =>
      tf.sequential({
        layers: [
          layers.conv2d({
            inputShape: [7, 6, 2],
            filters: 3,
            kernelSize: 2,
            strides: 2,
            padding: "same",
          }),
          layers.batchNormalization({ scale: false }),
          layers.reLU(),
          layers.permute({ dims: [2, 3, 1] }),
          layers.flatten({ dataFormat: "channelsFirst" }),
          layers.dense({ units: 3, activation: "softmax" }),
        ],
      }),
  },
  "a functional model that branches and adds, before and behind batch norm and flattening": {
    divisor: 255,
    make: () => {
      const input = tf.input({ shape: [7, 6, 2] });
      const conv = (strides: number) =>
        layers.conv2d({ filters: 3, kernelSize: 3, strides, padding: "same" });
      const stem = conv(2).apply(input);
      const normal = layers.batchNormalization().apply(stem);
      const body = conv(1).apply(layers.reLU().apply(normal));
      const sum = layers.add().apply([stem, body, normal] as tf.SymbolicTensor[]);
      const flat = layers.flatten().apply(layers.reLU().apply(sum));
      const hidden = layers.dense({ units: 36, activation: "tanh" }).apply(flat);
      const curved = layers.activation({ activation: "tanh" }).apply(flat);
      const both = layers.add().apply([flat, curved] as tf.SymbolicTensor[]);
      const [one, other] = [hidden, both].map((value) => layers.dense({ units: 3 }).apply(value));
      const outputs = layers.softmax().apply(
        layers.add().apply([one, other] as tf.SymbolicTensor[]),
      ) as tf.SymbolicTensor;
      return tf.model({ inputs: input, outputs });
    },
  },
  "arithmetic behind averages of pixels and zeros, which it must not touch": {
    divisor: 255,
    make: () =>
      tf.sequential({
        layers: [
          layers.zeroPadding2d({ inputShape: [5, 6, 1], padding: [1, 1] }),
          layers.averagePooling2d({ poolSize: 2, strides: 1 }),
          layers.rescaling({ scale: 3, offset: -0.5 }),
          layers.flatten(),
          layers.dense({ units: 3, activation: "softmax" }),
        ],
      }),
  },
  "a functional model of bytes, rescaled": {
    divisor: 1,
    make: () => {
      const input = tf.input({ shape: [6, 6, 1] });
      const padded = layers.zeroPadding2d({ padding: [[2, 2], [1, 1]] })
        .apply(layers.rescaling({ scale: 1 / 127.5, offset: -1 }).apply(input));
      const maps = layers.conv2d({ filters: 5, kernelSize: 3, strides: 2 }).apply(padded);
      const flat = layers.reshape({ targetShape: [5 * 4 * 3] }).apply(maps);
      const logits = layers.dense({ units: 3 }).apply(flat);
      const outputs = layers.softmax().apply(logits) as tf.SymbolicTensor;
      return tf.model({ inputs: input, outputs });
    },
  },
};

for (const [name, { divisor, make }] of Object.entries(FOREIGN)) {
  Deno.test(`LayersModel of others: ${name} answers as in TensorFlow.js`, async () => {
    await useCpu();
    const network = shuffled(make());
    const trained = await imported(network);
    const data = randomImages(trained.model, 3, 8);
    const logits = await referenceLogits(trained, data);
    const actual = probabilities(logits, trained.model.classCount);
    const expected = answers(network, data.images, divisor);
    assertEquals(actual.length, expected.length);
    expected.forEach((value, n) => assertAlmostEquals(actual[n], value, 1e-5, `output ${n}`));
    network.dispose();
  });
}

Deno.test("LayersModel of others: what is not supported is refused by its name", async () => {
  await useCpu();
  const image = { inputShape: [5, 5, 2] };
  const head = () => [layers.flatten(), layers.dense({ units: 2 })];
  const cases: [tf.layers.Layer[], string][] = [
    [[layers.layerNormalization(image), ...head()], "LayerNormalization"],
    [
      [layers.conv2d({ ...image, filters: 1, kernelSize: 3, dilationRate: 2 }), ...head()],
      "dilation_rate must be 1",
    ],
    [
      [layers.conv2d({ ...image, filters: 1, kernelSize: 3, activation: "elu" }), ...head()],
      'activation "elu" is not supported',
    ],
    [
      [layers.maxPooling2d({ ...image, poolSize: 2, padding: "same" }), ...head()],
      "padding of a pooling layer must be alike at both sides: windows of 2x2",
    ],
    [[layers.flatten({ inputShape: [5, 5, 1] })], "it has no layer with parameters"],
    [
      [layers.dense({ inputShape: [8], units: 2 })],
      "its input must be [batch, height, width, channels] with known sizes",
    ],
    [
      [layers.conv2d({ ...image, filters: 3, kernelSize: 3 }), layers.flatten()],
      "its logits are pixels in channels-last order: a linear layer must follow",
    ],
    [[layers.dense({ ...image, units: 2 }), layers.flatten()], "its input must be a vector"],
  ];
  for (const [stack, message] of cases) {
    const network = tf.sequential({ layers: stack });
    const error = await assertRejects(() => imported(network), TypeError, message);
    assertEquals(error.message.startsWith("Cannot read file as a LayersModel: "), true);
    network.dispose();
  }
});

Deno.test("LayersModel: files that do not belong together are refused", async () => {
  await useCpu();
  const network = tf.sequential({
    layers: [layers.flatten({ inputShape: [2, 2, 1] }), layers.dense({ name: "a", units: 2 })],
  });
  const { json, bytes } = await saved(network);
  const cases: [string, Uint8Array, string][] = [
    ["{", bytes, "it is not JSON"],
    ["[]", bytes, "modelTopology must be an object, found undefined"],
    [json, bytes.subarray(4), "its weights need 40 bytes, found 36"],
    [json.replace("group1-shard1of1.bin", "../secret"), bytes, '"../secret" is no name of a file'],
    [json.replace("group1-shard1of1.bin", ".."), bytes, '".." is no name of a file'],
    [json.replace('[4,2],"dtype":"float32"', '[4,2],"dtype":"bool"'), bytes, "must be float32"],
    [json.replace('"a/bias"', '"b/bias"'), bytes, 'expected one weight "a/bias" of 1 dimensions'],
    [json.replace("Sequential", "GraphModel"), bytes, 'a Sequential model, found "GraphModel"'],
  ];
  for (const [text, content, message] of cases) {
    const read = () => Promise.resolve(content);
    await assertRejects(() => decodeLayersModel(text, read, "file"), Error, message);
  }
});
