/** The part of ONNX's protobuf schema that models of this project need.
 *
 * Source: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto; names and numbers are the format's.
 * What is left out is skipped by the decoder.
 */

/** Values of `AttributeProto.type`. */
export const ATTRIBUTE = { float: 1, int: 2, string: 3, tensor: 4, floats: 6, ints: 7 } as const;

/** Values of `TensorProto.data_type`. */
export const ELEMENT = {
  ...{ float32: 1, uint8: 2, int8: 3, uint16: 4, int16: 5, int32: 6, int64: 7, string: 8, bool: 9 },
  ...{ float16: 10, float64: 11, uint32: 12, uint64: 13, bfloat16: 16, uint4: 21, int4: 22 },
} as const;

/** Field numbers and types: a scalar, or the name of a message; `[]` marks a repeated field. */
export const MESSAGES = {
  ModelProto: {
    irVersion: [1, "int64"],
    producerName: [2, "string"],
    producerVersion: [3, "string"],
    docString: [6, "string"],
    graph: [7, "GraphProto"],
    opsetImport: [8, "OperatorSetIdProto[]"],
    metadataProps: [14, "StringStringEntryProto[]"],
  },
  OperatorSetIdProto: { domain: [1, "string"], version: [2, "int64"] },
  StringStringEntryProto: { key: [1, "string"], value: [2, "string"] },
  /** Nodes in the order of computation, with their constants. */
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
    opType: [4, "string"],
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
    dataType: [2, "int32"],
    floatData: [4, "float[]"],
    int32Data: [5, "int32[]"],
    int64Data: [7, "int64[]"],
    name: [8, "string"],
    rawData: [9, "bytes"],
    doubleData: [10, "double[]"],
    externalData: [13, "StringStringEntryProto[]"],
    dataLocation: [14, "int32"], // an enum there
  },
  ValueInfoProto: { name: [1, "string"], type: [2, "TypeProto"] },
  TypeProto: { tensorType: [1, "TensorTypeProto"] },
  TensorTypeProto: { elemType: [1, "int32"], shape: [2, "TensorShapeProto"] },
  TensorShapeProto: { dim: [1, "DimensionProto[]"] },
  /** A size, or the name of one that is known only when the model runs. */
  DimensionProto: { dimValue: [1, "int64"], dimParam: [2, "string"] },
} as const;

type Messages = typeof MESSAGES;

/** Types of fields that are no messages. */
export interface Scalars {
  readonly int32: number;
  readonly int64: bigint;
  readonly float: number;
  readonly double: number;
  readonly string: string;
  readonly bytes: Uint8Array;
}

type Value<Type> = Type extends keyof Scalars ? Scalars[Type]
  : Type extends keyof Messages ? Proto<Type>
  : never;

type FieldValue<Type> = Type extends `${infer Each}[]` ? Value<Each>[]
  : Type extends keyof Scalars ? Scalars[Type]
  : Value<Type> | undefined;

/** A message of the format. */
export type Proto<Name extends keyof Messages> = {
  -readonly [Field in keyof Messages[Name]]: Messages[Name][Field] extends
    readonly [number, infer Type] ? FieldValue<Type>
    : never;
};

type Init<Value> = Value extends Scalars[keyof Scalars] ? Value
  : Value extends readonly (infer Each)[] ? readonly Init<Each>[]
  : { readonly [Field in keyof Value]?: Init<Value[Field]> };

/** A message to be written: what is left out is not in the file. */
export type ProtoInit<Name extends keyof Messages> = Init<Proto<Name>>;

/** Repeated numbers that the format declares packed; readers take either form. */
export const PACKED: readonly string[] = ["floatData", "int32Data", "int64Data", "doubleData"];
