/** Files of other programs: TensorFlow.js models as anybody builds them, ONNX as PyTorch exports it. */

import { create, toBinary } from "@bufbuild/protobuf";
import * as tf from "@tensorflow/tfjs";
import { useCpu } from "../../src/backends/tfjs/network.ts";
import { decodeLayersModel } from "../../src/formats/layers_model_decode.ts";
import { decodeOnnx } from "../../src/formats/onnx/decode.ts";
import { ModelProtoSchema } from "../../src/formats/onnx/schema.ts";
import type { TrainedModel } from "../../src/formats/trained_model.ts";
import { assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "../assert.ts";
import { randomImages } from "../parity/cases.ts";
import { granted } from "../permissions.ts";
import { referenceLogits } from "../reference_logits.ts";
import torchNet from "../fixtures/torch_net.json" with { type: "json" };

const { layers } = tf;

/** Softmax of rows. */
function probabilities(logits: Float32Array, classCount: number): number[] {
  return Array.from(logits, (logit, n) => {
    const row = logits.subarray(n - n % classCount, n - n % classCount + classCount);
    const sum = row.reduce((total, other) => total + Math.exp(other - logit), 0);
    return 1 / sum;
  });
}

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
    [[layers.depthwiseConv2d({ ...image, kernelSize: 3 }), ...head()], "DepthwiseConv2D"],
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
      "'same' padding of a pooling layer is supported where it adds nothing: windows of 2x2",
    ],
    [[layers.flatten({ inputShape: [5, 5, 1] })], "more than its 0 weights could take"],
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

const TORCH_FILE = new URL("../fixtures/torch_net.onnx", import.meta.url);

Deno.test({
  name: "ONNX of others: a network that PyTorch exported answers as in PyTorch",
  ignore: !granted({ name: "read", path: TORCH_FILE }),
  async fn() {
    const trained = decodeOnnx(await Deno.readFile(TORCH_FILE), "torch_net.onnx");
    const { model } = trained;
    assertEquals(
      model.parameters.map(({ name }) => name).filter((name) => name.endsWith("weight")),
      ["conv1.weight", "conv2.weight", "hidden.weight", "out.weight"],
    );
    const labels = new Uint8Array(3);
    const images = Uint8Array.from(torchNet.pixels);
    const data = { images, labels, count: 3, shape: model.inputShape };
    const actual = probabilities(await referenceLogits(trained, data), model.classCount);
    assertEquals(actual.length, torchNet.probabilities.length);
    torchNet.probabilities.forEach((value, n) => assertAlmostEquals(actual[n], value, 1e-5));
  },
});

/** A file of one input [batch, 1, 2, 2], and the nodes and constants given. */
function onnxFile(nodes: readonly Node[], { output = "y", opset = 17n } = {}): Uint8Array {
  const dim = [{ dimParam: "n" }, { dimValue: 1n }, { dimValue: 2n }, { dimValue: 2n }];
  const tensorType = { elemType: 1, shape: { dim } };
  const floats = (name: string, dims: bigint[], floatData: number[]) => ({
    ...{ name, dims, floatData, dataType: 1 },
  });
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 8n,
      opsetImport: [{ domain: "", version: opset }],
      graph: {
        name: "small",
        node: nodes.map(([opType, input, to, attribute = []]) => ({
          ...{ opType, input: input.split(" "), output: [to], attribute },
        })),
        initializer: [
          floats("w", [4n, 2n], [1, 2, 3, 4, 5, 6, 7, 8]),
          floats("b", [2n], [0.5, -0.5]),
          floats("k", [1n, 1n, 1n, 1n], [2]),
          floats("short", [4n, 2n], [1]),
          { name: "half", dims: [4n, 2n], dataType: 10, rawData: new Uint8Array(16) },
          { name: "elsewhere", dims: [4n, 2n], dataType: 1, dataLocation: 1 },
          { name: "shape", dims: [2n], dataType: 7, int64Data: [0n, 4n] },
          floats("two", [], [2]),
        ],
        input: [{ name: "x", type: { tensorType } }],
        output: [{ name: output, type: { tensorType } }],
      },
    }),
  );
}

type Node = [
  opType: string,
  input: string,
  output: string,
  attribute?: { name: string; type: number; i?: bigint; f?: number; ints?: bigint[] }[],
];

const FLATTEN: Node = ["Flatten", "x", "f"];
const GEMM: Node = ["Gemm", "f w b", "y"];

Deno.test("ONNX of others: Gemm either way, MatMul with Add, Reshape, arithmetic on the pixels", () => {
  const transposed = Float32Array.of(1, 3, 5, 7, 2, 4, 6, 8);
  const withBias = Float32Array.of(...transposed, 0.5, -0.5);
  const cases: [Node[], Float32Array][] = [
    [[FLATTEN, GEMM], withBias],
    [[["Reshape", "x shape", "f"], ["MatMul", "f w", "m"], ["Add", "b m", "y"]], withBias],
    [[FLATTEN, ["MatMul", "f w", "y"]], Float32Array.of(...transposed, 0, 0)],
    [[["Mul", "x two", "z"], ["Flatten", "z", "f"], GEMM], withBias],
  ];
  for (const [nodes, expected] of cases) {
    assertEquals(decodeOnnx(onnxFile(nodes), "file").parameters, expected);
  }
  const { model } = decodeOnnx(onnxFile(cases[3][0]), "file");
  assertEquals(model.standardization, { mean: 0, std: 0.5 });
});

Deno.test("ONNX of others: what is not supported is refused by its name, in one line", () => {
  const ints = (name: string, ...values: bigint[]) => ({ name, type: 7, ints: values });
  const int = (name: string, i: bigint) => ({ name, type: 2, i });
  const cases: [Node[], string][] = [
    [[["Elu", "x", "e"], FLATTEN, GEMM], "Elu: the operator is not supported; supported are Conv,"],
    [[FLATTEN, ["Gemm", "f w b", "y", [int("transA", 1n)]]], "Gemm: transA must be 0, found 1"],
    [
      [FLATTEN, ["Gemm", "f w b", "y", [{ name: "alpha", type: 1, f: 2 }]]],
      "Gemm: alpha must be 1, found 2",
    ],
    [[FLATTEN, ["Gemm", "f w b", "y", [int("odd", 1n)]]], 'Gemm: attribute "odd" is not supported'],
    [
      [FLATTEN, ["Gemm", "f short b", "y"]],
      'tensor "short" has 1 numbers, its shape [4, 2] needs 8',
    ],
    [[FLATTEN, ["Gemm", "f half b", "y"]], 'tensor "half" must be float32, found type 10'],
    [[FLATTEN, ["Gemm", "f elsewhere b", "y"]], 'tensor "elsewhere" lies in another file'],
    [[FLATTEN, ["Gemm", "f none b", "y"]], 'its input "none" must be a constant'],
    [[FLATTEN, ["Gemm", "x w b", "y"]], 'Gemm: it takes "x" where "f" is at hand'],
    [[["Gemm", "x w b", "y"]], "its input must be a vector, found [1, 2, 2]"],
    [
      [["Conv", "x k", "c", [ints("pads", 0n, 0n, 1n, 1n)]], ["Flatten", "c", "f"], GEMM],
      "Conv: its padding must be the same at both sides, found [0, 0, 1, 1]",
    ],
    [
      [["Conv", "x k", "c", [ints("dilations", 2n, 1n)]], ["Flatten", "c", "f"], GEMM],
      "Conv: dilations must be 1",
    ],
    [
      [["MaxPool", "x", "c", [ints("kernel_shape", 3n, 3n)]], ["Flatten", "c", "f"], GEMM],
      "a window of 3x3 does not fit",
    ],
    [[FLATTEN, ["Softmax", "f", "s"], ["Gemm", "s w b", "y"]], "nothing may follow a Softmax"],
    [
      [FLATTEN, ["Gemm", "f w b", "z"]],
      'its one output must be what the last layer gives, found "y"',
    ],
    [[FLATTEN, GEMM, ["Mul", "y two", "z"]], "Mul: it is supported before the first layer only"],
  ];
  for (const [nodes, message] of cases) {
    const error = assertThrows(() => decodeOnnx(onnxFile(nodes), "file"), TypeError, message);
    assertEquals(error.message.startsWith("Cannot read file as ONNX: "), true);
    assertEquals(error.message.includes("\n"), false);
  }
  const old = onnxFile([FLATTEN, GEMM], { opset: 6n });
  assertThrows(() => decodeOnnx(old, "file"), TypeError, "its opset must be 7 or later, found 6");
  const kinds: [Uint8Array, string][] = [
    [new Uint8Array(), "it holds no graph"],
    [new TextEncoder().encode("a text"), "its bytes are no model"],
    [onnxFile([FLATTEN, GEMM]).subarray(0, -9), "its bytes are no model"],
  ];
  for (const [bytes, message] of kinds) {
    assertThrows(() => decodeOnnx(bytes, "file"), SyntaxError, message);
  }
});
