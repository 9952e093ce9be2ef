/** The ONNX operators that are read, and the layers that they become. */

import type { Pair } from "../../nn/layers.ts";
import { type ImageShape, showShape } from "../../nn/sequential.ts";
import { quote } from "../../quote.ts";
import { samePadding } from "../network_builder.ts";
import type { Attributes } from "./attributes.ts";
import type { Flow } from "./flow.ts";
import {
  axesOf,
  integersAt,
  isFloat,
  normalAxis,
  permuted,
  unsupportedCast,
  withOnes,
} from "./fold.ts";
import type { Constant } from "./tensors.ts";

/** A node as an operator's reader sees it. */
export interface NodeContext {
  /** The computed value that it takes and changes. */
  readonly flow: Flow;
  /** At which of its inputs. */
  readonly place: number;
  readonly attributes: Attributes;
  /** What the layer may be called. */
  readonly name: string;
  /** Its constants, each in its place. */
  readonly inputs: readonly (Constant | undefined)[];
}

/** Adds what an operator does to the network; what it does not support is an error. */
type OperatorReader = (node: NodeContext) => void;

/** By `op_type`. */
export const OPERATORS: ReadonlyMap<string, OperatorReader> = new Map(
  Object.entries<OperatorReader>({
    Conv: readConv,
    AveragePool: (node) => readPool(node, "avgPool2d"),
    MaxPool: (node) => readPool(node, "maxPool2d"),
    GlobalAveragePool: ({ flow }) => addGlobalPool(flow, "avgPool2d"),
    GlobalMaxPool: ({ flow }) => addGlobalPool(flow, "maxPool2d"),
    ReduceMean: readMean,
    Pad: readPad,
    Sigmoid: ({ flow }) => flow.builder.add({ type: "sigmoid" }),
    Tanh: ({ flow }) => flow.builder.add({ type: "tanh" }),
    Relu: ({ flow }) => flow.builder.add({ type: "relu" }),
    Flatten: readFlatten,
    Reshape: readReshape,
    Squeeze: readSqueeze,
    Unsqueeze: readUnsqueeze,
    Transpose: readTranspose,
    Gemm: readGemm,
    MatMul: readMatMul,
    Add: (node) => readArithmetic(node, (value) => [1, value]),
    Sub: (node) => readArithmetic(node, (value) => node.place === 0 ? [1, -value] : [-1, value]),
    Mul: (node) => readArithmetic(node, (value) => [value, 0]),
    Div: readDiv,
    BatchNormalization: readBatchNormalization,
    Softmax: readSoftmax,
    LogSoftmax: readSoftmax,
    Identity: () => {},
    Dropout: readDropout,
    Cast: readCast,
  }),
);

/** How many inputs an operator has at most, if not one. */
export const INPUT_COUNTS: Readonly<Record<string, number>> = {
  ...{ Constant: 0, Reshape: 2, Squeeze: 2, Unsqueeze: 2, ReduceMean: 2, MatMul: 2, Gather: 2 },
  ...{ Add: 2, Sub: 2, Mul: 2, Div: 2, Conv: 3, Gemm: 3, Dropout: 3, Pad: 4, Slice: 5 },
  ...{ BatchNormalization: 5, Concat: Infinity },
};

/** Those that may take the computed value in any place. */
export const COMMUTING: readonly string[] = ["Add", "Sub", "Mul"];

/** Those that compute nothing: they may stand between a Pad and its convolution, or take bytes. */
export const MOVING: readonly string[] = ["Identity", "Dropout", "Cast", "Transpose"];

/** Those that give other axes, and compute nothing either. */
export const RESHAPING: readonly string[] = ["Flatten", "Reshape", "Squeeze", "Unsqueeze"];

function readConv(node: NodeContext): void {
  const { flow, attributes, name } = node;
  const image = flow.image();
  const weight = requireWeight(node, 1, 4);
  const [outChannels, inChannels, ...area] = weight.shape;
  const kernelSize = area as unknown as Pair;
  if (showShape(attributes.integers("kernel_shape", kernelSize)) !== showShape(kernelSize)) {
    throw new TypeError(`its kernel_shape is not that of its weight, ${showShape(weight.shape)}`);
  }
  attributes.requireInteger("group", 1);
  attributes.requireAll("dilations", 1, 2);
  const stride = attributes.integers("strides", [1, 1]) as Pair;
  const added = flow.padding;
  const padded: ImageShape = [image[0], image[1] + 2 * added[0], image[2] + 2 * added[1]];
  const own = paddingOf(attributes, { image: padded, windowSize: kernelSize, stride });
  const padding: Pair = [own[0] + added[0], own[1] + added[1]];
  flow.builder.add(
    { type: "conv2d", name, inChannels, outChannels, kernelSize, stride, padding },
    { weight: weight.data, bias: floatsAt(node, 2)?.data },
  );
  flow.padding = [0, 0];
}

function readPool({ flow, attributes }: NodeContext, type: "avgPool2d" | "maxPool2d"): void {
  const image = flow.image();
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
  flow.builder.add({ type, poolSize, stride });
}

/** Rounding up is rounding down where the windows cover all rows and columns. */
function requireWhole([, ...size]: ImageShape, windowSize: Pair, stride: Pair): void {
  if ([0, 1].every((axis) => (size[axis] - windowSize[axis]) % stride[axis] === 0)) return;
  throw new TypeError(`ceil_mode over an input of ${size.join("x")} is not supported`);
}

function addGlobalPool(flow: Flow, type: "avgPool2d" | "maxPool2d"): void {
  const [, ...poolSize] = flow.image();
  flow.builder.add({ type, poolSize, stride: poolSize });
}

/** The mean over rows and columns, which is a pooling of all of them. */
function readMean(node: NodeContext): void {
  const { flow, attributes } = node;
  const rank = flow.axes.length + 1;
  const places = axesOf(node, rank) ?? [];
  const over = places.map((place) => flow.axes[place - 1]).sort();
  attributes.requireInteger("noop_with_empty_axes", 0);
  if (flow.builder.shape.length !== 3 || over.join() !== "1,2") {
    throw new TypeError(`it must be over rows and columns, found axes ${showShape(places)}`);
  }
  const [, height, width] = flow.builder.shape;
  flow.builder.add({ type: "avgPool2d", poolSize: [height, width], stride: [height, width] });
  if (attributes.integer("keepdims", 1) !== 0) return;
  flow.reshape(flow.sizes.filter((_, n) => !places.includes(n + 1)));
}

interface Windows {
  readonly image: ImageShape;
  readonly windowSize: Pair;
  readonly stride: Pair;
}

function paddingOf(attributes: Attributes, { image, windowSize, stride }: Windows): Pair {
  const pads = attributes.integers("pads", [0, 0, 0, 0]);
  const mode = attributes.text("auto_pad", "NOTSET");
  if (!["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"].includes(mode)) {
    throw new TypeError(`auto_pad ${quote(mode)} is not supported`);
  }
  if (mode === "NOTSET") {
    const [top, left, bottom, right] = pads;
    if (top === bottom && left === right) return [top, left];
    throw new TypeError(`its padding must be the same at both sides, found ${showShape(pads)}`);
  }
  if (pads.some((size) => size !== 0)) throw new TypeError(`it has both pads and auto_pad ${mode}`);
  if (mode === "VALID") return [0, 0];
  const same = (axis: 0 | 1) => samePadding(image[axis + 1], windowSize[axis], stride[axis]);
  return [same(0), same(1)];
}

/** Zeros around rows and columns, which the convolution behind takes as its own. */
function readPad({ flow, attributes, inputs }: NodeContext): void {
  const pads = attributes.list("pads") ?? integersAt(inputs, 1) ?? [];
  const rank = flow.axes.length + 1;
  const axes = Array.from(
    integersAt(inputs, 3) ?? Array(rank).keys(),
    (axis) => normalAxis(axis, rank),
  );
  if (pads.length === 0) throw new TypeError("it has no pads");
  const mode = attributes.text("mode", "constant");
  const value = attributes.float("value", inputs[2]?.data[0] ?? 0);
  if (pads.every((size) => size === 0)) return;
  const added = [0, 0];
  const isFit = pads.length === 2 * axes.length && axes.every((place, n) => {
    const [before, after] = [pads[n], pads[n + axes.length]];
    const axis = flow.axes[place - 1];
    if (axis > 0) added[axis - 1] = before;
    return before === after && before >= 0 && (before === 0 || axis > 0);
  });
  if (!isFit || mode !== "constant" || value !== 0 || flow.builder.shape.length !== 3) {
    throw new TypeError(
      `its padding must be zeros, the same at both sides of rows and columns, found ` +
        `${showShape(pads)} of ${quote(mode)} ${value}`,
    );
  }
  flow.padding = [flow.padding[0] + added[0], flow.padding[1] + added[1]];
}

function readFlatten({ flow, attributes }: NodeContext): void {
  const axis = attributes.integer("axis", 1);
  if (axis !== 1 && axis !== -flow.axes.length) {
    throw new TypeError(`axis must be 1, found ${axis}`);
  }
  flow.flatten();
}

/** Supported where the batch stays in front; sizes may be worked out from the input's own. */
function readReshape({ flow, attributes, inputs }: NodeContext): void {
  const { sizes, batchSize } = flow;
  const features = sizes.reduce((product, size) => product * size, 1);
  const target = integersAt(inputs, 1) ?? [];
  const copiesZero = attributes.integer("allowzero", 0) === 0;
  const [batch, ...rest] = target.map((size, n) =>
    size === 0 && copiesZero ? [NaN, ...sizes][n] : size
  );
  const known = rest.reduce((product, size) => size === -1 ? product : product * size, 1);
  const filled = rest.map((size) => size === -1 && batch !== -1 ? features / known : size);
  const keepsBatch = Number.isNaN(batch) || batch === -1 || batch === batchSize;
  const isFull = filled.reduce((product, size) => product * size, 1) === features;
  if (!keepsBatch || !isFull || filled.some((size) => !(size >= 1))) {
    const shown = target.map((size) => Number.isNaN(size) ? "batch" : size).join(", ");
    throw new TypeError(`it must make vectors of ${features}, found [${shown}]`);
  }
  flow.reshape(filled);
}

function readSqueeze(node: NodeContext): void {
  const { flow } = node;
  const axes = axesOf(node, flow.axes.length + 1);
  const { sizes } = flow;
  if (axes === undefined || axes.some((axis) => sizes[axis - 1] !== 1)) {
    throw new TypeError(`it must name axes of length 1 behind the batch, found [${axes ?? ""}]`);
  }
  flow.reshape(sizes.filter((_, n) => !axes.includes(n + 1)));
}

function readUnsqueeze({ flow, attributes, inputs }: NodeContext): void {
  const axes = attributes.list("axes") ?? integersAt(inputs, 1) ?? [];
  const [batch, ...sizes] = withOnes([NaN, ...flow.sizes], axes);
  if (!Number.isNaN(batch)) throw new TypeError("the batch must stay in front");
  flow.reshape(sizes);
}

function readTranspose({ flow, attributes }: NodeContext): void {
  flow.transpose(attributes.list("perm") ?? [...Array(flow.axes.length + 1).keys()].reverse());
}

function readGemm(node: NodeContext): void {
  const { attributes } = node;
  const [alpha, beta] = [attributes.float("alpha", 1), attributes.float("beta", 1)];
  attributes.requireInteger("transA", 0);
  const bias = floatsAt(node, 2);
  addLinear(node, attributes.integer("transB", 0) !== 0);
  if (alpha === 1 && bias === undefined) return;
  const { builder } = node.flow;
  const added = bias === undefined
    ? []
    : Array.from(node.flow.perChannel(bias), (value) => beta * value);
  const zeros = Array(builder.shape[0]).fill(0);
  builder.scaleOutputs(zeros.map(() => alpha), bias === undefined ? zeros : added);
}

function readMatMul(node: NodeContext): void {
  addLinear(node, false);
}

function addLinear(node: NodeContext, isTurned: boolean): void {
  const { flow, name } = node;
  flow.requireVector();
  const matrix = requireWeight(node, 1, 2);
  const { shape: [outFeatures, inFeatures], data } = isTurned ? matrix : permuted(matrix, [1, 0]);
  const weight = data as Float32Array;
  flow.builder.add({ type: "linear", name, inFeatures, outFeatures }, { weight });
}

/** Arithmetic with a constant, as a factor and what is added. */
function readArithmetic(
  node: NodeContext,
  toScale: (value: number) => readonly [number, number],
): void {
  const constant = floatsAt(node, 1 - node.place);
  if (constant === undefined) throw new TypeError("it takes no constant");
  const pairs = Array.from(node.flow.perChannel(constant), toScale);
  node.flow.builder.scaleOutputs(pairs.map(([scale]) => scale), pairs.map(([, offset]) => offset));
}

function readDiv(node: NodeContext): void {
  readArithmetic(node, (value) => [1 / value, 0]);
}

function readBatchNormalization(node: NodeContext): void {
  const { flow, attributes } = node;
  attributes.requireInteger("training_mode", 0);
  attributes.requireInteger("spatial", 1);
  attributes.ignore("momentum"); // of training
  const epsilon = attributes.float("epsilon", 1e-5);
  const [count] = flow.builder.shape;
  const [scale, bias, mean, variance] = [1, 2, 3, 4].map((place) =>
    requireWeight(node, place, 1).data
  );
  if (flow.axes[0] !== 0 || [scale, bias, mean, variance].some(({ length }) => length !== count)) {
    throw new TypeError(
      `it must have four numbers for each of ${count} channels, which come first`,
    );
  }
  const factors = Array.from(scale, (value, n) => value / Math.sqrt(variance[n] + epsilon));
  const offsets = factors.map((factor, n) => bias[n] - mean[n] * factor);
  flow.builder.scaleOutputs(factors, offsets, "batch normalization, as at inference,");
}

function readSoftmax({ flow, attributes }: NodeContext): void {
  const axis = attributes.integer("axis", -1);
  if (flow.axes.length !== 1 || (axis !== 1 && axis !== -1)) {
    throw new TypeError("it must be over the logits, at the end");
  }
  flow.builder.softmax();
}

function readDropout({ attributes, inputs }: NodeContext): void {
  attributes.ignore("ratio", "seed");
  if (inputs[2]?.data[0]) {
    throw new TypeError("training_mode must be false: export it in eval mode");
  }
}

function readCast({ flow, attributes }: NodeContext): void {
  const to = attributes.integer("to", 0);
  attributes.ignore("saturate", "round_mode"); // of types that are refused
  if (!isFloat(to)) throw unsupportedCast(to);
  flow.isBytes = false;
}

/** The floats at a place among the inputs; undefined if there are none. */
function floatsAt({ inputs }: NodeContext, place: number) {
  const constant = inputs[place];
  if (constant === undefined) return undefined;
  const { shape, data } = constant;
  if (data instanceof Float32Array) return { shape, data };
  throw new TypeError(`its input ${place} must be floats, found whole numbers`);
}

/** The constant at a place among the inputs, of a certain number of dimensions. */
function requireWeight(node: NodeContext, place: number, rank: number) {
  const tensor = floatsAt(node, place);
  if (tensor?.shape.length === rank) return tensor;
  throw new TypeError(
    `its weight must be a constant of ${rank} dimensions, found ` +
      (tensor === undefined ? "none" : showShape(tensor.shape)),
  );
}
