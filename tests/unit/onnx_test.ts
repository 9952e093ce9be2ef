/** ONNX files of others, as PyTorch and tf2onnx export them and as anybody could write them. */

import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { readModelFile } from "../../src/cli/model_files.ts";
import { decodeOnnx } from "../../src/formats/onnx/file.ts";
import { encodeOnnx } from "../../src/formats/onnx/file.ts";
import { decodeMessage, encodeMessage } from "../../src/formats/onnx/codec.ts";
import { ELEMENT, type Proto, type ProtoInit } from "../../src/formats/onnx/schema.ts";
import { ModelProtoSchema } from "../onnx_schema.ts";
import { initialParameters } from "../../src/nn/init.ts";
import { channelOf } from "../../src/nn/standardization.ts";
import { zooModel } from "../../src/nn/zoo.ts";
import { assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "../assert.ts";
import { granted } from "../permissions.ts";
import { probabilities, referenceLogits } from "../reference_logits.ts";
import { canUseTemp, withTempDir } from "../temp.ts";
import answers from "../fixtures/onnx/answers.json" with { type: "json" };
import torchNet from "../fixtures/torch_net.json" with { type: "json" };

/** What is said of every file that names no classes. */
const NAMELESS = "it does not name its classes: they are numbered";

const FIXTURES = new URL("../fixtures/", import.meta.url);
const ignore = !granted({ name: "read", path: FIXTURES });

/** Reads a fixture as commands do. */
function fixture(name: string) {
  return readModelFile(new URL(`${name}.onnx`, FIXTURES).pathname);
}

/** How far a model is from outputs, which may be logits, probabilities, or their logarithms. */
async function distance(
  name: string,
  { pixels, outputs }: { pixels: readonly number[]; outputs: readonly (readonly number[])[] },
): Promise<number> {
  const trained = await fixture(name);
  const { inputShape: shape, classCount } = trained.model;
  const count = outputs.length;
  const images = Uint8Array.from(pixels);
  const logits = await referenceLogits(trained, {
    ...{ images, labels: new Uint8Array(count), count, shape },
  });
  const shares = probabilities(logits, classCount);
  // One output is the probability of the second class.
  const shown = outputs[0].length === 1
    ? [shares.filter((_, n) => n % classCount === 1)]
    : [Array.from(logits), shares, shares.map(Math.log)];
  const expected = outputs.flat();
  assertEquals(shown[0].length, expected.length);
  return Math.min(
    ...shown.map((values) => Math.max(...values.map((value, n) => Math.abs(value - expected[n])))),
  );
}

for (const [name, answer] of Object.entries(answers)) {
  Deno.test({
    name: `ONNX of others: ${name} answers as in ONNX Runtime`,
    ignore,
    async fn() {
      const largest = Math.max(1, ...answer.outputs.flat().map(Math.abs));
      const tolerance = (name.endsWith("_half") ? 2e-3 : 1e-5) * largest;
      assertAlmostEquals(await distance(`onnx/${name}`, answer), 0, tolerance);
    },
  });
}

Deno.test("messages are read and written as protobuf's own library does", () => {
  const model = zooModel("lenet-relu");
  const bytes = encodeOnnx({
    model,
    parameters: initialParameters(model, 0),
    classNames: Array(10).fill("a"),
  });
  const theirs = fromBinary(ModelProtoSchema, bytes);
  assertEquals(toBinary(ModelProtoSchema, theirs), bytes);
  const init: ProtoInit<"TensorProto"> = {
    ...{ dims: [2n, -1n], dataType: 1, name: "x", rawData: Uint8Array.of(1, 2, 3) },
    ...{ floatData: [1.5, -2], int32Data: [-1, 7], int64Data: [-(2n ** 63n), 5n] },
    ...{ doubleData: [Math.PI], externalData: [{ key: "location", value: "\u{1f600}" }] },
  };
  const file = { irVersion: 0n, graph: { initializer: [init, {}] } };
  const ours = encodeMessage("ModelProto", file);
  const created = create(ModelProtoSchema, file as MessageInitShape<typeof ModelProtoSchema>);
  assertEquals(ours, toBinary(ModelProtoSchema, created));
  const read = decodeMessage("ModelProto", ours, 16);
  assertEquals(read.graph!.initializer[0], { dataLocation: 0, ...init } as Proto<"TensorProto">);
  assertEquals(decodeMessage("ModelProto", new Uint8Array(), 16).opsetImport, []);
  // A message in two parts is one, unpacked numbers are as good as packed, unknown fields are skipped.
  const parts = Uint8Array.of(...[0x3a, 3, 0x12, 1, 0x61], ...[0xf8, 7, 9], ...[0x3a, 2, 0x2a, 0]);
  const { graph } = decodeMessage("ModelProto", parts, 16);
  assertEquals([graph!.name, graph!.initializer.length], ["a", 1]);
  const unpacked = Uint8Array.of(0x25, 0, 0, 0x80, 0x3f, 0x08, 3, 0x0a, 2, 4, 5);
  const { floatData, dims } = decodeMessage("TensorProto", unpacked, 16);
  assertEquals([floatData, dims], [[1], [3n, 4n, 5n]]);
  const wrong = [[0x3a, 200, 1], [0x38, 1], [0x08], [0x3a, 2, 0x2a, 9], [0xff], [0x12, 5, 0x61]];
  for (const one of wrong) {
    assertThrows(() => decodeMessage("ModelProto", Uint8Array.from(one), 16), Error);
  }
  assertThrows(() => decodeMessage("ModelProto", ours, 1), Error, "nested too deeply");
});

Deno.test({
  name: "ONNX of others: a network that PyTorch exported answers as in PyTorch, under its names",
  ignore,
  async fn() {
    const { model } = await fixture("torch_net");
    assertEquals(
      model.parameters.map(({ name }) => name).filter((name) => name.endsWith("weight")),
      ["conv1.weight", "conv2.weight", "hidden.weight", "out.weight"],
    );
    const { pixels, probabilities } = torchNet;
    const { classCount } = model;
    const outputs = Array.from(
      { length: 3 },
      (_, row) => probabilities.slice(row * classCount, (row + 1) * classCount),
    );
    assertAlmostEquals(await distance("torch_net", { pixels, outputs }), 0, 1e-5);
  },
});

Deno.test({
  name: "ONNX of others: what was assumed, left out and changed is said",
  ignore,
  async fn() {
    const notes = async (name: string) =>
      (await fixture(`onnx/${name}`)).notes?.filter((note) => note !== NAMELESS);
    assertEquals(await notes("dynamo_cnn"), [
      "left out, because it changes no answer: LogSoftmax",
      "it does not say what pixels become: they are taken as pixel / 255",
    ]);
    assertEquals(await notes("tf2onnx_bytes"), [
      "its input is channels last: [batch, height, width, channels]",
      "its first step is made for bytes: pixels are taken as 0 to 255",
    ]);
    assertEquals(await notes("script_batch_norm"), [
      "left out, because it changes no answer: Softmax",
      "it does not say what pixels become: they are taken as pixel / 255",
    ]);
    assertEquals((await notes("dynamo_half"))?.slice(0, 2), [
      "its float16 is computed as float32",
      "its constants of float16 are taken as float32",
    ]);
    assertEquals(
      (await notes("script_one_sigmoid"))?.[0].slice(0, 43),
      "its one output with a sigmoid is read as tw",
    );
  },
});

type FileInit = Exclude<MessageInitShape<typeof ModelProtoSchema>, { $typeName: string }>;
type TensorInit = NonNullable<NonNullable<FileInit["graph"]>["initializer"]>[number];

/** An operator, its inputs and outputs, and its attributes: integers, floats in text, lists, words. */
type Node = [
  opType: string,
  input: string,
  output: string,
  attributes?: Record<string, bigint | number | bigint[] | string>,
];

function attribute([name, value]: [string, bigint | number | bigint[] | string]) {
  if (typeof value === "bigint") return { name, type: 2, i: value };
  if (typeof value === "number") return { name, type: 1, f: value };
  if (typeof value === "string") return { name, type: 3, s: new TextEncoder().encode(value) };
  return { name, type: 7, ints: value };
}

function floats(name: string, shape: number[], floatData: number[]): TensorInit {
  return { name, dims: shape.map(BigInt), floatData, dataType: ELEMENT.float32 };
}

function integers(name: string, ...values: number[]): TensorInit {
  const int64Data = values.map(BigInt);
  return { name, dims: [BigInt(values.length)], int64Data, dataType: ELEMENT.int64 };
}

const WEIGHT = [1, 2, 3, 4, 5, 6, 7, 8];
/** The same, as a linear layer has it: [2, 4]. */
const TURNED = [1, 3, 5, 7, 2, 4, 6, 8];

const CONSTANTS: readonly TensorInit[] = [
  floats("w", [4, 2], WEIGHT),
  floats("wt", [2, 4], TURNED),
  floats("b", [2], [0.5, -0.5]),
  floats("b1", [1, 2], [0.5, -0.5]),
  floats("column", [2, 1], [0.5, -0.5]),
  floats("two", [], [2]),
  floats("k", [2, 1, 1, 1], [2, 3]),
  floats("perChannel", [1, 2, 1, 1], [10, 20]),
  floats("perColumn", [2], [10, 20]),
  floats("w8", [8, 2], [...WEIGHT, ...WEIGHT]),
  floats("v", [2], [4, 16]),
  integers("axes", 2, 3),
  integers("shape", 0, 4),
  integers("batchFirst", 1, -1),
  integers("pads", 0, 0, 1, 1, 0, 0, 1, 1),
  { name: "true", dims: [], int32Data: [1], dataType: ELEMENT.bool },
  floats("short", [4, 2], [1]),
  { name: "bytes", dims: [4n, 2n], dataType: ELEMENT.int8, rawData: new Uint8Array(8) },
];

interface FileOptions {
  readonly output?: string;
  readonly opset?: bigint;
  readonly sizes?: readonly number[];
  readonly elemType?: number;
  readonly constants?: readonly TensorInit[];
}

/** A file of one input x [n, 1, 2, 2], the nodes given, and all constants. */
function onnxFile(nodes: readonly Node[], options: FileOptions = {}): Uint8Array<ArrayBuffer> {
  const { output = "y", opset = 17n, sizes = [1, 2, 2], elemType = 1, constants = [] } = options;
  const dim = [{ dimParam: "n" }, ...sizes.map((size) => ({ dimValue: BigInt(size) }))];
  const type = { tensorType: { elemType, shape: { dim } } };
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 8n,
      opsetImport: [{ domain: "", version: opset }],
      graph: {
        name: "small",
        node: nodes.map(([opType, input, to, attributes = {}]) => ({
          ...{ opType, input: input.split(" ") },
          ...{ output: to.split(" "), attribute: Object.entries(attributes).map(attribute) },
        })),
        initializer: [...CONSTANTS, ...constants],
        input: [{ name: "x", type }],
        output: [{ name: output, type }],
      },
    }),
  );
}

const FLATTEN: Node = ["Flatten", "x", "f"];
const GEMM: Node = ["Gemm", "f w b", "y"];
/** A convolution of 1x1 to two channels, what follows, and a linear layer. */
const behindConv = (...nodes: Node[]): Node[] => [
  ["Conv", "x k", "c"],
  ...nodes,
  ["Flatten", "r", "f"],
  ["Gemm", "f w8 b", "y"],
];

Deno.test("ONNX of others: each operator's every form gives its numbers", () => {
  const plain = [...TURNED, 0.5, -0.5];
  const scaled = (weight: number, ...bias: number[]) => [
    ...TURNED.map((value) => weight * value),
    ...bias,
  ];
  const cases: [Node[], number[]][] = [
    [[FLATTEN, GEMM], plain],
    [[FLATTEN, ["Gemm", "f wt b", "y", { transB: 1n }]], plain],
    [[FLATTEN, ["Gemm", "f w b1", "y", { alpha: 0.5, beta: 2 }]], scaled(0.5, 1, -1)],
    [[FLATTEN, ["Gemm", "f w two", "y", { beta: 2 }]], scaled(1, 4, 4)],
    [[FLATTEN, ["Gemm", "f w", "y", { alpha: 4 }]], scaled(4)],
    [[["Reshape", "x shape", "f"], ["MatMul", "f w", "m"], ["Add", "b m", "y"]], plain],
    [[["Reshape", "x shape", "f", { allowzero: 0n }], GEMM], plain],
    [[FLATTEN, ["MatMul", "f w", "m"], ["Sub", "m b1", "y"]], scaled(1, -0.5, 0.5)],
    [[FLATTEN, ["MatMul", "f w", "m"], ["Sub", "b m", "y"]], scaled(-1, 0.5, -0.5)],
    [[FLATTEN, GEMM.with(2, "m") as Node, ["Div", "m two", "y"]], scaled(0.5, 0.25, -0.25)],
    [[FLATTEN, ["Transpose", "wt", "u"], ["Identity", "u", "v1"], ["Gemm", "f v1 b", "y"]], plain],
    [[FLATTEN, ["Mul", "w two", "u"], ["Gemm", "f u b", "y"]], scaled(2, 0.5, -0.5)],
    [[FLATTEN, GEMM.with(2, "m") as Node, ["Dropout", "m", "d"], ["Softmax", "d", "y"]], plain],
    [
      [
        ["Shape", "x", "s"],
        ["Slice", "s zero one", "n"],
        ["Concat", "n minus", "t", { axis: 0n }],
        [
          "Reshape",
          "x t",
          "f",
        ],
        GEMM,
      ],
      plain,
    ],
    [[FLATTEN, GEMM.with(2, "m") as Node, ["Add", "m m", "y"]], scaled(2, 1, -1)],
    [[FLATTEN, GEMM, ["Relu", "y", "unused"]], plain],
    [behindConv(["Add", "c perChannel", "r"]), [2, 3, 10, 20]],
    [behindConv(["Mul", "perChannel c", "r"]), [20, 60]],
    [
      behindConv(["BatchNormalization", "c v b two2 v", "n"], ["Mul", "n two", "r"]),
      [2, 3, 8, 32, 1, -1],
    ],
    [behindConv(["Relu", "c", "q"], ["Mul", "q two", "r"]), [2, 3, 2, 0, 0, 2]],
  ];
  const constants = [
    ...[integers("zero", 0), integers("one", 1), integers("minus", -1)],
    floats("two2", [2], [2, 2]),
  ];
  for (const [nodes, expected] of cases) {
    const { parameters } = decodeOnnx(onnxFile(nodes, { constants }), "file");
    assertEquals([...parameters.subarray(0, expected.length)], expected);
  }
});

Deno.test("ONNX of others: zeros at one side alone are added at that side, and vectors become images", async () => {
  const constants = [floats("ones", [1, 1, 2, 2], [1, 1, 1, 1]), integers("image", -1, 1, 2, 2)];
  const identity = floats("identity", [4, 4], [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
  const uneven = integers("uneven", 0, 0, 1, 0, 0, 0, 0, 1);
  const conv = (input: string, attributes = {}): Node => ["Conv", `${input} ones`, "c", attributes];
  const [upper, lower, mixed] = [[10, 6, 7, 4], [1, 3, 4, 10], [3, 2, 10, 6]];
  const cases: [Node[], number[]][] = [
    [[conv("x", { auto_pad: "SAME_UPPER" })], upper],
    [[conv("x", { auto_pad: "SAME_LOWER" })], lower],
    [[conv("x", { pads: [1n, 0n, 0n, 1n] })], mixed],
    [[["Pad", "x uneven", "p"], conv("p")], mixed],
    [[
      ["Pad", "x uneven", "p"],
      ["Flatten", "x", "flat"],
      ["Reshape", "flat image", "i"],
      conv("i", {
        pads: [0n, 0n, 1n, 1n],
      }),
    ], upper],
  ];
  for (const [nodes, expected] of cases) {
    const all: Node[] = [...nodes, ["Flatten", "c", "f"], ["MatMul", "f identity", "y"]];
    const file = onnxFile(all, { constants: [...constants, identity, uneven] });
    const trained = decodeOnnx(file, "file");
    const images = Uint8Array.of(1, 2, 3, 4);
    const data = { images, labels: new Uint8Array(1), count: 1, shape: trained.model.inputShape };
    const logits = await referenceLogits(trained, data);
    logits.forEach((value, n) => assertAlmostEquals(value * 255, expected[n], 1e-5));
  }
});

Deno.test("ONNX of others: what a first step does to pixels says whether it was made for bytes", () => {
  const cases: [Node[], { mean: number; std: number }, string][] = [
    [
      [["Sub", "x c128", "z"], ["Flatten", "z", "f"]],
      { mean: 128 / 255, std: 1 / 255 },
      "for bytes",
    ],
    [[["Div", "x c255", "z"], ["Flatten", "z", "f"]], { mean: 0, std: 1 }, "for bytes"],
    [[["Flatten", "x", "z"], ["Div", "z c255", "f"]], { mean: 0, std: 1 }, "for bytes"],
    [[["Sub", "x half", "z"], ["Flatten", "z", "f"]], { mean: 0.5, std: 1 }, "/ 255 - 0.5) / 1,"],
    [[["Mul", "x two", "z"], ["Flatten", "z", "f"]], { mean: 0, std: 0.5 }, "/ 255 - 0) / 0.5,"],
    [[FLATTEN], { mean: 0, std: 1 }, "taken as pixel / 255"],
  ];
  const constants = [
    floats("c128", [], [128]),
    floats("c255", [], [255]),
    floats("half", [1], [0.5]),
  ];
  for (const [nodes, expected, note] of cases) {
    const bytes = onnxFile([...nodes, GEMM], { constants });
    const { model: { standardization }, notes } = decodeOnnx(bytes, "file");
    const { mean, std } = channelOf(standardization, 0);
    assertAlmostEquals(mean, expected.mean, 1e-7);
    assertAlmostEquals(std, expected.std, 1e-7);
    assertEquals(notes?.some((sentence) => sentence.includes(note)), true, `${notes}`);
  }
  const bytes = onnxFile([["Cast", "x", "z", { to: 1n }], ["Flatten", "z", "f"], GEMM], {
    elemType: 2,
  });
  assertEquals(decodeOnnx(bytes, "file").model.standardization, { mean: 0, std: 1 / 255 });
});

Deno.test("ONNX of others: what is not supported is refused by its name, in one line", () => {
  const cases: [Node[], string][] = [
    [[["Elu", "x", "e"], FLATTEN, GEMM], "Elu: the operator is not supported; supported are Conv,"],
    [[FLATTEN, ["Gemm", "f w b", "y", { transA: 1n }]], "Gemm: transA must be 0, found 1"],
    [[FLATTEN, ["Gemm", "f w b", "y", { odd: 1n }]], 'Gemm: attribute "odd" is not supported'],
    [[FLATTEN, ["Gemm", "f w column", "y"]], "Gemm: its constant of [2, 1] must be one number, or"],
    [[FLATTEN, ["Gemm", "f w b b", "y"]], "Gemm: it takes 4 inputs, not 3"],
    [[FLATTEN, ["Gemm", "f w shape", "y"]], "Gemm: its input 2 must be floats"],
    [[FLATTEN, ["Gemm", "wt f b", "y"]], 'it takes the computed value "f" as its input 1'],
    [[FLATTEN, ["MatMul", "wt f", "y"]], 'it takes the computed value "f" as its input 1'],
    [[FLATTEN, GEMM.with(2, "m") as Node, ["Div", "two m", "y"]], 'value "m" as its input 1'],
    [
      [FLATTEN, ["Mul", "f f", "g"], ["Gemm", "g w b", "y"]],
      'Mul: it takes 2 computed values, "f" and "f": only Add may take two',
    ],
    [[FLATTEN, ["Add", "x f", "y"]], "Add: it adds [1, 2, 2] and [4]: both must have"],
    [[["Mul", "x two", "z"], ["Add", "x z", "y"]], "Add: it adds pixels of which one"],
    [[FLATTEN, ["Concat", "f f", "y", { axis: 1n }]], "Concat: it takes 2 computed values"],
    [[FLATTEN, ["Gemm", "f none b", "y"]], 'Gemm: it takes "none", which no node before it gives'],
    [[FLATTEN, ["Gemm", "none w b", "y"]], 'it takes "none", which no node before it gives'],
    [[FLATTEN, ["Relu", "f", "f"], GEMM], 'the value "f" is given twice'],
    [[["Gemm", "x w b", "y"]], "its input must be a vector, found [1, 2, 2]"],
    [
      [FLATTEN, ["Gemm", "f short b", "y"]],
      'tensor "short" has 1 numbers, its shape [4, 2] needs 8',
    ],
    [
      [FLATTEN, ["Gemm", "f bytes b", "y"]],
      'tensor "bytes" must be float32, found int8; quantised',
    ],
    [[["QuantizeLinear", "x two", "q"], FLATTEN, GEMM], "QuantizeLinear: quantised models are not"],
    [
      behindConv(["Add", "c perColumn", "r"]),
      "its constant of [2] must be one number, or one for each",
    ],
    [behindConv(["Softmax", "c", "r", { axis: 1n }]), "it must be over the logits, at the end"],
    [
      [["Conv", "x k", "r", { pads: [0n, 0n, 1n, -1n] }]],
      "pads must be four whole numbers of 0 or more, found [0, 0, 1, -1]",
    ],
    [
      [["Conv", "x k", "r", { pads: [0n, 0n, 1_000_000_000n, 0n] }]],
      "its padding makes its kernel 1000000001x1: it is too large",
    ],
    [[["Conv", "x k", "r", { dilations: [2n, 1n] }]], "Conv: dilations must be 1"],
    [[["Conv", "x k", "r", { group: 2n }]], "expected 2 input channels, found 1 in [1, 2, 2]"],
    [
      [["Conv", "x k", "r", { auto_pad: "VALID", pads: [1n, 1n, 1n, 1n] }]],
      "both pads and auto_pad",
    ],
    [[["MaxPool", "x", "r", { kernel_shape: [3n, 3n] }]], "a window of 3x3 does not fit"],
    [
      [["MaxPool", "x", "r", { kernel_shape: [1n, 1n], pads: [1n, 1n, 1n, 1n] }]],
      "expected padding of at most half a window of 1x1, found 1x1",
    ],
    [
      [["AveragePool", "x", "r", { kernel_shape: [2n, 2n], pads: [1n, 1n, 1n, 1n] }]],
      "padding of averages must count as zeros, here it does not: windows of 2x2 with stride 1x1",
    ],
    [
      [["MaxPool", "x", "r", { kernel_shape: [2n, 2n], pads: [0n, 0n, 1n, 1n] }]],
      "padding of a pooling layer must be alike at both sides: windows of 2x2",
    ],
    [
      [["Pad", "x pads", "p"], ["MaxPool", "p", "r", { kernel_shape: [2n, 2n] }]],
      "zeros before maxima are supported behind relu and sigmoid: windows of 2x2",
    ],
    [[["LeakyRelu", "x", "r", { alpha: 1.5 }]], "expected a number in [0, 1], found 1.5"],
    [[["Dropout", "x minus1", "r"]], "expected a number in [0, 0.99], found -1"],
    [
      [["AveragePool", "x", "r", { kernel_shape: [1n, 1n], strides: [2n, 2n], ceil_mode: 1n }]],
      "ceil_mode over an input of 2x2 is not supported",
    ],
    [
      [["Pad", "x pads", "p"], ["Relu", "p", "r"]],
      "Relu: only a convolution or pooling may follow zero padding",
    ],
    [[["Pad", "x pads two", "p"]], 'found [0, 0, 1, 1, 0, 0, 1, 1] of "constant" 2'],
    [[["Pad", "x pads", "p", { mode: "edge" }]], 'found [0, 0, 1, 1, 0, 0, 1, 1] of "edge" 0'],
    [[["Reshape", "x batchFirst", "f"]], "Reshape: it must make vectors of 4, found [1, 4]"],
    [[["Reshape", "x shape", "f", { allowzero: 1n }]], "it must make vectors of 4, found [0, 4]"],
    [[["Flatten", "x", "f", { axis: 2n }]], "Flatten: axis must be 1, found 2"],
    [[["Squeeze", "x", "f"]], "it must name axes of length 1 behind the batch"],
    [[["Transpose", "x", "f", { perm: [1n, 0n, 2n, 3n] }]], "perm must leave the batch in front"],
    [
      [["Transpose", "x", "t", { perm: [0n, 1n, 3n, 2n] }], ["Conv", "t k", "c"]],
      "must be channels first",
    ],
    [
      [["ReduceMean", "x", "f", { axes: [1n] }]],
      "it must be over rows and columns, found axes [1]",
    ],
    [[["Cast", "x", "f", { to: 7n }]], "Cast: casting to type 7 is not supported, only to floats"],
    [[["Sub", "two x", "z"]], "its factor -1 turns light into dark"],
    [[["Dropout", "x two true", "z"]], "training_mode must be false"],
    [
      [FLATTEN, ["Softmax", "f", "s"], ["Gemm", "s w b", "y"]],
      "nothing may follow a softmax",
    ],
    [
      [FLATTEN, ["Gemm", "f w b", "z"]],
      'its one output must be what a node computes, found "y"',
    ],
    [behindConv(["BatchNormalization", "c b b b b", "r"]), "its variances must be numbers of 0 or"],
    [
      behindConv(["BatchNormalization", "c v v w v", "r"]),
      "a constant of 1 dimensions, found [4, 2]",
    ],
    [
      behindConv(["BatchNormalization", "c v v four v", "r"]),
      "it must have 2 numbers of each kind, found 4",
    ],
    [
      behindConv(["BatchNormalization", "c v v v v", "r", { epsilon: 0 }]),
      "Invalid eps of batchNorm2d",
    ],
    [
      behindConv(["BatchNormalization", "c v v v v", "r", { training_mode: 1n }]),
      "training_mode must be 0, found 1",
    ],
    [
      [["Shape", "x", "s"], ["Mul", "s two64", "t"]],
      "arithmetic with the batch size is not supported",
    ],
  ];
  for (const [nodes, message] of cases) {
    const constants = [
      integers("two64", 2),
      ...[floats("minus1", [], [-1]), floats("four", [4], [1, 2, 3, 4])],
    ];
    const bytes = onnxFile(nodes, { constants });
    const error = assertThrows(() => decodeOnnx(bytes, "file"), TypeError, message);
    assertEquals(error.message.startsWith("Cannot read file as ONNX: "), true);
    assertEquals(error.message.includes("\n"), false);
  }
  const uint8 = onnxFile([["Relu", "x", "z"]], { elemType: 2 });
  assertThrows(() => decodeOnnx(uint8, "file"), TypeError, "a Cast to float must come before");
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

Deno.test("ONNX of others: batch norm, dropout, leaky ReLU, groups and padded pools are layers of their own", () => {
  const pool = { kernel_shape: [2n, 2n], pads: [1n, 1n, 1n, 1n] };
  const constants = [
    ...[floats("means", [2], [0.5, -0.5]), floats("tenth", [], [0.1]), floats("all", [], [1])],
    ...[floats("w32", [32, 2], Array(64).fill(1))],
  ];
  const nodes: Node[] = [
    ["Conv", "x k", "c"],
    ["BatchNormalization", "c v b means v", "n", { epsilon: 1e-3, momentum: 0.99 }],
    ["LeakyRelu", "n", "l", { alpha: 0.2 }],
    ["Conv", "l k", "g", { group: 2n }],
    ["AveragePool", "g", "a", { ...pool, count_include_pad: 1n }],
    ["Relu", "a", "u"],
    ["MaxPool", "u", "m", { ...pool, ceil_mode: 1n, strides: [1n, 1n] }],
    ["Dropout", "m tenth", "d"],
    ["Pad", "d pads", "p"],
    ["AveragePool", "p", "e", { kernel_shape: [3n, 3n] }],
    ["Dropout", "e all", "s"],
    ["Flatten", "s", "f"],
    ["Gemm", "f w32", "y"],
  ];
  const { model, parameters, statistics, notes } = decodeOnnx(
    onnxFile(nodes, { constants }),
    "file",
  );
  const windows = { poolSize: [2, 2], stride: [1, 1], padding: [1, 1] };
  const kernel = { kernelSize: [1, 1], stride: [1, 1], padding: [0, 0] };
  assertEquals(model.specs as readonly unknown[], [
    { type: "conv2d", inChannels: 1, outChannels: 2, ...kernel, bias: false },
    { type: "batchNorm2d", momentum: 0.01, eps: 0.001 },
    { type: "leakyRelu", negativeSlope: 0.2 },
    { type: "conv2d", inChannels: 2, outChannels: 2, ...kernel, groups: 2, bias: false },
    { type: "avgPool2d", ...windows },
    { type: "relu" },
    { type: "maxPool2d", ...windows },
    { type: "dropout", p: 0.1 },
    { type: "avgPool2d", ...windows, poolSize: [3, 3] },
    { type: "dropout", p: 0.99 },
    { type: "flatten" },
    { type: "linear", inFeatures: 32, outFeatures: 2, bias: false },
  ]);
  assertEquals([...parameters.subarray(0, 8)], [2, 3, 4, 16, 0.5, -0.5, 2, 3]);
  assertEquals([...statistics!], [0.5, -0.5, 4, 16, 0]);
  assertEquals(notes?.[0], "its dropout of 1 is taken as one of 0.99");
});

Deno.test("ONNX of others: a batch norm of bytes says that pixels are bytes", () => {
  const constants = [
    floats("mean", [1], [120]),
    floats("square", [1], [4_000]),
    floats("one", [1], [1]),
  ];
  const norm = (mean: string, variance: string): Node[] => [
    ["BatchNormalization", `x one one ${mean} ${variance}`, "n"],
    ["Flatten", "n", "f"],
    GEMM,
  ];
  for (const nodes of [norm("mean", "one"), norm("one", "square"), norm("mean", "square")]) {
    const { model, notes } = decodeOnnx(onnxFile(nodes, { constants }), "file");
    assertEquals(model.standardization, { mean: 0, std: 1 / 255 });
    assertEquals(notes?.[0], "its first step is made for bytes: pixels are taken as 0 to 255");
  }
  const { model } = decodeOnnx(onnxFile(norm("one", "one"), { constants }), "file");
  assertEquals(model.standardization, { mean: 0, std: 1 });
});

Deno.test("ONNX of others: one output is two classes if it has a sigmoid, and refused if not", () => {
  const constants = [floats("w1", [4, 1], [1, 2, 3, 4])];
  const gemm: Node = ["Gemm", "f w1", "z"];
  const cases: Node[][] = [
    [FLATTEN, gemm, ["Sigmoid", "z", "y"]],
    [FLATTEN, gemm, ["Sigmoid", "z", "s"], ["Flatten", "s", "y"]],
  ];
  for (const nodes of cases) {
    const { model, parameters } = decodeOnnx(onnxFile(nodes, { constants }), "file");
    assertEquals(model.classCount, 2);
    assertEquals([...parameters.subarray(4)], [0, 1]);
  }
  for (const end of ["Tanh", "Softmax", "Identity"]) {
    const bytes = onnxFile([FLATTEN, gemm, [end, "z", "y"]], { constants });
    assertThrows(() => decodeOnnx(bytes, "file"), TypeError, "its one output has no sigmoid");
  }
});

Deno.test("ONNX of others: constants of other floats are converted, in each form that the format has", () => {
  const half = [0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600, 0x4700, 0x4800];
  const brain = [0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0, 0x40c0, 0x40e0, 0x4100];
  const raw = (numbers: { buffer: ArrayBuffer }) => ({ rawData: new Uint8Array(numbers.buffer) });
  const forms: [number, Partial<Exclude<TensorInit, { $typeName: string }>>][] = [
    [ELEMENT.float32, raw(Float32Array.from(WEIGHT))],
    [ELEMENT.float64, raw(Float64Array.from(WEIGHT))],
    [ELEMENT.float64, { doubleData: WEIGHT }],
    [ELEMENT.float16, raw(Uint16Array.from(half))],
    [ELEMENT.float16, { int32Data: half }],
    [ELEMENT.bfloat16, raw(Uint16Array.from(brain))],
    [ELEMENT.bfloat16, { int32Data: brain }],
  ];
  for (const [dataType, data] of forms) {
    const constants = [{ name: "other", dims: [4n, 2n], dataType, ...data }];
    const bytes = onnxFile([FLATTEN, ["Gemm", "f other b", "y"]], { constants });
    const { parameters, notes } = decodeOnnx(bytes, "file");
    assertEquals([...parameters], [...TURNED, 0.5, -0.5]);
    const isSaid = notes?.some((note) => note.endsWith("are taken as float32"));
    assertEquals(isSaid, dataType !== ELEMENT.float32);
  }
});

/** A file whose weight lies elsewhere, as these entries say. */
function external(entries: Record<string, string>): Uint8Array<ArrayBuffer> {
  const externalData = Object.entries(entries).map(([key, value]) => ({ key, value }));
  const place = { dims: [4n, 2n], dataType: ELEMENT.float32, dataLocation: 1, externalData };
  const constants = [{ name: "other", ...place }];
  return onnxFile([FLATTEN, ["Gemm", "f other b", "y"]], { constants });
}

Deno.test("ONNX: weights beside the file are read where it says, within bounds and the folder", async () => {
  const content = new Uint8Array(Float32Array.of(9, ...WEIGHT).buffer);
  const read = (name: string) =>
    name === "w.data" ? Promise.resolve(content) : Promise.reject(new Error("not there"));
  const place = { location: "w.data", offset: "4", length: "32" };
  for (const entries of [place, { location: "w.data", offset: "4" }]) {
    const { parameters } = await decodeOnnx(external(entries), "file", read);
    assertEquals([...parameters], [...TURNED, 0.5, -0.5]);
  }
  const cases: [Record<string, string>, string][] = [
    [{ ...place, location: "other.data" }, 'lie in "other.data", which must be beside it under'],
    [{ ...place, location: "../w.data" }, 'lies in "../w.data", which is no name of a file beside'],
    [{ ...place, location: "/etc/passwd" }, 'lies in "/etc/passwd", which is no name of a file'],
    [{ ...place, location: "a\\w.data" }, "which is no name of a file beside the model"],
    [{ ...place, location: ".." }, 'lies in "..", which is no name of a file beside the model'],
    [{ offset: "0" }, 'lies in "", which is no name of a file beside the model'],
    [{ ...place, offset: "8" }, 'needs bytes 8 to 40 of "w.data", which has 36: it is cut off'],
    [{ ...place, offset: "99999999999999" }, 'of "w.data", which has 36'],
    [{ ...place, offset: "-4" }, 'has no valid offset in "w.data": "-4"'],
    [{ ...place, offset: "1e3" }, 'has no valid offset in "w.data": "1e3"'],
    [{ ...place, length: "28" }, 'needs 32 bytes of "w.data", its length says 28'],
    [{ ...place, length: "" }, 'has no valid length in "w.data": ""'],
  ];
  for (const [entries, message] of cases) {
    const error = await assertRejects(
      async () => await decodeOnnx(external(entries), "file", read),
      TypeError,
      message,
    );
    assertEquals(error.message.startsWith("Cannot read file as ONNX: "), true);
  }
  const alone = () => decodeOnnx(external(place), "file");
  assertThrows(alone, TypeError, 'tensor "other" lies in "w.data": give a reader of files');
});

Deno.test("ONNX: commands read the weights that lie beside a file, and say where they are missed", {
  ignore: !canUseTemp(),
}, () =>
  withTempDir(async (folder) => {
    await Deno.writeFile(`${folder}/model.onnx`, external({ location: "w.data" }));
    const read = () => readModelFile(`${folder}/model.onnx`);
    await assertRejects(read, TypeError, 'its weights lie in "w.data", which must be beside it');
    await Deno.mkdir(`${folder}/w.data`);
    await assertRejects(read, TypeError, "expected a file, found a folder");
    await Deno.remove(`${folder}/w.data`);
    await Deno.writeFile(`${folder}/w.data`, new Uint8Array(32));
    assertEquals((await read()).parameters.length, 10);
  }));

Deno.test("ONNX: an exported file says what goes in, what comes out and what the classes are", () => {
  const model = zooModel("softmax", { classCount: 3 });
  const classNames = ["shirt", "bag", "boot"];
  const trained = { model, parameters: initialParameters(model, 0), classNames };
  const { docString, metadataProps } = fromBinary(ModelProtoSchema, encodeOnnx(trained));
  assertEquals(docString.split("\n"), [
    "input: float32 [batch, 1, 28, 28], channels first, grey, pixel / 255 (black 0, white 1).",
    "logits: float32 [batch, 3]; their softmax is the probabilities.",
    "Classes in order: shirt, bag, boot.",
  ]);
  const names = metadataProps.find(({ key }) => key === "class_names")?.value;
  assertEquals(JSON.parse(names!), classNames);
});
