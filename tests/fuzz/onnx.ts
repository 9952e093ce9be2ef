/** ONNX files as others write them, and mutations of their graphs that leave the encoding whole. */

import { create, fromBinary, fromJson, toBinary, toJson } from "@bufbuild/protobuf";
import { encodeOnnx } from "../../src/formats/onnx/file.ts";
import { ELEMENT } from "../../src/formats/onnx/schema.ts";
import { ModelProtoSchema } from "../onnx_schema.ts";
import type { TrainedModel } from "../../src/formats/trained_model.ts";
import { concat, mutateJson, type Mutator, pick } from "./mutate.ts";

/** Operators that a node may become. */
const OPERATORS = [
  ...["Shape", "Gather", "Slice", "Concat", "Squeeze", "Unsqueeze", "Reshape", "Transpose", "Cast"],
  ...["Add", "Sub", "Mul", "Div", "Pad", "MatMul", "Gemm", "Conv", "MaxPool", "ReduceMean"],
  ...["BatchNormalization", "Softmax", "Dropout", "Identity", "Constant", "Flatten", "Sigmoid"],
];

/** A file whose weights lie in `weights.bin`, with these bytes, and that works its sizes out. */
export function withWeightsBeside(trained: TrainedModel): {
  readonly bytes: Uint8Array;
  readonly weights: Uint8Array;
} {
  const { graph, ...file } = fromBinary(ModelProtoSchema, encodeOnnx(trained));
  const { node, initializer } = graph!;
  let end = 0;
  const outside = initializer.map(({ name, dims, dataType, rawData: { length } }) => {
    const entries = { location: "weights.bin", offset: end, length };
    end += length;
    const externalData = Object.entries(entries)
      .map(([key, value]) => ({ key, value: String(value) }));
    return { name, dims, dataType, dataLocation: 1, externalData };
  });
  const list = (name: string, value: bigint) => ({
    ...{ name, dims: [1n], dataType: ELEMENT.int64, int64Data: [value] },
  });
  const sizesOf = (from: string, to: string) => [
    { opType: "Shape", input: [from], output: ["sizes"] },
    { opType: "Gather", input: ["sizes", "first"], output: ["batch"] },
    { opType: "Concat", input: ["batch", "rest"], output: ["target"] },
    { opType: "Reshape", input: [from, "target"], output: [to] },
  ];
  const message = create(ModelProtoSchema, {
    opsetImport: file.opsetImport,
    graph: {
      ...{ input: graph!.input, output: graph!.output },
      node: node.flatMap((each) =>
        each.opType === "Flatten" ? sizesOf(each.input[0], each.output[0]) : [each]
      ),
      initializer: [...outside, list("first", 0n), list("rest", -1n)],
    },
  });
  const weights = concat(...initializer.map(({ rawData }) => rawData));
  return { bytes: toBinary(ModelProtoSchema, message), weights };
}

/** Lets a node be another operator, or take another value. */
export const mutateNode: Mutator = (bytes, random) => {
  const file = fromBinary(ModelProtoSchema, bytes);
  const nodes = file.graph?.node ?? [];
  const values = nodes.flatMap(({ input, output }) => [...input, ...output]);
  for (let times = 1 + random.below(3); times > 0 && nodes.length > 0; times--) {
    const node = pick(nodes, random);
    if (random.below(2) === 0) node.opType = pick(OPERATORS, random);
    else node.input[random.below(node.input.length + 1)] = pick(values, random);
  }
  return toBinary(ModelProtoSchema, file);
};

/** Mutates anything in the file, as JSON; what protobuf cannot hold leaves it as it was. */
export const mutateMessage: Mutator = (bytes, random) => {
  const json = JSON.stringify(toJson(ModelProtoSchema, fromBinary(ModelProtoSchema, bytes)));
  try {
    const options = { ignoreUnknownFields: true, recursionLimit: 100 };
    const mutated = JSON.parse(mutateJson(json, random));
    return toBinary(ModelProtoSchema, fromJson(ModelProtoSchema, mutated, options));
  } catch {
    return bytes;
  }
};
