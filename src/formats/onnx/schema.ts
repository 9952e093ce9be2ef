/** The part of ONNX's protobuf schema that models of this project need.
 *
 * Source: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto; names and numbers are the format's.
 * What is left out is skipped by the decoder.
 */

import { create, createFileRegistry, type Message } from "@bufbuild/protobuf";
import type { GenMessage } from "@bufbuild/protobuf/codegenv2";
import {
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  FileDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";

/** A whole file. */
export type ModelProto = Message<"onnx.ModelProto"> & {
  irVersion: bigint;
  producerName: string;
  producerVersion: string;
  docString: string;
  graph?: GraphProto;
  opsetImport: OperatorSetIdProto[];
  metadataProps: StringStringEntryProto[];
};

/** Which version of the operators a file uses. */
export type OperatorSetIdProto = Message<"onnx.OperatorSetIdProto"> & {
  domain: string;
  version: bigint;
};

/** Free text by key. */
export type StringStringEntryProto = Message<"onnx.StringStringEntryProto"> & {
  key: string;
  value: string;
};

/** Nodes in the order of computation, with their constants. */
export type GraphProto = Message<"onnx.GraphProto"> & {
  node: NodeProto[];
  name: string;
  initializer: TensorProto[];
  input: ValueInfoProto[];
  output: ValueInfoProto[];
};

/** One operation. */
export type NodeProto = Message<"onnx.NodeProto"> & {
  input: string[];
  output: string[];
  name: string;
  opType: string;
  attribute: AttributeProto[];
  domain: string;
};

/** A constant argument of an operation. */
export type AttributeProto = Message<"onnx.AttributeProto"> & {
  name: string;
  f: number;
  i: bigint;
  s: Uint8Array;
  t?: TensorProto;
  floats: number[];
  ints: bigint[];
  type: number;
};

/** A constant. */
export type TensorProto = Message<"onnx.TensorProto"> & {
  dims: bigint[];
  dataType: number;
  floatData: number[];
  int32Data: number[];
  int64Data: bigint[];
  name: string;
  rawData: Uint8Array;
  doubleData: number[];
  externalData: StringStringEntryProto[];
  dataLocation: number;
};

/** An input or output. */
export type ValueInfoProto = Message<"onnx.ValueInfoProto"> & { name: string; type?: TypeProto };

/** The type of a value. */
export type TypeProto = Message<"onnx.TypeProto"> & { tensorType?: TensorTypeProto };

/** The type of a tensor. */
export type TensorTypeProto = Message<"onnx.TensorTypeProto"> & {
  elemType: number;
  shape?: TensorShapeProto;
};

/** The shape of a tensor. */
export type TensorShapeProto = Message<"onnx.TensorShapeProto"> & { dim: DimensionProto[] };

/** A size, or the name of one that is known only when the model runs. */
export type DimensionProto = Message<"onnx.DimensionProto"> & {
  dimValue: bigint;
  dimParam: string;
};

/** Values of `AttributeProto.type`. */
export const ATTRIBUTE = { float: 1, int: 2, string: 3, tensor: 4, floats: 6, ints: 7 } as const;

/** Values of `TensorProto.data_type`. */
export const ELEMENT = {
  ...{ float32: 1, uint8: 2, int8: 3, uint16: 4, int16: 5, int32: 6, int64: 7, string: 8, bool: 9 },
  ...{ float16: 10, float64: 11, uint32: 12, uint64: 13, bfloat16: 16, uint4: 21, int4: 22 },
} as const;

/** Field numbers and types: a scalar, or the name of a message; `[]` marks a repeated field. */
const MESSAGES: Readonly<Record<string, Readonly<Record<string, readonly [number, string]>>>> = {
  ModelProto: {
    ir_version: [1, "int64"],
    producer_name: [2, "string"],
    producer_version: [3, "string"],
    doc_string: [6, "string"],
    graph: [7, "GraphProto"],
    opset_import: [8, "OperatorSetIdProto[]"],
    metadata_props: [14, "StringStringEntryProto[]"],
  },
  OperatorSetIdProto: { domain: [1, "string"], version: [2, "int64"] },
  StringStringEntryProto: { key: [1, "string"], value: [2, "string"] },
  GraphProto: {
    node: [1, "NodeProto[]"],
    name: [2, "string"],
    initializer: [5, "TensorProto[]"],
    input: [11, "ValueInfoProto[]"],
    output: [12, "ValueInfoProto[]"],
  },
  NodeProto: {
    input: [1, "string[]"],
    output: [2, "string[]"],
    name: [3, "string"],
    op_type: [4, "string"],
    attribute: [5, "AttributeProto[]"],
    domain: [7, "string"],
  },
  AttributeProto: {
    name: [1, "string"],
    f: [2, "float"],
    i: [3, "int64"],
    s: [4, "bytes"],
    t: [5, "TensorProto"],
    floats: [7, "float[]"],
    ints: [8, "int64[]"],
    type: [20, "int32"], // an enum there; the same on the wire
  },
  TensorProto: {
    dims: [1, "int64[]"],
    data_type: [2, "int32"],
    float_data: [4, "float[]"],
    int32_data: [5, "int32[]"],
    int64_data: [7, "int64[]"],
    name: [8, "string"],
    raw_data: [9, "bytes"],
    double_data: [10, "double[]"],
    external_data: [13, "StringStringEntryProto[]"],
    data_location: [14, "int32"], // an enum there
  },
  ValueInfoProto: { name: [1, "string"], type: [2, "TypeProto"] },
  TypeProto: { tensor_type: [1, "TensorTypeProto"] },
  TensorTypeProto: { elem_type: [1, "int32"], shape: [2, "TensorShapeProto"] },
  TensorShapeProto: { dim: [1, "DimensionProto[]"] },
  DimensionProto: { dim_value: [1, "int64"], dim_param: [2, "string"] },
};

const SCALARS: Readonly<Record<string, Type>> = {
  int32: Type.INT32,
  int64: Type.INT64,
  float: Type.FLOAT,
  double: Type.DOUBLE,
  string: Type.STRING,
  bytes: Type.BYTES,
};

/** Repeated numbers that the format declares packed; readers take either form. */
const PACKED = ["float_data", "int32_data", "int64_data", "double_data"];

/** The schema of a file. */
export const ModelProtoSchema = modelSchema();

function modelSchema(): GenMessage<ModelProto> {
  const file = create(FileDescriptorProtoSchema, {
    name: "onnx.proto",
    package: "onnx",
    syntax: "proto2",
    messageType: Object.entries(MESSAGES).map(([name, fields]) => ({
      name,
      field: Object.entries(fields).map(([fieldName, [number, declared]]) => {
        const repeated = declared.endsWith("[]");
        const type = declared.replace("[]", "");
        return {
          name: fieldName,
          number,
          label: repeated ? Label.REPEATED : Label.OPTIONAL,
          type: SCALARS[type] ?? Type.MESSAGE,
          ...(!(type in SCALARS) && { typeName: `.onnx.${type}` }),
          ...(PACKED.includes(fieldName) && { options: { packed: true } }),
        };
      }),
    })),
  });
  const registry = createFileRegistry(file, () => undefined);
  return registry.getMessage("onnx.ModelProto") as unknown as GenMessage<ModelProto>;
}
