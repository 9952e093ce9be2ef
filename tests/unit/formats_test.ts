import * as tf from "@tensorflow/tfjs";
import fc from "fast-check";
import { useCpu } from "../use_cpu.ts";
import { encodeLayersModel, NoKerasLayerError } from "../../src/formats/layers_model/file.ts";
import { encodeOnnx } from "../../src/formats/onnx/file.ts";
import {
  decodeSafetensorsModel,
  encodeSafetensorsModel,
} from "../../src/formats/safetensors/model.ts";
import { fromTensors, toTensors } from "../../src/formats/safetensors/state_dict.ts";
import {
  decodeSafetensors,
  encodeSafetensors,
  type Safetensors,
  type Tensor,
} from "../../src/formats/safetensors/file.ts";
import type { TrainedModel } from "../../src/formats/trained_model.ts";
import { initialParameters } from "../../src/nn/init.ts";
import {
  avgPool2d,
  conv2d,
  flatten,
  type LayerSpec,
  linear,
  maxPool2d,
  relu,
  residual,
  sigmoid,
  tanh,
} from "../../src/nn/layers.ts";
import { type Model, sequential } from "../../src/nn/sequential.ts";
import { lenet, MODEL_NAMES, zooModel } from "../../src/nn/zoo.ts";
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertRejects,
  assertThrows,
} from "../assert.ts";
import { caseModel, PARITY_CASES, randomImages } from "../parity/cases.ts";
import { randomlyLearned } from "../random_models.ts";
import { referenceLogits } from "../reference_logits.ts";

const TWO: Safetensors = {
  tensors: new Map<string, Tensor>([
    ["a", { shape: [2, 2], data: Float32Array.of(1, -2.5, 0, 1e-30) }],
    ["b.weight", { shape: [3], data: Float32Array.of(NaN, Infinity, -Infinity) }],
  ]),
  metadata: { format: "pt" },
};

/** A file with this header, and as many bytes of zeros behind it. */
function fileOf(header: unknown, dataBytes: number): Uint8Array {
  const json = new TextEncoder().encode(
    typeof header === "string" ? header : JSON.stringify(header),
  );
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}

function entry(dtype: string, shape: unknown, start: number, stop: number) {
  return { dtype, shape, data_offsets: [start, stop] };
}

Deno.test("safetensors come back as they were written, NaN and infinity included", () => {
  const { tensors, metadata } = decodeSafetensors(encodeSafetensors(TWO), "file");
  assertEquals([...tensors.keys()], ["a", "b.weight"]);
  assertEquals(tensors, TWO.tensors);
  assertEquals({ ...metadata }, { format: "pt" });
});

Deno.test("safetensors are laid out as the format says: length, JSON, aligned little-endian data", () => {
  const bytes = encodeSafetensors(TWO);
  const view = new DataView(bytes.buffer);
  const headerLength = Number(view.getBigUint64(0, true));
  assertEquals(headerLength % 8, 0);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerLength)));
  assertEquals(header, {
    __metadata__: { format: "pt" },
    "a": entry("F32", [2, 2], 0, 16),
    "b.weight": entry("F32", [3], 16, 28),
  });
  assertEquals(view.getFloat32(8 + headerLength + 4, true), -2.5);
});

Deno.test("safetensors: empty tensors, scalars, and a view into a larger buffer are read", () => {
  const tensors = new Map<string, Tensor>([
    ["empty", { shape: [0, 4], data: new Float32Array() }],
    ["scalar", { shape: [], data: Float32Array.of(7) }],
  ]);
  const bytes = encodeSafetensors({ tensors, metadata: {} });
  const shifted = new Uint8Array(bytes.length + 3);
  shifted.set(bytes, 3);
  assertEquals(decodeSafetensors(shifted.subarray(3), "file").tensors, tensors);
  assertEquals(decodeSafetensors(encodeSafetensors({ tensors: new Map(), metadata: {} }), "file"), {
    tensors: new Map(),
    metadata: {},
  });
});

Deno.test("safetensors: a malformed file is named, with what is wrong with it", () => {
  const whole = encodeSafetensors(TWO);
  const hugeHeader = fileOf({}, 0);
  new DataView(hugeHeader.buffer).setBigUint64(0, 2n ** 63n, true);
  const cases: [Uint8Array, string][] = [
    [new Uint8Array(), "its 0 bytes hold no whole header"],
    [whole.subarray(0, 20), "its 20 bytes hold no whole header"],
    [hugeHeader, "its 10 bytes hold no whole header"],
    [fileOf(" ".repeat(2 ** 20 + 1), 0), "hold no whole header"],
    [fileOf("{]", 0), "its header is not JSON"],
    [fileOf("[]", 0), "its header is not a JSON object"],
    [fileOf({ a: 3 }, 0), 'tensor "a" is not described by an object'],
    [fileOf({ a: entry("F31x", [2], 0, 4) }, 4), 'tensor "a" has no dtype, found "F31x"'],
    [fileOf({ a: entry("F16", [2], 0, 8) }, 8), 'tensor "a" of 4 bytes has the wrong offsets'],
    [fileOf({ a: entry("F32", [-1], 0, 4) }, 4), 'tensor "a" has no valid shape'],
    [fileOf({ a: entry("F32", [1.5], 0, 6) }, 6), 'tensor "a" has no valid shape'],
    [fileOf({ a: entry("F32", "2", 0, 8) }, 8), 'tensor "a" has no valid shape'],
    [fileOf({ a: entry("F32", [2], 0, 4) }, 4), 'tensor "a" of 8 bytes has the wrong offsets'],
    [fileOf({ a: entry("F32", [2], 8, 0) }, 8), "has the wrong offsets"],
    [fileOf({ a: entry("F32", [2 ** 40], 0, 2 ** 42) }, 8), "the file at"],
    [
      fileOf({ a: entry("F32", [2], 0, 8), b: entry("F32", [2], 4, 12) }, 12),
      'tensor "b" overlaps or leaves a gap',
    ],
    [
      fileOf({ a: entry("F32", [1], 0, 4), b: entry("F32", [1], 8, 12) }, 12),
      'tensor "b" overlaps or leaves a gap',
    ],
    [whole.subarray(0, -1), 'tensor "b.weight" ends at byte'],
    [Uint8Array.of(...whole, 0), `expected ${whole.length} bytes, found ${whole.length + 1}`],
    [fileOf({ __metadata__: { epoch: 3 } }, 0), "its metadata must be strings"],
    [fileOf({ "\u001b[2J": 0 }, 0), 'tensor "\\u001b[2J" is not'],
  ];
  for (const [bytes, message] of cases) {
    const { message: found } = assertThrows(
      () => decodeSafetensors(bytes, "file"),
      SyntaxError,
      message,
    );
    assert(found.startsWith("Cannot read file as safetensors: "), found);
    assert(found.endsWith("; the file is damaged or of another kind"), found);
  }
});

Deno.test("safetensors: a mutated file is refused by a documented error or a valid result, never anything else", () => {
  const model = zooModel("softmax", { inputShape: [1, 2, 2], classCount: 2 });
  const tensors = toTensors(model, initialParameters(model, 1));
  const whole = encodeSafetensors({ tensors, metadata: { format: "pt", lenet: "{}" } });
  const headerEnd = 8 + Number(new DataView(whole.buffer).getBigUint64(0, true));
  const mutation = fc.record({
    at: fc.nat({ max: headerEnd }),
    remove: fc.nat({ max: 9 }),
    insert: fc.oneof(
      fc.uint8Array({ maxLength: 9 }),
      fc.constantFrom("__proto__", "1e99", "-1", "null", "[[[", '"F32"', "9007199254740993")
        .map((text) => new TextEncoder().encode(text)),
    ),
  });
  const files = fc.array(mutation, { minLength: 1, maxLength: 4 });
  let valid = 0;
  const check = (mutations: { at: number; remove: number; insert: Uint8Array }[]) => {
    let bytes = whole;
    for (const { at, remove, insert } of mutations) {
      bytes = Uint8Array.of(...bytes.subarray(0, at), ...insert, ...bytes.subarray(at + remove));
    }
    try {
      const decoded = decodeSafetensors(bytes, "file");
      valid++;
      for (const { shape, data } of decoded.tensors.values()) {
        assertEquals(data.length, shape.reduce((product, size) => product * size, 1));
      }
      const values = Object.values(decoded.metadata);
      assert(values.every((text) => typeof text === "string"));
    } catch (error) {
      const isOtherType = error instanceof TypeError &&
        error.message.includes("expected tensors of");
      assert(error instanceof SyntaxError || isOtherType, String(error));
    }
  };
  fc.assert(fc.property(files, check), { seed: 1998, numRuns: 5_000 });
  assert(valid > 0, "no mutation left a valid file: the property was not tested");
  assertEquals(Object.keys(Object.prototype), []);
});

Deno.test("a model's parameters come back from tensors in any order", () => {
  const model = lenet();
  const parameters = initialParameters(model, 2);
  const reversed = new Map([...toTensors(model, parameters)].reverse());
  assertEquals(fromTensors(model, reversed, "file"), parameters);
});

Deno.test("tensors of another model are refused with what was expected and found", () => {
  const [model, other] = [lenet(), zooModel("mlp")];
  const own = () => toTensors(model, initialParameters(model, 0));
  const without = own();
  without.delete("fc3.bias");
  const extra = own().set("fc4.bias", { shape: [1], data: new Float32Array(1) });
  const turned = own().set("fc3.weight", { shape: [84, 10], data: new Float32Array(840) });
  const cases: [Map<string, Tensor>, string][] = [
    [
      toTensors(other, initialParameters(other, 0)),
      'expected "conv1.weight" [6, 1, 5, 5], found "fc1.weight" [256, 784]',
    ],
    [new Map(), 'expected "conv1.weight" [6, 1, 5, 5], found no tensors'],
    [without, 'expected "fc3.bias" [10], found'],
    [extra, 'it has no parameter "fc4.bias"'],
    [turned, '"fc3.weight" must be [10, 84], found [84, 10]'],
  ];
  for (const [tensors, message] of cases) {
    const start = 'Cannot load file into model "lenet": ';
    assertThrows(() => fromTensors(model, tensors, "file"), TypeError, start + message);
  }
});

/** Padding other than 'same', strides, oblong windows, several channels, two kinds of pooling. */
const MIXED = sequential([
  conv2d({ name: "first", outChannels: 5, kernelSize: [3, 2], stride: [2, 1], padding: [2, 1] }),
  tanh(),
  maxPool2d({ poolSize: [2, 3], stride: [1, 2] }),
  conv2d({ outChannels: 7, kernelSize: 3, padding: 1 }),
  relu(),
  conv2d({ outChannels: 4, kernelSize: 2, stride: 2, padding: 1 }),
  sigmoid(),
  avgPool2d({ poolSize: 2, stride: 1 }),
  flatten(),
  linear({ outFeatures: 9 }),
  tanh(),
  linear({ outFeatures: 4 }),
], {
  name: "mixed model, 3 channels",
  inputShape: [3, 13, 12],
  standardization: { mean: [0.4, 0.3, 0.5], std: [0.25, 0.5, 0.125] },
});

/** Blocks in one another, at the start and behind flattening, with a shortcut and without. */
const RESIDUAL = sequential([
  residual([conv2d({ outChannels: 3, kernelSize: 3, stride: 2, padding: 1 }), tanh()], [
    avgPool2d({ poolSize: 2 }),
    conv2d({ name: "around", outChannels: 3, kernelSize: 1 }),
  ]),
  relu(),
  residual([conv2d({ outChannels: 3, kernelSize: 3, padding: 1 }), residual([sigmoid()])]),
  flatten(),
  residual([linear({ outFeatures: 48 })], [], { name: "last" }),
  linear({ outFeatures: 4 }),
], { name: "residual", inputShape: [2, 8, 8] });

/** Every layer that TensorFlow.js has, in a row. */
const STOCK: readonly Model[] = [
  ...MODEL_NAMES.map((name) => zooModel(name)),
  ...[MIXED, RESIDUAL],
  ...PARITY_CASES.filter(({ name }) => !name.startsWith("padded pools")).map(caseModel),
];

for (const model of STOCK) {
  Deno.test(`stock TensorFlow.js loads ${model.name} and predicts as the reference does`, async () => {
    const trained = { model, ...randomlyLearned(model, 4) };
    const data = randomImages(model, 5, 4);
    const expected = await referenceLogits(trained, data);
    const before = tf.memory().numTensors;
    const actual = await predictWithStock(trained, data.images);
    assertEquals(tf.memory().numTensors, before);
    assertEquals(actual.length, expected.length);
    const largest = Math.max(1, ...expected.map(Math.abs));
    expected.forEach((logit, n) =>
      assertAlmostEquals(actual[n], logit, 1e-5 * largest, `logit ${n}`)
    );
  });
}

Deno.test("a LayersModel has padding of pools where TensorFlow.js has, and is refused where not", async () => {
  const padded = (pool: LayerSpec) =>
    sequential([
      conv2d({ outChannels: 2, kernelSize: 2 }),
      pool,
      flatten(),
      linear({ outFeatures: 3 }),
    ], {
      inputShape: [1, 8, 8],
    });
  const pools: [LayerSpec, boolean][] = [
    [avgPool2d({ poolSize: [3, 2], stride: 2, padding: 1 }), true],
    [maxPool2d({ poolSize: 3, stride: 1, padding: 1 }), true],
    [maxPool2d({ poolSize: 3, stride: 2, padding: 1 }), true], // 7 rows: 4 windows over 9
    [maxPool2d({ poolSize: 2, stride: 2, padding: 1 }), false],
    [maxPool2d({ poolSize: [3, 1], stride: 1, padding: [1, 0] }), true],
  ];
  for (const [pool, isHeld] of pools) {
    const model = padded(pool);
    const trained = { model, ...randomlyLearned(model, 2) };
    if (isHeld) {
      const data = randomImages(model, 5, 4);
      const expected = await referenceLogits(trained, data);
      const actual = await predictWithStock(trained, data.images);
      expected.forEach((logit, n) => assertAlmostEquals(actual[n], logit, 1e-5));
      continue;
    }
    const { message } = await assertRejects(() => encodeLayersModel(trained), NoKerasLayerError);
    assertEquals(
      message,
      'Cannot write maxPool2d "1" as a LayersModel: its padding of 1x1 is not one that ' +
        "TensorFlow.js has; export the model as ONNX",
    );
  }
});

Deno.test("every format refuses a model without its running statistics, or of too few parameters", async () => {
  const model = zooModel("lenet-bn");
  const { parameters, statistics } = randomlyLearned(model, 1);
  const encoders = [encodeSafetensorsModel, encodeOnnx, encodeLayersModel];
  for (const encode of encoders) {
    const write = async (trained: TrainedModel) => await encode(trained);
    await assertRejects(
      () => write({ model, parameters }),
      RangeError,
      "Invalid length of statistics",
    );
    const short = parameters.slice(1);
    await assertRejects(
      () => write({ model, parameters: short, statistics }),
      RangeError,
      "Invalid length of parameters",
    );
  }
});

Deno.test("safetensors: counts of batches are I64, at places that all readers take", () => {
  const model = zooModel("lenet-bn", { classCount: 3 });
  const learned = randomlyLearned(model, 1);
  const bytes = encodeSafetensorsModel({ model, ...learned });
  const headerEnd = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, headerEnd)));
  const { dtype, shape, data_offsets: [start, end] } = header["bn2.num_batches_tracked"];
  assertEquals([dtype, shape, end - start, (headerEnd + start) % 8], ["I64", [], 8, 0]);
  const count = new DataView(bytes.buffer).getBigInt64(headerEnd + start, true);
  const place = model.statistics.find(({ name }) => name === "bn2.num_batches_tracked")!.offset;
  assertEquals(Number(count), learned.statistics![place]);
  assertEquals(header["bn2.running_var"].dtype, "F32");
});

Deno.test("safetensors: statistics that are missing or impossible are named in one line", () => {
  const model = zooModel("lenet-bn");
  const learned = randomlyLearned(model, 1);
  const tensors = () => toTensors(model, learned.parameters, learned.statistics);
  const read = (tensors: Map<string, Tensor>) =>
    decodeSafetensorsModel(encodeSafetensors({ tensors, metadata: {} }), "file", { model });
  const [without, other, negative] = [tensors(), tensors(), tensors()];
  without.delete("bn1.running_var");
  other.set("bn1.running_var", { shape: [5], data: new Float32Array(5) });
  negative.set("bn1.running_var", { shape: [6], data: Float32Array.of(1, 1, -0.5, 1, 1, 1) });
  const start = 'Cannot load file into model "lenet-bn": ';
  const cases: [Map<string, Tensor>, string][] = [
    [without, 'expected "bn1.running_var" [6], found "bn1.num_batches_tracked"'],
    [other, '"bn1.running_var" must be [6], found [5]'],
    [negative, 'a variance in "bn1.running_var" is below 0'],
    [toTensors(model, learned.parameters), 'expected "bn1.running_mean" [6], found "conv1.weight"'],
  ];
  for (const [tensors, message] of cases) {
    const { message: found } = assertThrows(() => read(tensors), TypeError, start + message);
    assert(!found.includes("\n"), found);
  }
  // Files of PyTorch before 0.4.1 have no counts.
  const uncounted = tensors();
  for (const name of [...uncounted.keys()]) {
    if (name.endsWith("num_batches_tracked")) uncounted.delete(name);
  }
  const { statistics } = read(uncounted);
  const counts = model.statistics.filter(({ shape }) => shape.length === 0);
  assertEquals(counts.map(({ offset }) => statistics![offset]), [0, 0, 0, 0]);
});

Deno.test("a LayersModel is written as TensorFlow.js itself would write it", async () => {
  await useCpu();
  for (const model of STOCK) {
    const trained = { model, ...randomlyLearned(model, 4) };
    const { modelJson, weights } = await encodeLayersModel(trained);
    const { modelTopology, weightsManifest: [{ weights: weightSpecs }] } = JSON.parse(modelJson);
    const network = await tf.loadLayersModel(
      tf.io.fromMemory({ modelTopology, weightSpecs, weightData: weights.buffer }),
    );
    await network.save(tf.io.withSaveHandler((saved) => {
      const isRow = modelTopology.class_name === "Sequential";
      assertEquals(ordered(saved.modelTopology, isRow), ordered(modelTopology, isRow));
      if (isRow) {
        assertEquals(saved.weightSpecs, weightSpecs);
        assertEquals(new Uint8Array(tf.io.CompositeArrayBuffer.join(saved.weightData)), weights);
      }
      const modelArtifactsInfo = { dateSaved: new Date(), modelTopologyType: "JSON" as const };
      return Promise.resolve({ modelArtifactsInfo });
    }));
    network.dispose();
  }
});

/** A topology with its layers by name, unless they stand in a row: a graph's are in any order. */
function ordered(topology: unknown, isRow: boolean): unknown {
  const { config, ...rest } = Object(topology);
  const layers: { name: string }[] = config.layers;
  const byName = isRow ? layers : layers.toSorted((a, b) => a.name < b.name ? -1 : 1);
  return { ...rest, config: { ...config, layers: byName } };
}

Deno.test("writing a LayersModel leaves TensorFlow.js's active backend as it is", async () => {
  tf.registerBackend("idle", () => new tf.KernelBackend());
  await tf.setBackend("idle");
  const model = zooModel("softmax");
  await encodeLayersModel({ model, parameters: initialParameters(model, 1) });
  assertEquals(tf.getBackend(), "idle");
  await useCpu();
});

/** Loads the two files as a stranger would, from JSON and bytes, and predicts images in [0, 255]. */
async function predictWithStock(trained: TrainedModel, images: Uint8Array) {
  const { modelJson, weights } = await encodeLayersModel(trained);
  const { modelTopology, weightsManifest } = JSON.parse(modelJson);
  assertEquals(weightsManifest[0].paths, ["weights.bin"]);
  await useCpu();
  const network = await tf.loadLayersModel(tf.io.fromMemory({
    modelTopology,
    weightSpecs: weightsManifest[0].weights,
    weightData: weights.buffer,
  }));
  const logits = tf.tidy(() => {
    const [channels, height, width] = trained.model.inputShape;
    const pixels = tf.tensor(Float32Array.from(images), [5, channels, height, width]).div(255);
    const output = network.predict(pixels.transpose([0, 2, 3, 1])) as tf.Tensor;
    return output.dataSync<"float32">();
  });
  network.dispose();
  return logits;
}
