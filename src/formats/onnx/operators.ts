/** The ONNX operators that are read, and the layers that they become. */

import type { Pair } from "../../nn/layers.ts";
import { type ImageShape, type Shape, showShape } from "../../nn/sequential.ts";
import { quote } from "../../quote.ts";
import { type NetworkBuilder, samePadding } from "../network_builder.ts";
import type { Tensor } from "../safetensors.ts";
import type { Attributes } from "./attributes.ts";

/** A node as an operator's reader sees it. */
export interface NodeContext {
  readonly builder: NetworkBuilder;
  readonly attributes: Attributes;
  /** Batch size that the file is fixed to; undefined if it is free. */
  readonly batchSize: number | undefined;
  /** What the layer may be called. */
  readonly name: string;
  /** The constant at a place among the inputs; undefined if there is none. */
  floats(place: number): Tensor | undefined;
  /** The whole numbers at a place among the inputs. */
  integers(place: number): readonly number[];
}

/** Adds what an operator does to the network; what it does not support is an error. */
type OperatorReader = (node: NodeContext) => void;

/** By `op_type`. */
export const OPERATORS: ReadonlyMap<string, OperatorReader> = new Map<string, OperatorReader>([
  ["Conv", readConv],
  ["AveragePool", (node) => readPool(node, "avgPool2d")],
  ["MaxPool", (node) => readPool(node, "maxPool2d")],
  ["Pad", readPad],
  ["Sigmoid", ({ builder }) => builder.add({ type: "sigmoid" })],
  ["Tanh", ({ builder }) => builder.add({ type: "tanh" })],
  ["Relu", ({ builder }) => builder.add({ type: "relu" })],
  ["Flatten", readFlatten],
  ["Reshape", readReshape],
  ["Gemm", readGemm],
]);

function readConv(node: NodeContext): void {
  const { builder, attributes, name } = node;
  const image = requireImage(builder.shape);
  const weight = requireConstant(node, 1, 4);
  const [outChannels, inChannels, ...area] = weight.shape;
  const kernelSize = area as unknown as Pair;
  if (showShape(attributes.integers("kernel_shape", kernelSize)) !== showShape(kernelSize)) {
    throw new TypeError(`its kernel_shape is not that of its weight, ${showShape(weight.shape)}`);
  }
  attributes.requireInteger("group", 1);
  attributes.requireAll("dilations", 1, 2);
  const stride = attributes.integers("strides", [1, 1]) as Pair;
  const padding = paddingOf(attributes, { image, windowSize: kernelSize, stride });
  builder.add(
    { type: "conv2d", name, inChannels, outChannels, kernelSize, stride, padding },
    { weight: weight.data, bias: node.floats(2)?.data },
  );
}

function readPool({ builder, attributes }: NodeContext, type: "avgPool2d" | "maxPool2d"): void {
  const image = requireImage(builder.shape);
  const poolSize = attributes.integers("kernel_shape", [0, 0]) as Pair;
  const stride = attributes.integers("strides", [1, 1]) as Pair;
  const padding = paddingOf(attributes, { image, windowSize: poolSize, stride });
  if (padding.some((size) => size > 0)) {
    throw new TypeError(`its padding must be 0, found ${showShape(padding)}`);
  }
  attributes.requireAll("dilations", 1, 2);
  attributes.ignore("count_include_pad"); // there is none to count
  attributes.requireInteger("storage_order", 0);
  if (attributes.integer("ceil_mode", 0) !== 0) requireWhole(image, poolSize, stride);
  builder.add({ type, poolSize, stride });
}

/** Rounding up is rounding down where the windows cover all rows and columns. */
function requireWhole([, ...size]: ImageShape, windowSize: Pair, stride: Pair): void {
  if ([0, 1].every((axis) => (size[axis] - windowSize[axis]) % stride[axis] === 0)) return;
  throw new TypeError(`ceil_mode over an input of ${size.join("x")} is not supported`);
}

interface Windows {
  readonly image: ImageShape;
  readonly windowSize: Pair;
  readonly stride: Pair;
}

function paddingOf(attributes: Attributes, { image, windowSize, stride }: Windows): Pair {
  const [top, left, bottom, right] = attributes.integers("pads", [0, 0, 0, 0]);
  const mode = attributes.text("auto_pad", "NOTSET");
  if (mode === "SAME_UPPER" || mode === "SAME_LOWER") {
    const same = (axis: 0 | 1) => samePadding(image[axis + 1], windowSize[axis], stride[axis]);
    return [same(0), same(1)];
  }
  if (mode === "VALID") return [0, 0];
  if (mode !== "NOTSET") throw new TypeError(`auto_pad ${quote(mode)} is not supported`);
  if (top === bottom && left === right) return [top, left];
  throw new TypeError(
    `its padding must be the same at both sides, found ${showShape([top, left, bottom, right])}`,
  );
}

/** PyTorch puts one before every average pooling, even if it adds nothing: only then it is accepted. */
function readPad({ attributes, integers }: NodeContext): void {
  attributes.ignore("mode");
  const pads = integers(1);
  if (pads.some((size) => size !== 0)) {
    throw new TypeError(`its padding must be 0, found ${showShape(pads)}`);
  }
}

function readFlatten({ builder, attributes }: NodeContext): void {
  const axis = attributes.integer("axis", 1);
  if (axis !== 1 && axis !== -builder.shape.length) {
    throw new TypeError(`axis must be 1, found ${axis}`);
  }
  builder.add({ type: "flatten" });
}

/** PyTorch's `view` and `reshape`: accepted where they do what Flatten does. */
function readReshape({ builder, attributes, batchSize, integers }: NodeContext): void {
  attributes.requireInteger("allowzero", 0);
  const shape = integers(1);
  const features = builder.shape.reduce((product, size) => product * size, 1);
  const [batch, length] = shape;
  const keepsBatch = batch === 0 || batch === -1 || batch === batchSize;
  const isVector = length === features || (length === -1 && batch !== -1);
  if (shape.length !== 2 || !keepsBatch || !isVector) {
    throw new TypeError(`it must make vectors of ${features}, found ${showShape(shape)}`);
  }
  builder.add({ type: "flatten" });
}

function readGemm(node: NodeContext): void {
  const { builder, attributes, name } = node;
  attributes.requireFloat("alpha", 1);
  attributes.requireFloat("beta", 1);
  attributes.requireInteger("transA", 0);
  const matrix = requireConstant(node, 1, 2);
  const weight = attributes.integer("transB", 0) === 0 ? transpose(matrix) : matrix;
  addLinear(builder, name, weight, node.floats(2));
}

/** Adds a linear layer.
 *
 * @param weight [out, in].
 */
export function addLinear(
  builder: NetworkBuilder,
  name: string,
  weight: Tensor,
  bias: Tensor | undefined,
): void {
  const [outFeatures, inFeatures] = weight.shape;
  if (bias !== undefined && bias.shape.slice(0, -1).some((size) => size !== 1)) {
    throw new TypeError(`its bias must be [${outFeatures}], found ${showShape(bias.shape)}`);
  }
  builder.add(
    { type: "linear", name, inFeatures, outFeatures },
    { weight: weight.data, bias: bias?.data },
  );
}

/** Turns a matrix [rows, columns] into [columns, rows]. */
export function transpose({ shape: [rows, columns], data }: Tensor): Tensor {
  const turned = new Float32Array(data.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      turned[column * rows + row] = data[row * columns + column];
    }
  }
  return { shape: [columns, rows], data: turned };
}

/** The constant at a place among a node's inputs, of a certain number of dimensions. */
export function requireConstant(
  { floats }: Pick<NodeContext, "floats">,
  place: number,
  rank: number,
): Tensor {
  const tensor = floats(place);
  if (tensor?.shape.length === rank) return tensor;
  throw new TypeError(
    `its weight must be a constant of ${rank} dimensions, found ` +
      (tensor === undefined ? "none" : showShape(tensor.shape)),
  );
}

function requireImage(shape: Shape): ImageShape {
  if (shape.length === 3) return [shape[0], shape[1], shape[2]];
  throw new TypeError(`its input must be [channels, height, width], found ${showShape(shape)}`);
}
