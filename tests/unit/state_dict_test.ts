/** A `state_dict` in safetensors, as people save it: what it is taken for, or why it is refused. */

import { toTensors } from "../../src/formats/safetensors/state_dict.ts";
import { encodeSafetensors, type Tensor } from "../../src/formats/safetensors/file.ts";
import {
  decodeSafetensorsModel,
  encodeSafetensorsModel,
} from "../../src/formats/safetensors/model.ts";
import { initialParameters } from "../../src/nn/init.ts";
import type { Model } from "../../src/nn/sequential.ts";
import { type ModelName, zooModel } from "../../src/nn/zoo.ts";
import { assertEquals, assertStringIncludes, assertThrows } from "../assert.ts";

const LENET = zooModel("lenet-relu");
const PARAMETERS = initialParameters(LENET, 9);
const OWN = toTensors(LENET, PARAMETERS);

type Entries = Iterable<readonly [string, Tensor]>;

/** A file without a description, sorted as `safetensors.torch` does. */
function file(entries: Entries): Uint8Array {
  const tensors = new Map([...entries].sort(([a], [b]) => a < b ? -1 : 1));
  return encodeSafetensors({ tensors, metadata: { format: "pt" } });
}

function renamed(rename: (name: string) => string, tensors: Entries = OWN): Entries {
  return [...tensors].map(([name, tensor]) => [rename(name), tensor] as const);
}

function read(entries: Entries, model?: Model | ModelName) {
  return decodeSafetensorsModel(file(entries), "file", { model });
}

/** Modules of an nn.Sequential, and of one with two parts. */
const NUMBERS: Readonly<Record<string, string>> = {
  ...{ conv1: "0", conv2: "3", fc1: "7", fc2: "9", fc3: "11" },
};

Deno.test("state_dict: whose layers are not said and could be several's is refused until --model says", () => {
  const error = assertThrows(() => read(OWN), TypeError);
  assertEquals(
    error.message,
    "Cannot read the model in file: its metadata describes none, and its tensors are those of lenet, " +
      "lenet-d2l, lenet-relu; say which with --model lenet|lenet-d2l|lenet-relu",
  );
  const { model, parameters, notes, assumesPixels } = read(OWN, "lenet-relu");
  assertEquals([model, parameters, assumesPixels], [LENET, PARAMETERS, true]);
  assertEquals(notes, [
    'it says nothing of layers, pixels and classes: taken for "lenet-relu" (LeNet with ReLU and max ' +
    "pooling), images of [1, 28, 28] as pixel / 255, classes 0 to 9",
  ]);
  const mlp = zooModel("mlp");
  const only = read(toTensors(mlp, initialParameters(mlp, 0)));
  assertEquals(only.model, mlp);
  assertStringIncludes(only.notes![0], 'taken for "mlp"');
  assertThrows(() => read(OWN, "mlp"), TypeError, "its tensors are those of lenet, lenet-d2l");
});

Deno.test("state_dict: what a file describes stands, and another model is refused", () => {
  const standardization = { mean: 0.3, std: 0.4 };
  const model = { ...LENET, standardization };
  const described = encodeSafetensorsModel({ model, parameters: PARAMETERS });
  const asRelu = decodeSafetensorsModel(described, "file", { model: "lenet-relu" });
  assertEquals([asRelu.model.standardization, asRelu.notes], [standardization, undefined]);
  assertThrows(
    () => decodeSafetensorsModel(described, "file", { model: "lenet" }),
    TypeError,
    'into model "lenet": expected sigmoid, [6, 28, 28] to [6, 28, 28] as layer 1, found relu',
  );
  const damaged = encodeSafetensors({ tensors: OWN, metadata: { lenet: "{}" } });
  assertThrows(() => decodeSafetensorsModel(damaged, "file"), SyntaxError, "name it with --model");
  const { notes } = decodeSafetensorsModel(damaged, "file", { model: "lenet-relu" });
  assertStringIncludes(notes![0], "its description is not used: ");
});

Deno.test("state_dict: a prefix that all names have is left out, and said", () => {
  for (const prefix of ["module.", "_orig_mod.", "net.", "model.", "_orig_mod.module.net."]) {
    const { parameters, notes } = read(renamed((name) => prefix + name), "lenet-relu");
    assertEquals(parameters, PARAMETERS);
    assertEquals(notes![0], `its tensors' names begin with "${prefix}", left out`);
  }
  const half = renamed((name) => name.startsWith("conv") ? `module.${name}` : name);
  const { notes } = read(half, "lenet-relu"); // not all have it: shapes tell them apart
  assertStringIncludes(notes![0], '"module.conv1" is "conv1"');
});

Deno.test("state_dict: names of others are matched by shapes that are there once, else refused", () => {
  const numbered = (name: string) => name.replace(/^\w+/, (layer) => NUMBERS[layer]);
  const parts = (name: string) =>
    (/^conv/.test(name) ? "features." : "classifier.") + numbered(name);
  for (const rename of [numbered, parts]) {
    const { parameters, notes } = read(renamed(rename), "lenet-relu");
    assertEquals(parameters, PARAMETERS);
    assertStringIncludes(notes![0], `"${rename("fc3.bias").slice(0, -5)}" is "fc3"`);
  }
  const missing = [...renamed(numbered)].slice(1);
  const error = assertThrows(() => read(missing, "lenet-relu"), TypeError);
  assertStringIncludes(
    error.message,
    `expected lenet-relu's "conv1.weight" [6, 1, 5, 5], "conv1.bias"`,
  );
  assertStringIncludes(error.message, "[16], ... (9); export it as ONNX");
  const turned = [...OWN].map(([name, { shape, data }]) =>
    [name, { shape: [...shape].reverse(), data }] as const
  );
  assertThrows(() => read(turned, "lenet-relu"), TypeError, "export it as ONNX");
  // Two layers of one shape: nothing tells which is which.
  const twins = zooModel("mlp", { inputShape: [1, 16, 16], classCount: 256 });
  const alike = toTensors(twins, initialParameters(twins, 0));
  const other = renamed((name) => name.replace("fc", "layer"), alike);
  assertThrows(() => read(other, twins), TypeError, 'expected "fc1.weight" [256, 256], found');
  assertEquals(read(alike, twins).parameters.length, twins.parameterCount);
});

Deno.test("state_dict: images and classes are those of the tensors", () => {
  const cases: [ModelName, Model["inputShape"], number][] = [
    ["lenet", [1, 28, 28], 26],
    ["lenet-d2l", [1, 32, 32], 10],
    ["lenet-relu", [3, 28, 28], 47],
    ["softmax", [1, 8, 8], 3],
    ["mlp", [3, 32, 32], 256],
  ];
  for (const [name, inputShape, classCount] of cases) {
    const model = zooModel(name, { inputShape, classCount });
    const found = read(toTensors(model, initialParameters(model, 1)), name);
    assertEquals([found.model.inputShape, found.model.classCount], [inputShape, classCount]);
    assertStringIncludes(
      found.notes!.at(-1)!,
      `images of [${inputShape.join(", ")}] as pixel / 255`,
    );
  }
});

Deno.test("state_dict: F16, BF16 and F64 become F32, and other types are named", () => {
  const model = zooModel("softmax", { inputShape: [1, 2, 2], classCount: 2 });
  const values = Float32Array.of(1, -2.5, 0.125, 0, -0, 96, 2 ** -14, 3, 0.5, -1);
  const types = {
    F16: (value: number) => new Uint8Array(Float16Array.of(value).buffer),
    BF16: (value: number) => new Uint8Array(Float32Array.of(value).buffer, 2),
    F64: (value: number) => new Uint8Array(Float64Array.of(value).buffer),
  };
  for (const [dtype, bytesOf] of Object.entries(types)) {
    const bytes = Array.from(values).flatMap((value) => [...bytesOf(value)]);
    const found = decodeSafetensorsModel(typed(dtype, bytes), "file", { model });
    assertEquals(found.parameters, values);
    assertEquals(found.notes![0], `its numbers are ${dtype}, converted to F32`);
  }
  const refused: [string, string][] = [
    [
      "I64",
      'expected tensors of F32, F64, F16, BF16, found "I64" in tensor "fc.weight"; a quantised',
    ],
    [
      "F8_E4M3",
      'found "F8_E4M3" in tensor "fc.weight"; a quantised model must be saved as float32',
    ],
    ["BOOL", "save them as float32"],
  ];
  for (const [dtype, message] of refused) {
    assertThrows(() => decodeSafetensorsModel(typed(dtype, []), "file"), TypeError, message);
  }
  // Counts of batches are the one kind of whole numbers that is read.
  const counted = typed("I64", [...new Uint8Array(80)]);
  const text = new TextDecoder("latin1").decode(counted);
  const named = text.replace('"fc.weight"', '"bn.num_batches_tracked"');
  const grown = Uint8Array.from(named, (character) => character.charCodeAt(0));
  grown[0] += named.length - text.length;
  assertThrows(() => decodeSafetensorsModel(grown, "file"), TypeError, '"I64" in tensor "fc.bias"');
});

/** A softmax regression of 2 x 2 pixels and two classes as tensors of any type. */
function typed(dtype: string, bytes: readonly number[]): Uint8Array {
  const end = bytes.length;
  const start = end / 10 * 8;
  const header = JSON.stringify({
    "fc.weight": { dtype, shape: [2, 4], data_offsets: [0, start] },
    "fc.bias": { dtype, shape: [2], data_offsets: [start, end] },
  });
  const length = new Uint8Array(new BigUint64Array([BigInt(header.length)]).buffer);
  return Uint8Array.of(...length, ...new TextEncoder().encode(header), ...bytes);
}
