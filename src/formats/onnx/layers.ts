/** The operators of ONNX: those that layers are written as, and all that are read. */

import { addBatchNorm, addSum, scaleOutputs } from "../arithmetic.ts";
import type { LayerOf } from "../../nn/layers/table.ts";
import {
  type BatchNormLayer,
  type Layer,
  type LayerKind,
  type Pool2dLayer,
  showShape,
} from "../../nn/sequential.ts";
import { quote } from "../../quote.ts";
import type { Attributes } from "../attributes.ts";
import type { NetworkBuilder } from "../network_builder.ts";
import { NO_PADDING } from "../layout.ts";
import { addConv2d, addPool2d, type Padding, sidesOf } from "../windows.ts";
import type { Tensor } from "../safetensors/file.ts";
import { decimalOf, permuted } from "../tensors.ts";
import { type Constant, isFloat } from "./constants.ts";
import {
  axesOf,
  cast,
  combine,
  concat,
  type ConstantNode,
  gather,
  listAt,
  normalAxis,
  readConstant,
  required,
  reshape,
  slice,
  squeeze,
  transpose,
  unsqueeze,
  unsupportedCast,
} from "./shapes.ts";

/** A node that takes a computed value, and changes it. */
export interface ComputingNode extends ConstantNode {
  readonly network: NetworkBuilder;
  /** At which of its inputs. */
  readonly place: number;
  /** Another computed value; only {@linkcode Operator.adds} has one. */
  readonly other?: NetworkBuilder;
  /** What the layer may be called. */
  readonly name: string;
}

/** What is known of an operator; what it does not support is an error. */
export interface Operator {
  /** Inputs at most; default 1. */
  readonly inputs?: number;
  /** Adds what it does to the network. */
  readonly read?: (node: ComputingNode) => void;
  /** Works it out for constants. */
  readonly fold?: (node: ConstantNode) => Constant;
  /** Instead of both: the shape that it gives to a computed value, the batch in front, or to a constant. */
  readonly reshape?: (node: ConstantNode, shape: readonly number[]) => readonly number[];
  /** Whether the computed value may be its second input. */
  readonly commutes?: boolean;
  /** Whether it adds two computed values. */
  readonly adds?: boolean;
  /** Whether it computes nothing, so that it may take bytes. */
  readonly moves?: boolean;
  /** Whether it changes no answer, which a note tells. */
  readonly isLeftOut?: boolean;
}

/** An operator that a kind of layer is written as; its inputs are the layers and then the layer's parameters,
 * what it has beside them, and constants. */
interface Written<Layer> extends Operator {
  readonly opType: string;
  /** Attributes that are whole numbers. */
  write?(layer: Layer): Readonly<Record<string, number | readonly number[]>>;
  /** Attributes that are not. */
  floats?(layer: Layer): Readonly<Record<string, number>>;
  /** Running statistics that it takes. */
  statistics?(layer: Layer): readonly { readonly name: string }[];
  /** Numbers that it takes as inputs. */
  constants?(layer: Layer): Readonly<Record<string, number>>;
}

const BATCH_NORM: Written<BatchNormLayer> = {
  opType: "BatchNormalization",
  inputs: 5,
  read: readBatchNormalization,
  floats: ({ eps, momentum }) => ({ epsilon: eps, momentum: 1 - momentum }),
  statistics: ({ runningMean, runningVar }) => [runningMean, runningVar],
};

/** By the kind of layer. */
const KINDS: { readonly [Kind in LayerKind]: Written<LayerOf<Kind>> } = {
  conv2d: {
    opType: "Conv",
    inputs: 3,
    read: readConv,
    write: ({ kernelSize, stride, padding, groups }) => ({
      ...{ kernel_shape: kernelSize, strides: stride, pads: [...padding, ...padding] },
      ...(groups > 1 && { group: groups }),
    }),
  },
  avgPool2d: pooling("AveragePool", "avgPool2d"),
  maxPool2d: pooling("MaxPool", "maxPool2d"),
  globalAvgPool2d: {
    opType: "GlobalAveragePool",
    read: (node) => readGlobalPool(node, "avgPool2d"),
  },
  sigmoid: activation("Sigmoid", "sigmoid"),
  tanh: activation("Tanh", "tanh"),
  relu: activation("Relu", "relu"),
  leakyRelu: {
    opType: "LeakyRelu",
    read: ({ network, attributes }) =>
      network.add({
        type: "leakyRelu",
        negativeSlope: decimalOf(attributes.number("alpha", 0.01)),
      }),
    floats: ({ negativeSlope }) => ({ alpha: negativeSlope }),
  },
  batchNorm2d: BATCH_NORM,
  batchNorm1d: BATCH_NORM,
  dropout: {
    opType: "Dropout",
    inputs: 3,
    read: readDropout,
    constants: ({ p }) => ({ ratio: p }),
  },
  flatten: { opType: "Flatten", moves: true, read: readFlatten, write: () => ({ axis: 1 }) },
  linear: { opType: "Gemm", inputs: 3, read: readGemm, write: () => ({ transB: 1 }) },
  residual: {
    opType: "Add",
    adds: true,
    ...arithmetic((a, b) => a + b, (value) => [1, value]),
  },
};

const DROPPED = { moves: true, isLeftOut: true };
const SOFTMAX: Operator = { read: readSoftmax, isLeftOut: true };

/** By `op_type`. */
export const OPERATORS: ReadonlyMap<string, Operator> = new Map<string, Operator>([
  ...Object.values<Written<never>>(KINDS)
    .map(({ write: _, floats: _f, statistics: _s, constants: _c, opType, ...operator }) =>
      [opType, operator] as const
    ),
  ["GlobalMaxPool", { read: (node) => readGlobalPool(node, "maxPool2d") }],
  ["ReduceMean", { inputs: 2, read: readMean }],
  ["Pad", { inputs: 4, read: readPad }],
  ["Reshape", { inputs: 2, moves: true, reshape }],
  ["Squeeze", { inputs: 2, moves: true, reshape: squeeze }],
  ["Unsqueeze", { inputs: 2, moves: true, reshape: unsqueeze }],
  ["Transpose", { moves: true, read: readTranspose, fold: transpose }],
  ["MatMul", { inputs: 2, read: (node) => readLinear(node, false) }],
  ["Sub", arithmetic((a, b) => a - b, (value, place) => place === 0 ? [1, -value] : [-1, value])],
  ["Mul", arithmetic((a, b) => a * b, (value) => [value, 0])],
  ["Div", { ...arithmetic((a, b) => a / b, (value) => [1 / value, 0]), commutes: false }],
  ["Softmax", SOFTMAX],
  ["LogSoftmax", SOFTMAX],
  ["Identity", { ...DROPPED, read: () => {}, fold: (node) => required(node, 0) }],
  ["Cast", { ...DROPPED, read: readCast, fold: cast }],
  ["Constant", { inputs: 0, fold: readConstant }],
  ["Concat", { inputs: Infinity, fold: concat }],
  ["Gather", { inputs: 2, fold: gather }],
  ["Slice", { inputs: 5, fold: slice }],
]);

function activation(opType: string, type: "sigmoid" | "tanh" | "relu"): Written<unknown> {
  return { opType, read: ({ network }) => network.add({ type }) };
}

/** The operator that a layer is written as. */
export function operatorOf({ type }: Layer): Written<Layer> {
  return KINDS[type];
}

function pooling(opType: string, type: "avgPool2d" | "maxPool2d"): Written<Pool2dLayer> {
  return {
    opType,
    read: (node) => readPool(node, type),
    write: ({ poolSize, stride, padding }) => ({
      ...{ kernel_shape: poolSize, strides: stride },
      ...(padding.some((size) => size > 0) && {
        pads: [...padding, ...padding],
        ...(type === "avgPool2d" && { count_include_pad: 1 }),
      }),
    }),
  };
}

/** Arithmetic with a constant, as a factor and what is added. */
function arithmetic(
  operation: (a: number, b: number) => number,
  scaled: (value: number, place: number) => readonly [scale: number, offset: number],
): Operator {
  return {
    inputs: 2,
    commutes: true,
    fold: (node) => combine(required(node, 0), required(node, 1), operation),
    read(node) {
      const { network, other, place } = node;
      if (other !== undefined) return addSum(network, other);
      const constant = floatsAt(node, 1 - place);
      if (constant === undefined) throw new TypeError("it takes no constant");
      const pairs = Array.from(perChannel(network, constant), (value) => scaled(value, place));
      scaleOutputs(network, pairs.map(([scale]) => scale), pairs.map(([, offset]) => offset));
    },
  };
}

/** A constant that is added or multiplied, as one number, or one for each channel or feature.
 *
 * @throws {TypeError} If it has more axes, or other numbers along another axis.
 */
function perChannel(network: NetworkBuilder, { shape, data }: Constant): ArrayLike<number> {
  const sizes = [1, ...network.sizes];
  const start = sizes.length - shape.length;
  const fits = start >= 0 && shape.every((size, n) => size === 1 || size === sizes[start + n]);
  const isOne = fits && data.every((value) => Object.is(value, data[0]));
  const isPerChannel = shape.every((size, n) => size === 1 || network.axes[start + n - 1] === 0);
  if (fits && data.length > 0 && (isOne || isPerChannel)) return isOne ? [data[0]] : data;
  throw new TypeError(
    `its constant of ${showShape(shape)} must be one number, or one for each channel or feature ` +
      `of ${showShape(network.sizes)}`,
  );
}

function readConv(node: ComputingNode): void {
  const { network, attributes, name } = node;
  network.image();
  const weight = weightAt(node, 1, 4);
  const [, , height, width] = weight.shape;
  const kernelSize = attributes.pair("kernel_shape", [height, width]);
  const groups = attributes.number("group", 1);
  attributes.require("dilations", 1);
  const [stride, padding] = [attributes.pair("strides", 1), paddingOf(attributes)];
  const bias = floatsAt(node, 2)?.data;
  addConv2d(network, { name, kernelSize, stride, padding, groups, weight, bias });
}

function readPool(
  { network, attributes }: ComputingNode,
  type: "avgPool2d" | "maxPool2d",
): void {
  const [, ...size] = network.image();
  const [poolSize, stride] = [attributes.pair("kernel_shape"), attributes.pair("strides", 1)];
  attributes.require("dilations", 1);
  const isCounted = attributes.flag("count_include_pad", false);
  attributes.require("storage_order", 0);
  const padding = paddingOf(attributes);
  const sides = sidesOf(padding, { size, windowSize: poolSize, stride });
  // Rounding up is rounding down where the windows cover all rows and columns.
  const isWhole = size.every((length, n) =>
    (length + sides[n][0] + sides[n][1] - poolSize[n]) % stride[n] === 0
  );
  if (attributes.flag("ceil_mode", false) && !isWhole) {
    throw new TypeError(`ceil_mode over an input of ${size.join("x")} is not supported`);
  }
  addPool2d(network, type, { poolSize, stride, padding, isCounted });
}

function readGlobalPool({ network }: ComputingNode, type: "avgPool2d" | "maxPool2d"): void {
  network.image();
  addPool2d(network, type);
}

/** The mean over rows and columns, which is a pooling of all of them. */
function readMean(node: ComputingNode): void {
  const { network, attributes } = node;
  const { axes, sizes, shape } = network;
  const places = axesOf(node, axes.length + 1) ?? [];
  attributes.require("noop_with_empty_axes", 0);
  if (shape.length !== 3 || places.map((place) => axes[place - 1]).sort().join() !== "1,2") {
    throw new TypeError(`it must be over rows and columns, found axes ${showShape(places)}`);
  }
  addPool2d(network, "avgPool2d");
  if (attributes.flag("keepdims", true)) return;
  network.reshape(sizes.filter((_, n) => !places.includes(n + 1)));
}

function paddingOf(attributes: Attributes): Padding {
  const pads = attributes.list("pads") ?? [0, 0, 0, 0];
  const mode = attributes.value("auto_pad") ?? "NOTSET";
  const isGiven = pads.some((size) => size !== 0);
  if (mode !== "NOTSET" && isGiven) throw new TypeError(`it has both pads and auto_pad ${mode}`);
  if (mode === "SAME_UPPER" || mode === "SAME_LOWER") {
    return mode === "SAME_UPPER" ? "same" : "sameLower";
  }
  if (mode === "VALID") return NO_PADDING;
  if (mode !== "NOTSET") throw new TypeError(`auto_pad ${quote(mode)} is not supported`);
  const [top, left, bottom, right] = pads;
  if (pads.length === 4 && pads.every(isCount)) return [[top, bottom], [left, right]];
  throw new TypeError(`pads must be four whole numbers of 0 or more, found ${showShape(pads)}`);
}

function isCount(size: number): boolean {
  return Number.isSafeInteger(size) && size >= 0;
}

/** Zeros around rows and columns, which the convolution behind takes as its own. */
function readPad({ network, attributes, inputs }: ComputingNode): void {
  const pads = attributes.list("pads") ?? listAt(inputs, 1) ?? [];
  const rank = network.axes.length + 1;
  const given = listAt(inputs, 3) ?? [...Array(rank).keys()];
  const places = given.map((axis) => normalAxis(axis, rank));
  if (pads.length === 0) throw new TypeError("it has no pads");
  const mode = attributes.value("mode") ?? "constant";
  const value = attributes.number("value", inputs[2]?.data[0] ?? 0);
  if (pads.every((size) => size === 0)) return;
  const sides: [number, number][] = [[0, 0], [0, 0], [0, 0]];
  const isFit = pads.length === 2 * places.length && pads.every(isCount) &&
    places.every((place, n) => {
      const added: [number, number] = [pads[n], pads[n + places.length]];
      const axis = network.axes[place - 1];
      if (axis > 0) sides[axis] = added;
      return axis > 0 || added.every((size) => size === 0);
    });
  if (!isFit || mode !== "constant" || value !== 0 || network.shape.length !== 3) {
    throw new TypeError(
      `its padding must be zeros around rows and columns, found ${showShape(pads)} of ` +
        `${quote(mode)} ${value}`,
    );
  }
  network.pad([sides[1], sides[2]]);
}

function readFlatten({ network, attributes }: ComputingNode): void {
  const axis = attributes.number("axis", 1);
  if (axis !== 1 && axis !== -network.axes.length) {
    throw new TypeError(`axis must be 1, found ${axis}`);
  }
  network.flatten();
}

function readTranspose({ network, attributes }: ComputingNode): void {
  const perm = attributes.list("perm") ?? [...Array(network.axes.length + 1).keys()].reverse();
  if (perm[0] !== 0) {
    throw new TypeError(`perm must leave the batch in front, found ${showShape(perm)}`);
  }
  network.transpose(perm.slice(1).map((axis) => axis - 1));
}

function readGemm(node: ComputingNode): void {
  const { attributes, network } = node;
  const [alpha, beta] = [attributes.number("alpha", 1), attributes.number("beta", 1)];
  attributes.require("transA", 0);
  const added = floatsAt(node, 2);
  const isTurned = attributes.flag("transB", false);
  const outFeatures = weightAt(node, 1, 2).shape[isTurned ? 0 : 1];
  const isBias = added !== undefined && added.data.length === outFeatures &&
    added.shape.at(-1) === outFeatures;
  const bias = isBias ? added.data.map((value) => beta / alpha * value) : undefined;
  readLinear(node, isTurned, bias);
  if (alpha !== 1) scaleOutputs(network, [alpha], [0]);
  if (added === undefined || isBias) return;
  scaleOutputs(network, [1], Array.from(perChannel(network, added), (value) => beta * value));
}

function readLinear(node: ComputingNode, isTurned: boolean, bias?: Float32Array): void {
  const { network, name } = node;
  const matrix = weightAt(node, 1, 2);
  network.linear({ name, weight: isTurned ? matrix : permuted(matrix, [1, 0]), bias });
}

function readBatchNormalization(node: ComputingNode): void {
  const { network, attributes, name } = node;
  attributes.require("training_mode", 0);
  attributes.require("spatial", 1);
  const momentum = 1 - decimalOf(attributes.number("momentum", 0.9));
  const epsilon = attributes.number("epsilon", 1e-5);
  const [gamma, beta, mean, variance] = [1, 2, 3, 4].map((place) => weightAt(node, place, 1).data);
  if (!network.isChannels(0)) {
    throw new TypeError("it must be of channels or features, which come first");
  }
  addBatchNorm(network, name, { gamma, beta, mean, variance, epsilon, momentum });
}

function readSoftmax({ network, attributes }: ComputingNode): void {
  const axis = attributes.number("axis", -1);
  if (axis !== 1 && axis !== -1) throw new TypeError("it must be over the logits, at the end");
  network.softmax();
}

function readDropout({ network, attributes, inputs }: ComputingNode): void {
  attributes.ignore("seed");
  if (inputs[2]?.data[0]) {
    throw new TypeError("training_mode must be false: export it in eval mode");
  }
  network.dropout(attributes.number("ratio", inputs[1]?.data[0] ?? 0.5));
}

function readCast({ attributes }: ComputingNode): void {
  const to = attributes.number("to", 0);
  attributes.ignore("saturate", "round_mode"); // of types that are refused
  if (!isFloat(to)) throw unsupportedCast(to);
}

/** The floats at a place among the inputs; undefined if there are none. */
function floatsAt({ inputs }: ConstantNode, place: number): Tensor | undefined {
  const constant = inputs[place];
  if (constant === undefined) return undefined;
  const { shape, data } = constant;
  if (data instanceof Float32Array) return { shape, data };
  throw new TypeError(`its input ${place} must be floats, found whole numbers`);
}

/** The constant at a place among the inputs, of a certain number of dimensions. */
function weightAt(node: ConstantNode, place: number, rank: number): Tensor {
  const tensor = floatsAt(node, place);
  if (tensor?.shape.length === rank) return tensor;
  throw new TypeError(
    `its weight must be a constant of ${rank} dimensions, found ` +
      (tensor === undefined ? "none" : showShape(tensor.shape)),
  );
}
