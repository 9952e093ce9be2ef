/** LayersModels as Keras 2 and 3 make them: the same answers as there, or a refusal by name. */

import { loadDataset } from "../../src/data/load.ts";
import { decodeLayersModel } from "../../src/formats/layers_model/file.ts";
import type { TrainedModel } from "../../src/formats/trained_model.ts";
import { openBackend } from "../../src/train/open_backend.ts";
import { evaluate } from "../../src/train/inference.ts";
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "../assert.ts";
import { granted } from "../permissions.ts";
import { referenceLogits } from "../reference_logits.ts";
import keras2 from "../fixtures/keras/keras2.json" with { type: "json" };
import keras3 from "../fixtures/keras/keras3.json" with { type: "json" };
import keras3File from "../fixtures/keras/keras3_file.json" with { type: "json" };
import keras3First from "../fixtures/keras/keras3_first.json" with { type: "json" };

interface Case {
  readonly json: unknown;
  readonly files: Readonly<Record<string, string>>;
  readonly shape: readonly number[];
  readonly pixels: readonly number[];
  readonly divisor: number;
  readonly answers: readonly (readonly number[])[];
}

type Cases = Readonly<Record<string, Case>>;

const COUNT = 2;

/** What rounding the weights may change. */
const QUANTISED: Readonly<Record<string, number>> = {
  ...{ quantised_uint8: 0.01, quantised_uint16: 5e-5, quantised_float16: 1e-3 },
};

function decode({ files }: Pick<Case, "files">, json: unknown): Promise<TrainedModel> {
  const read = (name: string) => Promise.resolve(Uint8Array.fromBase64(files[name]));
  return decodeLayersModel(JSON.stringify(json), read, "file");
}

/** Probabilities where Keras gives some, logits where not. */
async function answersOf(
  trained: TrainedModel,
  { pixels, answers, shape }: Case,
  isChannelsFirst: boolean,
): Promise<number[][]> {
  const { model: { inputShape, classCount } } = trained;
  const [channels, height, width] = inputShape;
  assertEquals(channels * height * width, shape.reduce((product, size) => product * size, 1));
  const area = height * width;
  const volume = channels * area;
  const images = Uint8Array.from(pixels, (_, n) => {
    const [image, channel, place] = [
      Math.floor(n / volume),
      Math.floor(n / area) % channels,
      n % area,
    ];
    return pixels[isChannelsFirst ? n : image * volume + place * channels + channel];
  });
  const data = { images, labels: new Uint8Array(COUNT), count: COUNT, shape: inputShape };
  const logits = await referenceLogits(trained, data);
  return answers.map((expected, n) => {
    const row = [...logits.subarray(n * classCount, (n + 1) * classCount)];
    const sum = row.reduce((total, logit) => total + Math.exp(logit), 0);
    const probabilities = row.map((logit) => Math.exp(logit) / sum);
    if (expected.length === 1) return [probabilities[1]];
    const isDistribution = expected.every((value) => value >= 0) &&
      Math.abs(expected.reduce((total, value) => total + value) - 1) < 1e-5;
    return isDistribution ? probabilities : row;
  });
}

const FILES: Readonly<Record<string, Cases>> = {
  "Keras 2": keras2,
  "Keras 3, by .h5": keras3,
  "Keras 3, by .keras": keras3File,
  "Keras 3, channels first": keras3First,
};

for (const [maker, cases] of Object.entries(FILES)) {
  for (const [name, fixture] of Object.entries(cases)) {
    Deno.test(`LayersModel of ${maker}: ${name} answers as in Keras`, async () => {
      const trained = await decode(fixture, fixture.json);
      const actual = await answersOf(trained, fixture, cases === FILES["Keras 3, channels first"]);
      fixture.answers.forEach((expected, n) => {
        assertEquals(actual[n].length, expected.length);
        const size = Math.max(1, ...expected.map(Math.abs));
        expected.forEach((value, k) =>
          assertAlmostEquals(actual[n][k], value, size * (QUANTISED[name] ?? 3e-6))
        );
      });
      const isSaid = trained.notes!.includes(
        "its first step is made for bytes: pixels are taken as 0 to 255",
      );
      const isWhole = trained.notes!.some((note) => note.includes("its input is whole numbers"));
      assertEquals(isSaid || isWhole, fixture.divisor === 1, trained.notes!.join("; "));
    });
  }
}

Deno.test("LayersModel of Keras: what was assumed, changed or left out is said", async () => {
  const notesOf = async (fixture: Case) => (await decode(fixture, fixture.json)).notes!.join("\n");
  const expected: [Case, readonly string[]][] = [
    [keras2.one_sigmoid, ["its one output with a sigmoid is read as two classes"]],
    [keras2.batch_norm, ["they are taken as pixel / 255"]],
    [keras3.dropped, ["RandomFlip is left out", "GaussianNoise is left out"]],
    [keras3.vector, ["its input of 49 numbers is taken for 7x7 pixels, row by row"]],
    [keras2.quantised_uint8, ["its weights are stored as uint8, which is less exact"]],
    [keras2.zero_padding, ['"conv2d" has a kernel of 4x7 instead of 3x3, with zeros at one side']],
    [keras3.whole_numbers, ["its input is whole numbers: pixels are taken as 0 to 255"]],
  ];
  for (const [fixture, notes] of expected) {
    const found = await notesOf(fixture);
    for (const note of notes) assert(found.includes(note), `expected "${note}" in: ${found}`);
  }
});

Deno.test("LayersModel of Keras: batch norm and dropout are layers, wherever they stand", async () => {
  const { model, statistics, parameters } = await decode(keras2.batch_norm, keras2.batch_norm.json);
  assertEquals(model.layers.map(({ type }) => type), [
    ...["conv2d", "batchNorm2d", "relu", "batchNorm2d", "maxPool2d", "flatten"],
    ...["linear", "batchNorm1d", "tanh", "batchNorm1d", "linear"],
  ]);
  assertEquals(model.specs[1] as unknown, {
    ...{ type: "batchNorm2d", name: "batch_normalization", momentum: 0.01, eps: 0.001 },
  });
  assertEquals([parameters.length, statistics?.length], [
    model.parameterCount,
    model.statisticCount,
  ]);
  const dropped = await decode(keras3.dropped, keras3.dropped.json);
  assertEquals(dropped.model.specs[2], { type: "dropout", p: 0.5 });
  const leaky = await decode(
    keras2.batch_norm,
    altered(keras2.batch_norm, "ReLU", { negative_slope: 0.25 }),
  );
  assertEquals(leaky.model.specs[2], { type: "leakyRelu", negativeSlope: 0.25 });
});

/** A case's JSON with an attribute of its first layer of a class replaced. */
function altered(fixture: Case, className: string, attributes: object): unknown {
  const json = structuredClone(fixture.json) as {
    modelTopology: {
      model_config: { config: { layers: { class_name: string; config: object }[] } };
    };
  };
  const { layers } = json.modelTopology.model_config.config;
  const layer = layers.find(({ class_name }) => class_name === className)!;
  Object.assign(layer.config, attributes);
  return json;
}

Deno.test("LayersModel of Keras: every attribute is read, or refused by its name", async () => {
  const flat = keras2.flatten_channels_first;
  const [pooled, normed, zeros] = [keras2.functional, keras2.batch_norm, keras2.zero_padding];
  const cases: [Case, string, object, string][] = [
    [flat, "Conv2D", { dilation_rate: [2, 1] }, "dilation_rate must be 1, found [2,1]"],
    [flat, "Conv2D", { groups: 3 }, "expected 3 input channels, found 1 in"],
    [flat, "Conv2D", { data_format: "channels_first" }, "expected 1 input channels, found 8"],
    [
      pooled,
      "MaxPooling2D",
      { data_format: "channels_first" },
      "must be channels first, found [height,",
    ],
    [flat, "Conv2D", { data_format: "odd" }, 'data_format "odd" is not supported'],
    [flat, "Conv2D", { padding: "causal" }, 'padding "causal" is not supported'],
    [flat, "Conv2D", { activation: "relu6" }, 'activation "relu6" is not supported'],
    [flat, "Conv2D", { activation: "softmax" }, "it must be over the logits, at the end"],
    [
      flat,
      "Conv2D",
      { kernel_size: [3, 5] },
      "its kernel size is not that of its weight, [3, 1, 3, 3]",
    ],
    [flat, "Conv2D", { filters: 4 }, "filters must be 3, found 4"],
    [flat, "Conv2D", { use_bias: false }, 'weight "conv2d/bias" belongs to no layer'],
    [flat, "Conv2D", { use_bias: "yes" }, 'use_bias must be true or false, found "yes"'],
    [flat, "Conv2D", { new_in_keras_4: 1 }, 'attribute "new_in_keras_4" is not supported, found 1'],
    [flat, "Conv2D", { dtype: "int8" }, 'dtype must be "float32", found "int8"'],
    [
      flat,
      "Conv2D",
      { activation: { class_name: "function", config: "mine" } },
      'activation "mine"',
    ],
    [
      flat,
      "Conv2D",
      { activation: { class_name: "ReLU", config: { max_value: 6 } } },
      'attribute "max_value" is not supported, found 6',
    ],
    [flat, "Flatten", { data_format: "odd" }, 'data_format "odd" is not supported'],
    [flat, "Dense", { units: 2 }, "units must be 3, found 2"],
    [flat, "InputLayer", { sparse: true }, "sparse must be false, found true"],
    [flat, "InputLayer", { batch_input_shape: [null, null, 7, 1] }, "with known sizes, found"],
    [
      pooled,
      "MaxPooling2D",
      { padding: "same" },
      "padding of a pooling layer must be alike at both sides: windows of 2x2 with stride 2x2 over",
    ],
    [pooled, "MaxPooling2D", { pool_size: [2, 0] }, "pool_size must be two whole numbers"],
    [zeros, "ZeroPadding2D", { padding: [[1, -1], [0, 0]] }, "its padding must be whole numbers"],
    [normed, "BatchNormalization", { axis: [1] }, "axis must be that of the channels, found [1]"],
    [normed, "BatchNormalization", { epsilon: "1e-3" }, "epsilon must be a number"],
    [normed, "BatchNormalization", { epsilon: -9 }, "expected a number in (0, 1], found -9"],
    [normed, "BatchNormalization", { renorm: true }, "renorm must be false, found true"],
    [normed, "BatchNormalization", { scale: false }, "gamma"],
    [normed, "ReLU", { max_value: 6 }, 'attribute "max_value" is not supported, found 6'],
    [normed, "ReLU", { negative_slope: 1.1 }, "expected a number in [0, 1], found 1.1"],
    [normed, "ReLU", { threshold: 0.5 }, "threshold must be 0, found 0.5"],
    [keras2.normalization, "Normalization", { invert: true }, "invert must be false, found true"],
    [keras2.permuted, "Permute", { dims: [2, 1] }, "dims [2,1] do not fit [6, 5, 3]"],
    [keras2.reshaped, "Reshape", { target_shape: [7, 8, 1] }, "it makes [7, 8, 1] of [8, 7]"],
    [keras2.activations, "Softmax", { axis: 0 }, "axis must be that of the channels, found 0"],
    [keras2.one_sigmoid, "Dense", { activation: "tanh" }, "its one output has no sigmoid"],
  ];
  for (const [fixture, className, attributes, message] of cases) {
    const json = altered(fixture, className, attributes);
    const { message: found } = await assertRejects(() => decode(fixture, json), TypeError, message);
    assert(/^Cannot read file as a LayersModel: [^\n]+$/.test(found), found);
  }
});

Deno.test("LayersModel of Keras: attributes that say the same otherwise are read", async () => {
  const flat = keras2.flatten_channels_first;
  const expected = (await decode(flat, flat.json)).parameters;
  const same: [string, object][] = [
    ["Conv2D", { activation: { class_name: "function", config: "relu", module: "builtins" } }],
    ["Conv2D", { activation: { class_name: "ReLU", config: { max_value: null, threshold: 0 } } }],
    ["Conv2D", {
      strides: 1,
      kernel_size: 3,
      kernel_regularizer: { class_name: "L2", config: {} },
    }],
    ["Conv2D", { dtype: { class_name: "DTypePolicy", config: { name: "float32" } } }],
    ["Conv2D", { dtype: "mixed_float16", quantization_config: null }],
    ["Dense", { activation: null }],
    ["Dense", { activation: "log_softmax" }],
  ];
  for (const [className, attributes] of same) {
    const { parameters, model } = await decode(flat, altered(flat, className, attributes));
    assertEquals(parameters, expected);
    assertEquals(model.layers.map(({ type }) => type), ["conv2d", "relu", "flatten", "linear"]);
  }
});

Deno.test("LayersModel of Keras: a graph with loose ends is refused, by the layer", async () => {
  const replaced = (fixture: Case, text: string, other: string) => {
    const json = JSON.stringify(fixture.json);
    assert(json.includes(text), `expected ${text} in the fixture`);
    return JSON.parse(json.replace(text, other));
  };
  const [old, now] = [keras2.functional, keras3.functional];
  const within = keras3.functional_within;
  const cases: [Case, string, string, string][] = [
    [old, '[[["conv2d",0,0,{}]]]', '[[["conv2d",0,0,{}],["input_1",0,0,{}]]]', "MaxPooling2D"],
    [
      old,
      '[[["conv2d",0,0,{}]]]',
      '[[["none",0,0,{}]]]',
      'MaxPooling2D "max_pooling2d" takes what no',
    ],
    [
      old,
      '[["input_1",0,0]]',
      '[["input_1",0,0],["conv2d",0,0]]',
      "one input and one output, found 2",
    ],
    [old, '[["dense",0,0]]', '[["dropout",0,0]]', 'Dense "dense" leads nowhere'],
    [now, '"kwargs":{"training":false}', '"kwargs":{"training":true}', "called with training=true"],
    [now, '["conv2d",0,0]', '["conv2d",0,1]', "MaxPooling2D"],
    [now, '"class_name":"Flatten"', '"class_name":"Add"', 'Add "flatten"'],
    [within, '"batch_shape":[null,8,7,1]', '"batch_shape":[null,7,8,1]', "found [8,7,1]"],
  ];
  for (const [fixture, text, other, message] of cases) {
    await assertRejects(() => decode(fixture, replaced(fixture, text, other)), TypeError, message);
  }
  const graph = { modelTopology: { node: [], versions: {} }, weightsManifest: [] };
  await assertRejects(
    () => decode(old, graph),
    TypeError,
    "it is a graph model; convert the Keras",
  );
  const own = replaced(
    old,
    '"class_name":"Conv2D"',
    '"registered_name":"Custom>Conv2D","class_name":"Conv2D"',
  );
  await assertRejects(() => decode(old, own), TypeError, "Custom>Conv2D");
});

Deno.test("LayersModel of Keras: missing and short files of weights are named", async () => {
  const { json, files } = keras2.colour as Case;
  const [first, last] = [Object.keys(files)[0], Object.keys(files).at(-1)!];
  assert(first !== last, "expected several files of weights");
  const read = (name: string) =>
    name === last
      ? Promise.reject(new Deno.errors.NotFound("no such file"))
      : Promise.resolve(Uint8Array.fromBase64(files[name]));
  const missing = () => decodeLayersModel(JSON.stringify(json), read, "file");
  await assertRejects(missing, TypeError, `its file of weights "${last}" is missing`);
  const short = { ...files, [first]: "AAAA" };
  await assertRejects(() => decode({ files: short }, json), TypeError, "bytes, found");
  const text = JSON.stringify(keras2.quantised_uint8.json);
  for (const [stored, other] of [["uint8", "int8"], ["uint8", "toString"]]) {
    const json = JSON.parse(text.replaceAll(`"dtype":"${stored}"`, `"dtype":"${other}"`));
    const read = () => decode(keras2.quantised_uint8, json);
    await assertRejects(
      read,
      TypeError,
      "must be float32, or quantised as float16, uint16 or uint8",
    );
  }
});

const FOLDER = new URL("../fixtures/keras/", import.meta.url);
const ignore = !granted({ name: "read", path: FOLDER });

for (
  const [name, accuracy] of [["flatten_channels_first", 0.802], ["batch_norm", 0.827]] as const
) {
  Deno.test({
    name: `LayersModel of Keras: ${name}, trained there, has the accuracy that Keras measures`,
    ignore,
    async fn() {
      const folder = new URL(`${name}/`, FOLDER);
      const json = await Deno.readTextFile(new URL("model.json", folder));
      const read = (file: string) => Deno.readFile(new URL(file, folder));
      const { model, ...learned } = await decodeLayersModel(json, read, "file");
      const { test } = await loadDataset("sample");
      await using session = await openBackend("wasm", model, learned);
      assertEquals((await evaluate(session, test)).accuracy, accuracy);
    },
  });
}
