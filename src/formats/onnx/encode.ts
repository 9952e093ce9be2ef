/** Models as ONNX files. */

import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { Layer, Model } from "../../nn/sequential.ts";
import { isNormalized } from "../../nn/standardization.ts";
import { describeModel, DESCRIPTION_KEY, type TrainedModel } from "../trained_model.ts";
import { ATTRIBUTE, ELEMENT, ModelProtoSchema } from "./schema.ts";

type ModelInit = Exclude<MessageInitShape<typeof ModelProtoSchema>, { $typeName: string }>;
type TensorInit = NonNullable<NonNullable<ModelInit["graph"]>["initializer"]>[number];
type NodeInit = NonNullable<NonNullable<ModelInit["graph"]>["node"]>[number];
type AttributeInit = NonNullable<NodeInit["attribute"]>[number];

/** What ONNX Runtime has read since 1.12 (2022); the operators in use have not changed since. */
const OPSET = 17n;
const IR_VERSION = 8n;

const INPUT = "input";
const OUTPUT = "logits";

/** Initializers of a model that standardizes its pixels. */
const [MEAN, STD, STANDARDIZED] = ["standardization.mean", "standardization.std", "standardized"];

const ACTIVATIONS = { sigmoid: "Sigmoid", tanh: "Tanh", relu: "Relu" } as const;

/** Encodes a model as an ONNX file, opset 17.
 *
 * Shapes: `input` float32 [batch, channels, height, width], pixel / 255 -> `logits` float32 [batch,
 * classes]; any batch. A model that standardizes pixels begins with Sub and Div. The parameters are
 * initializers under PyTorch's names. The file's `doc_string` says what goes in and comes out; of its
 * metadata, `class_names` is a JSON list in label order, `lenet` describes layers and all else as JSON.
 *
 * @example A file for ONNX Runtime
 * ```ts
 * import { initialParameters } from "../../nn/init.ts";
 * import { lenet } from "../../nn/zoo.ts";
 * import { encodeOnnx } from "./encode.ts";
 *
 * const model = lenet();
 * const file = encodeOnnx({ model, parameters: initialParameters(model, 0) });
 * console.log(file.length > 4 * model.parameterCount); // true
 * ```
 */
export function encodeOnnx(trained: TrainedModel): Uint8Array<ArrayBuffer> {
  const { model, parameters, classNames } = trained;
  const file: ModelInit = {
    irVersion: IR_VERSION,
    producerName: "lenet",
    docString: documentation(trained),
    opsetImport: [{ domain: "", version: OPSET }],
    metadataProps: [
      ...classNames === undefined
        ? []
        : [{ key: "class_names", value: JSON.stringify(classNames) }],
      { key: DESCRIPTION_KEY, value: describeModel(trained) },
    ],
    graph: {
      name: model.name,
      node: nodesOf(model),
      initializer: [
        ...standardizationOf(model),
        ...model.parameters.map(({ name, shape, offset, size }) =>
          tensor(name, shape, parameters.subarray(offset, offset + size))
        ),
      ],
      input: [valueInfo(INPUT, model.inputShape)],
      output: [valueInfo(OUTPUT, [model.classCount])],
    },
  };
  return toBinary(ModelProtoSchema, create(ModelProtoSchema, file));
}

/** What somebody who has nothing but the file needs to know. */
function documentation({ model, classNames, pictures }: TrainedModel): string {
  const { inputShape, classCount } = model;
  const [channels] = inputShape;
  const ground = pictures && `, ${pictures.darkOnLight ? "dark on light" : "light on dark"}`;
  return [
    `${INPUT}: float32 [batch, ${inputShape.join(", ")}], channels first, ` +
    `${channels === 1 ? "grey" : `${channels} channels`}, pixel / 255 (black 0, white 1)${
      ground ?? ""
    }`,
    ...isNormalized(model.standardization) ? [] : ["The model standardizes pixels itself"],
    `${OUTPUT}: float32 [batch, ${classCount}]; their softmax is the probabilities`,
    ...classNames === undefined ? [] : [`Classes in order: ${classNames.join(", ")}`],
  ].map((sentence) => `${sentence}.`).join("\n");
}

function standardizationOf({ standardization }: Model): TensorInit[] {
  if (isNormalized(standardization)) return [];
  const { mean, std } = standardization;
  return [tensor(MEAN, [], Float32Array.of(mean)), tensor(STD, [], Float32Array.of(std))];
}

function nodesOf({ layers, standardization }: Model): NodeInit[] {
  const nodes: NodeInit[] = [];
  let from = INPUT;
  if (!isNormalized(standardization)) {
    const centered = "centered";
    nodes.push(
      { name: "subtract_mean", opType: "Sub", input: [from, MEAN], output: [centered] },
      { name: "divide_by_std", opType: "Div", input: [centered, STD], output: [STANDARDIZED] },
    );
    from = STANDARDIZED;
  }
  for (const [index, layer] of layers.entries()) {
    const to = index === layers.length - 1 ? OUTPUT : `${layer.name}.output`;
    nodes.push({ name: layer.name, output: [to], ...operation(layer, from) });
    from = to;
  }
  return nodes;
}

function operation(layer: Layer, from: string): NodeInit {
  switch (layer.type) {
    case "conv2d": {
      const [vertical, horizontal] = layer.padding;
      return {
        opType: "Conv",
        input: [from, layer.weight.name, layer.bias.name],
        attribute: [
          ints("kernel_shape", layer.kernelSize),
          ints("strides", layer.stride),
          ints("pads", [vertical, horizontal, vertical, horizontal]),
        ],
      };
    }
    case "avgPool2d":
    case "maxPool2d":
      return {
        opType: layer.type === "avgPool2d" ? "AveragePool" : "MaxPool",
        input: [from],
        attribute: [ints("kernel_shape", layer.poolSize), ints("strides", layer.stride)],
      };
    case "flatten":
      return {
        opType: "Flatten",
        input: [from],
        attribute: [{ name: "axis", type: ATTRIBUTE.int, i: 1n }],
      };
    case "linear":
      return {
        opType: "Gemm",
        input: [from, layer.weight.name, layer.bias.name],
        attribute: [{ name: "transB", type: ATTRIBUTE.int, i: 1n }],
      };
    case "residual":
      throw new TypeError(`Cannot write residual "${layer.name}" as ONNX: use safetensors`);
    default:
      return { opType: ACTIVATIONS[layer.type], input: [from] };
  }
}

function ints(name: string, values: readonly number[]): AttributeInit {
  return { name, type: ATTRIBUTE.ints, ints: values.map(BigInt) };
}

function valueInfo(name: string, shape: readonly number[]) {
  const dim = [{ dimParam: "batch" }, ...shape.map((size) => ({ dimValue: BigInt(size) }))];
  return { name, type: { tensorType: { elemType: ELEMENT.float32, shape: { dim } } } };
}

/** A constant as little-endian bytes. */
function tensor(name: string, shape: readonly number[], values: Float32Array): TensorInit {
  const view = new DataView(new ArrayBuffer(4 * values.length));
  values.forEach((value, n) => view.setFloat32(4 * n, value, true));
  const rawData = new Uint8Array(view.buffer);
  return { name, dims: shape.map(BigInt), dataType: ELEMENT.float32, rawData };
}
