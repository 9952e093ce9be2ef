import fc from "fast-check";
import { corr2d, corr2dMultiIn, corr2dMultiInOut, pad2d, pool2d } from "../../src/nn/corr2d.ts";
import {
  avgPool2d,
  conv2d,
  flatten,
  type LayerSpec,
  linear,
  maxPool2d,
  relu,
  residual,
} from "../../src/nn/layers.ts";
import { modelOf, specOf } from "../../src/nn/model_spec.ts";
import { type Model, sequential } from "../../src/nn/sequential.ts";
import {
  byteTransform,
  NORMALIZED,
  type Standardization,
  standardizationOf,
} from "../../src/nn/standardization.ts";
import { summarize, trainingMacs } from "../../src/nn/summary.ts";
import { lenet, MODEL_NAMES, zooModel } from "../../src/nn/zoo.ts";
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertStringIncludes,
  assertThrows,
} from "../assert.ts";

/** What `JSON.parse` may give for a spec: unchecked. */
function fromJson(specs: unknown, options: Record<string, unknown> = {}): Model {
  return sequential(specs as LayerSpec[], options);
}

Deno.test("LeNet has the shapes, counts and costs of the lesson", () => {
  const model = lenet();
  assertEquals(model.layers.map(({ outputShape }) => outputShape.join("x")), [
    "6x28x28",
    "6x28x28",
    "6x14x14",
    "16x10x10",
    "16x10x10",
    "16x5x5",
    "400",
    "120",
    "120",
    "84",
    "84",
    "10",
  ]);
  assertEquals([model.parameterCount, model.classCount], [61_706, 10]);
  const rows = summarize(model);
  assertEquals(rows.reduce((sum, row) => sum + row.parameters, 0), 61_706);
  assertEquals(rows.reduce((sum, row) => sum + row.forwardMacs, 0), 416_520);
  assertEquals(trainingMacs(model), 1_131_960);
});

Deno.test("the receptive field grows 5, 6, 14, 16 through LeNet and then covers the image", () => {
  const fields = summarize(lenet())
    .filter(({ type }) => type !== "sigmoid" && type !== "relu")
    .map(({ receptiveField }) => receptiveField[0]);
  assertEquals(fields, [5, 6, 14, 16, 16, 28, 28, 28]);
});

Deno.test("the receptive field follows oblong kernels and strides in each direction", () => {
  const model = sequential([
    conv2d({ outChannels: 1, kernelSize: [3, 1], stride: [2, 1] }),
    maxPool2d({ poolSize: [1, 2], stride: [1, 3] }),
    conv2d({ outChannels: 1, kernelSize: 2 }),
    flatten(),
  ], { inputShape: [1, 9, 9] });
  assertEquals(summarize(model).map(({ receptiveField }) => [...receptiveField]).slice(0, 3), [
    [3, 1],
    [3, 2],
    [5, 5],
  ]);
});

Deno.test("a first layer's input gradient is not counted, a later one's is", () => {
  const model = sequential(
    [flatten(), linear({ outFeatures: 3 }), relu(), linear({ outFeatures: 2 })],
    { inputShape: [1, 2, 2] },
  );
  assertEquals(trainingMacs(model), 2 * 12 + 3 * 6);
});

Deno.test("parameters have PyTorch's names, layout and fans, without gaps", () => {
  const { parameters } = lenet();
  assertEquals(parameters.map(({ name }) => name).slice(0, 4), [
    "conv1.weight",
    "conv1.bias",
    "conv2.weight",
    "conv2.bias",
  ]);
  assertEquals(parameters[2].shape, [16, 6, 5, 5]);
  assertEquals([parameters[2].fanIn, parameters[2].fanOut], [150, 400]);
  assertEquals(parameters[4].shape, [120, 400]);
  let end = 0;
  for (const { offset, size } of parameters) {
    assertEquals(offset, end);
    end += size;
  }
  const unnamed = sequential([flatten(), linear({ outFeatures: 10 })]);
  assertEquals(unnamed.parameters.map(({ name }) => name), ["1.weight", "1.bias"]);
});

Deno.test("residual blocks become layers that name what they read, with PyTorch's names of modules", () => {
  const convolution = (name: string) => conv2d({ name, outChannels: 2, kernelSize: 3, padding: 1 });
  const projection = conv2d({ outChannels: 2, kernelSize: 1 });
  const model = sequential([
    residual([convolution("conv1"), relu(), residual([convolution("conv2")])], [projection], {
      name: "block",
    }),
    residual([relu()]),
    flatten(),
    linear({ outFeatures: 3 }),
  ], { inputShape: [1, 4, 4] });
  assertEquals(model.layers.map(({ name, inputs }) => `${name} reads ${inputs}`), [
    "block.body.conv1 reads -1",
    "block.body.1 reads 0",
    "block.body.2.body.conv2 reads 1",
    "block.body.2 reads 2,1",
    "block.shortcut.0 reads -1",
    "block reads 3,4",
    "1.body.0 reads 5",
    "1 reads 6,5",
    "2 reads 7",
    "3 reads 8",
  ]);
  assertEquals(model.parameters.map(({ name }) => name).filter((name) => name.endsWith("weight")), [
    "block.body.conv1.weight",
    "block.body.2.body.conv2.weight",
    "block.shortcut.0.weight",
    "3.weight",
  ]);
  const rows = new Map(summarize(model).map((row) => [row.name, row]));
  assertEquals(rows.get("block.shortcut.0")?.receptiveField, [1, 1]);
  assertEquals(rows.get("block")?.receptiveField, [5, 5]);
  // The image needs no gradient, what the inner block reads does.
  assertEquals(rows.get("block.shortcut.0")?.trainingMacs, 2 * 2 * 16);
  assertEquals(rows.get("block.body.2.body.conv2")?.trainingMacs, 3 * 36 * 16);
  assertEquals(modelOf(JSON.parse(JSON.stringify(specOf(model)))), model);
});

Deno.test("every model of the zoo adapts to other images and class counts", () => {
  for (const name of MODEL_NAMES) {
    const model = zooModel(name, { inputShape: [3, 32, 32], classCount: 7 });
    assertEquals(model.classCount, 7);
    assertEquals(zooModel(name).inputShape, [1, 28, 28]);
    // Where means of whole maps are classified, only the first kernels see more.
    assert(model.parameterCount > zooModel(name, { classCount: 7 }).parameterCount);
  }
});

Deno.test("an image too small for LeNet is refused with the smallest size that fits", () => {
  for (const [inputShape, size] of [[[1, 11, 11], "11 x 11"], [[1, 28, 3], "28 x 3"]] as const) {
    const { message, cause } = assertThrows(() => zooModel("lenet", { inputShape }), RangeError);
    assertEquals(
      message,
      `Cannot use lenet for images of ${size}: the smallest that fit are 12 x 12; enlarge them ` +
        `(pictures by --image-size 12), or choose another model, as mlp`,
    );
    assertStringIncludes(`${cause}`, "does not fit the input");
  }
  assertEquals(zooModel("lenet", { inputShape: [1, 12, 12] }).inputShape, [1, 12, 12]);
});

Deno.test("errors name the layer, what it expected and what it found", () => {
  const cases: [() => unknown, typeof TypeError | typeof RangeError, string][] = [
    [
      () => sequential([linear({ name: "fc", outFeatures: 10 })]),
      TypeError,
      'Cannot add linear "fc": its input must be a vector, found [1, 28, 28]; ' +
      "add flatten() before it",
    ],
    [
      () => sequential([flatten(), linear({ name: "fc", inFeatures: 400, outFeatures: 10 })]),
      TypeError,
      'Cannot add linear "fc": expected 400 input features, found 784',
    ],
    [
      () => sequential([conv2d({ inChannels: 3, outChannels: 6, kernelSize: 5 })]),
      TypeError,
      'Cannot add conv2d "0": expected 3 input channels, found 1 in [1, 28, 28]',
    ],
    [
      () => sequential([flatten(), avgPool2d({ poolSize: 2 })]),
      TypeError,
      'Cannot add avgPool2d "1": its input must be [channels, height, width], found [784]',
    ],
    [
      () => sequential([flatten(), linear({ outFeatures: 2.5 })]),
      RangeError,
      'Invalid outFeatures of linear "1": expected a whole number in 1..65536, found 2.5',
    ],
    [
      () => sequential([conv2d({ outChannels: 1, kernelSize: 3, stride: 0 })]),
      RangeError,
      'Invalid stride of conv2d "0": expected a whole number in 1..65536, found 0',
    ],
    [
      () => sequential([conv2d({ outChannels: 1, kernelSize: 3 })]),
      TypeError,
      "its output must be a vector of logits, found [1, 26, 26]; end it with flatten() and linear()",
    ],
    [() => sequential([flatten()], { inputShape: [1, 2, 2] }), TypeError, "has no layer with"],
    [
      () => sequential([flatten(), linear({ outFeatures: 257 })]),
      RangeError,
      "expected at most 256 logits, found 257",
    ],
    [
      () =>
        sequential([
          flatten(),
          linear({ name: "fc", outFeatures: 9 }),
          linear({ name: "fc", outFeatures: 9 }),
        ]),
      TypeError,
      'Cannot use the name "fc" for two layers',
    ],
    [
      () => sequential([residual([conv2d({ outChannels: 2, kernelSize: 3 })], [], { name: "a" })]),
      TypeError,
      'Cannot add residual "a": its body gives [2, 26, 26] and its shortcut [1, 28, 28]; ' +
      "give it a shortcut, such as a 1x1 convolution, to that shape",
    ],
    [
      () => sequential([residual([residual([conv2d({ outChannels: 0, kernelSize: 3 })])])]),
      RangeError,
      'Invalid outChannels of conv2d "0.body.0.body.0": expected a whole number in 1..65536, found 0',
    ],
  ];
  for (const [body, errorClass, message] of cases) assertThrows(body, errorClass, message);
});

Deno.test("a model survives JSON: its description makes the same model again", () => {
  for (const name of MODEL_NAMES) {
    const model = zooModel(name, { standardization: { mean: 0.286, std: 0.353 } });
    const description = JSON.parse(JSON.stringify(specOf(model)));
    assertEquals(modelOf(description), model);
    // Files that were written before there was a choice say nothing.
    delete description.standardization;
    assertEquals(modelOf(description), zooModel(name));
  }
});

Deno.test("standardization is that of the pixels, and bytes become it in one step", () => {
  assertEquals(standardizationOf(Uint8Array.of(0, 255, 255, 0)), { mean: 0.5, std: 0.5 });
  assertEquals(byteTransform(NORMALIZED), { scale: 1 / 255, offset: 0 });
  const { mean, std } = standardizationOf(Uint8Array.of(0, 10, 20, 250));
  const { scale, offset } = byteTransform({ mean, std });
  const values = [0, 10, 20, 250].map((byte) => byte * scale + offset);
  assertAlmostEquals(values.reduce((sum, x) => sum + x), 0, 1e-12);
  assertAlmostEquals(values.reduce((sum, x) => sum + x * x, 0) / 4, 1, 1e-12);
  assertThrows(() => standardizationOf(Uint8Array.of(7, 7)), RangeError, "are the same");
});

Deno.test("standardization of several channels is one for each, and one number means all", () => {
  // Two images of three channels of two pixels; the last channel has no contrast of its own.
  const images = Uint8Array.of(0, 255, 51, 51, 9, 9, 255, 0, 153, 153, 9, 9);
  const { mean, std } = standardizationOf(images, [3, 1, 2]);
  assertEquals([mean, std].map((list) => [list].flat().length), [3, 3]);
  const expected = [[0.5, 0.5], [0.4, 0.2], [9 / 255, 0.5]];
  for (const [channel, [low, deviation]] of expected.entries()) {
    assertAlmostEquals([mean].flat()[channel], low, 1e-12);
    assertAlmostEquals([std].flat()[channel], deviation, 1e-12);
  }
  assertEquals(standardizationOf(Uint8Array.of(0, 255, 255, 0), [2, 1, 2]), {
    mean: 0.5,
    std: 0.5,
  });
  const head = [flatten(), linear({ outFeatures: 2 })];
  const build = (standardization: Standardization) =>
    sequential(head, { inputShape: [2, 1, 2], standardization }).standardization;
  assertEquals(build({ mean: [0, 0], std: 1 }), NORMALIZED);
  assertEquals(build({ mean: 0.5, std: [0.25, 0.5] }), { mean: 0.5, std: [0.25, 0.5] });
  assertEquals(byteTransform({ mean: 0.5, std: [0.25, 0.5] }, 1), { scale: 1 / 127.5, offset: -1 });
  const faults = [{ mean: [0], std: 1 }, { mean: [0, 0, 0], std: 1 }, { mean: [], std: 1 }, {
    mean: 0,
    std: [1, 0],
  }, { mean: ["0", 0], std: 1 }];
  for (const fault of faults) {
    assertThrows(
      () => build(fault as Standardization),
      RangeError,
      `or lists of 2 each, one for each channel`,
    );
  }
});

/** Blocks around one another. */
function nested(depth: number): unknown {
  return depth === 0 ? { type: "relu" } : { type: "residual", body: [nested(depth - 1)] };
}

Deno.test("hostile specs from a file are refused, field by field", () => {
  const cases: [unknown, string][] = [
    [null, "expected a list of layers, found null"],
    [{ length: 1 }, "expected a list of layers"],
    [[null], "Cannot read layer 0: expected an object, found null"],
    [[{ type: "__proto__" }], 'Unknown layer type "__proto__" at layer 0'],
    [[{ type: ["flatten"] }], 'Unknown layer type ["flatten"] at layer 0'],
    [[{ type: "linear", name: "../../etc", outFeatures: 1 }], 'Invalid layer name "../../etc"'],
    [[{ type: "linear", name: "\u001b[2J", outFeatures: 1 }], 'Invalid layer name "\\u001b[2J"'],
    [[{ type: "flatten" }, { type: "linear", outFeatures: "10" }], 'found "10"'],
    [[{ type: "conv2d", outChannels: 1, kernelSize: 3 }], "expected [height, width], found 3"],
    [Array(1001).fill({ type: "relu" }), "expected at most 1000 layers, found 1001"],
    [[{ type: "residual" }], 'Invalid body of residual "0": expected a list of 1 or more layers'],
    [[{ type: "residual", body: [] }], "expected a list of 1 or more layers, found []"],
    [[{ type: "residual", body: [{ type: "relu" }], shortcut: 1 }], "Invalid shortcut"],
    [[{ type: "residual", body: [null] }], "Cannot read layer 0.body.0: expected an object"],
    [[nested(9)], "expected at most 8 residual blocks around one another"],
    [
      [{ type: "residual", body: Array(1000).fill({ type: "relu" }) }],
      "at most 1000 layers in all",
    ],
    [
      [
        { type: "flatten" },
        ...Array(2).fill({ type: "linear", outFeatures: 65_536 }),
        { type: "linear", outFeatures: 2 },
      ],
      "Cannot build the parameters",
    ],
    [
      [{
        type: "conv2d",
        outChannels: 65_536,
        kernelSize: [1, 1],
        stride: [1, 1],
        padding: [65_536, 65_536],
      }],
      'Cannot build the output of conv2d "0"',
    ],
  ];
  for (const [specs, message] of cases) assertThrows(() => fromJson(specs), Error, message);
  const tail = [{ type: "flatten" }, { type: "linear", outFeatures: 2 }];
  for (const inputShape of [null, [1, 28], [1, 0, 28], [1, -1, 2], [65_536, 65_536, 65_536]]) {
    assertThrows(() => fromJson(tail, { inputShape }), Error, "nput");
  }
  for (
    const standardization of [null, 1, {}, { mean: 0 }, { mean: NaN, std: 1 }, { mean: 0, std: 0 }]
  ) assertThrows(() => fromJson(tail, { standardization }), RangeError, "Invalid standardization");
  for (const name of [null, "", 7, "a\nb", "\u009b2J", "x".repeat(101)]) {
    assertThrows(() => fromJson(tail, { name }), TypeError, "Invalid model name");
  }
});

Deno.test("any JSON given as specs yields a model, a TypeError or a RangeError", () => {
  const types = ["conv2d", "avgPool2d", "maxPool2d", "relu", "flatten", "linear", "residual"];
  const size = fc.oneof(fc.integer({ min: -1, max: 9 }), fc.double(), fc.constant(2 ** 40));
  const field = fc.oneof(size, fc.array(size, { maxLength: 3 }), fc.jsonValue());
  const spec = fc.record({
    type: fc.constantFrom(...types, "toString"),
    body: fc.oneof(field, fc.constant([{ type: "relu" }])),
    shortcut: fc.oneof(field, fc.constant([]), fc.constant(undefined)),
    name: fc.oneof(fc.string(), fc.constant(undefined)),
    outChannels: field,
    outFeatures: field,
    kernelSize: field,
    poolSize: field,
    stride: field,
    padding: field,
  }, { requiredKeys: ["type"] });
  const specs = fc.oneof(
    fc.array(fc.oneof(spec, fc.jsonValue()), { maxLength: 5 }),
    fc.jsonValue(),
  );
  fc.assert(
    fc.property(specs, fc.jsonValue(), (layers, inputShape) => {
      for (const options of [{}, { inputShape }]) {
        try {
          assert(fromJson(layers, options).parameterCount > 0);
        } catch (error) {
          assert(error instanceof TypeError || error instanceof RangeError, String(error));
          assert(/^(Cannot|Invalid|Unknown) /.test(error.message), error.message);
        }
      }
    }),
    { seed: 1998 },
  );
});

const INPUT = [[0, 1, 2], [3, 4, 5], [6, 7, 8]];
const KERNEL = [[0, 1], [2, 3]];

Deno.test("corr2d gives the answers of Dive into Deep Learning, chapter 7", () => {
  assertEquals(corr2d(INPUT, KERNEL), [[19, 25], [37, 43]]);
  const stripe = Array.from({ length: 6 }, () => [1, 1, 0, 0, 0, 0, 1, 1]);
  const edges = Array.from({ length: 6 }, () => [0, 1, 0, 0, 0, -1, 0]);
  assertEquals(corr2d(stripe, [[1, -1]]), edges);
  const plusOne = (matrix: number[][]) => matrix.map((row) => row.map((value) => value + 1));
  const inputs = [INPUT, plusOne(INPUT)];
  const kernels = [KERNEL, plusOne(KERNEL)];
  assertEquals(corr2dMultiIn(inputs, kernels), [[56, 72], [104, 120]]);
  const groups = [0, 1, 2].map((add) =>
    kernels.map((kernel) => kernel.map((row) => row.map((weight) => weight + add)))
  );
  assertEquals(corr2dMultiInOut(inputs, groups), [
    [[56, 72], [104, 120]],
    [[76, 100], [148, 172]],
    [[96, 128], [192, 224]],
  ]);
});

Deno.test("padding and stride follow the output-size formula", () => {
  const image = Array.from({ length: 8 }, () => new Array<number>(8).fill(1));
  const kernel = Array.from({ length: 3 }, () => new Array<number>(3).fill(1));
  const sizeOf = (matrix: number[][]) => [matrix.length, matrix[0].length];
  assertEquals(sizeOf(corr2d(image, kernel, { padding: 1 })), [8, 8]);
  assertEquals(sizeOf(corr2d(image, kernel, { padding: 1, stride: 2 })), [4, 4]);
  assertEquals(sizeOf(corr2d(image, kernel, { padding: 0, stride: 3 })), [2, 2]);
  assertEquals(pad2d([[5]], 1), [[0, 0, 0], [0, 5, 0], [0, 0, 0]]);
  assertEquals(corr2d(INPUT, KERNEL, { padding: 1, stride: 2 }), [[0, 8], [21, 43]]);
});

Deno.test("pool2d takes the maximum or the mean, and leaves out what no window fills", () => {
  assertEquals(pool2d(INPUT, 2, "max"), [[4]]);
  assertEquals(pool2d(INPUT, 2, "avg"), [[2]]);
  assertEquals(pool2d(INPUT, 3, "max"), [[8]]);
});

Deno.test("kernels and windows that do not fit, and missing channels, are refused", () => {
  assertThrows(() => corr2d([[1]], KERNEL), RangeError, "a kernel of 2x2 does not fit");
  assertThrows(() => pool2d([[1]], 2, "avg"), RangeError, "a window of 2x2 does not fit");
  assertThrows(() => corr2dMultiIn([INPUT], [KERNEL, KERNEL]), RangeError, "found 2 and 1");
});
