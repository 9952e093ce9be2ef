/** The operators of ONNX: those that layers are written as, and all that are read. */

import type { LayerOf } from "../../nn/layers/table.ts";
import { type BatchNormLayer, type Layer, type LayerKind, showShape } from "../../nn/sequential.ts";
import { addBatchNorm, addLinear, addSum, scaleOutputs } from "../arithmetic.ts";
import type { NetworkBuilder } from "../network_builder.ts";
import { decimalOf, permuted } from "../tensors.ts";
import { type Constant, isFloat } from "./constants.ts";
import {
  type ComputingNode,
  floatsAt,
  type Operator,
  required,
  weightAt,
  type Written,
} from "./operators.ts";
import {
  cast,
  combine,
  concat,
  gather,
  readConstant,
  reshape,
  slice,
  squeeze,
  transpose,
  unsqueeze,
  unsupportedCast,
} from "./shapes.ts";
import { CONV, globalPooling, pooling, readMean, readPad } from "./windows.ts";

const BATCH_NORM: Written<BatchNormLayer> = {
  opType: "BatchNormalization",
  inputs: 5,
  read(node) {
    const { network, attributes, name } = node;
    attributes.require("training_mode", 0);
    attributes.require("spatial", 1);
    const momentum = 1 - decimalOf(attributes.number("momentum", 0.9));
    const epsilon = attributes.number("epsilon", 1e-5);
    const [gamma, beta, mean, variance] = [1, 2, 3, 4].map((place) =>
      weightAt(node, place, 1).data
    );
    if (!network.isChannels(0)) {
      throw new TypeError("it must be of channels or features, which come first");
    }
    addBatchNorm(network, name, { gamma, beta, mean, variance, epsilon, momentum });
  },
  write: ({ eps, momentum, runningMean, runningVar }) => ({
    floats: { epsilon: eps, momentum: 1 - momentum },
    statistics: [runningMean, runningVar],
  }),
};

/** By the kind of layer. */
const KINDS: { readonly [Kind in LayerKind]: Written<LayerOf<Kind>> } = {
  conv2d: CONV,
  avgPool2d: pooling("AveragePool", "avgPool2d"),
  maxPool2d: pooling("MaxPool", "maxPool2d"),
  globalAvgPool2d: { opType: "GlobalAveragePool", ...globalPooling("avgPool2d") },
  sigmoid: { opType: "Sigmoid", read: ({ network }) => network.add({ type: "sigmoid" }) },
  tanh: { opType: "Tanh", read: ({ network }) => network.add({ type: "tanh" }) },
  relu: { opType: "Relu", read: ({ network }) => network.add({ type: "relu" }) },
  leakyRelu: {
    opType: "LeakyRelu",
    read({ network, attributes }) {
      const negativeSlope = decimalOf(attributes.number("alpha", 0.01));
      network.add({ type: "leakyRelu", negativeSlope });
    },
    write: ({ negativeSlope }) => ({ floats: { alpha: negativeSlope } }),
  },
  batchNorm2d: BATCH_NORM,
  batchNorm1d: BATCH_NORM,
  dropout: {
    opType: "Dropout",
    inputs: 3,
    read({ network, attributes, inputs }) {
      attributes.ignore("seed");
      if (inputs[2]?.data[0]) {
        throw new TypeError("training_mode must be false: export it in eval mode");
      }
      network.dropout(attributes.number("ratio", inputs[1]?.data[0] ?? 0.5));
    },
    write: ({ p }) => ({ constants: { ratio: p } }),
  },
  flatten: {
    opType: "Flatten",
    moves: true,
    read({ network, attributes }) {
      const axis = attributes.number("axis", 1);
      if (axis !== 1 && axis !== -network.axes.length) {
        throw new TypeError(`axis must be 1, found ${axis}`);
      }
      network.flatten();
    },
    write: () => ({ ints: { axis: 1 } }),
  },
  linear: {
    opType: "Gemm",
    inputs: 3,
    read(node) {
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
    },
    write: () => ({ ints: { transB: 1 } }),
  },
  residual: {
    opType: "Add",
    adds: true,
    ...arithmetic((a, b) => a + b, (value) => [1, value]),
  },
};

/** The operator that a layer is written as. */
export function operatorOf({ type }: Layer): Written<Layer> {
  return KINDS[type];
}

const DROPPED = { moves: true, isLeftOut: true };
const SOFTMAX: Operator = {
  isLeftOut: true,
  read({ network, attributes }) {
    const axis = attributes.number("axis", -1);
    if (axis !== 1 && axis !== -1) throw new TypeError("it must be over the logits, at the end");
    network.softmax();
  },
};

/** By `op_type`. */
export const OPERATORS: ReadonlyMap<string, Operator> = new Map<string, Operator>([
  ...Object.values<Written<never>>(KINDS).map((row) => [row.opType, row] as const),
  ["GlobalMaxPool", globalPooling("maxPool2d")],
  ["ReduceMean", { inputs: 2, read: readMean }],
  ["Pad", { inputs: 4, read: readPad }],
  ["Reshape", { inputs: 2, moves: true, reshape }],
  ["Squeeze", { inputs: 2, moves: true, reshape: squeeze }],
  ["Unsqueeze", { inputs: 2, moves: true, reshape: unsqueeze }],
  ["Transpose", {
    moves: true,
    read({ network, attributes }) {
      const perm = attributes.list("perm") ?? [...Array(network.axes.length + 1).keys()].reverse();
      if (perm[0] !== 0) {
        throw new TypeError(`perm must leave the batch in front, found ${showShape(perm)}`);
      }
      network.transpose(perm.slice(1).map((axis) => axis - 1));
    },
    fold: transpose,
  }],
  ["MatMul", { inputs: 2, read: (node) => readLinear(node, false) }],
  ["Sub", arithmetic((a, b) => a - b, (value, place) => place === 0 ? [1, -value] : [-1, value])],
  ["Mul", arithmetic((a, b) => a * b, (value) => [value, 0])],
  ["Div", { ...arithmetic((a, b) => a / b, (value) => [1 / value, 0]), commutes: false }],
  ["Softmax", SOFTMAX],
  ["LogSoftmax", SOFTMAX],
  ["Identity", { ...DROPPED, read: () => {}, fold: (node) => required(node, 0) }],
  ["Cast", {
    ...DROPPED,
    read({ attributes }) {
      const to = attributes.number("to", 0);
      attributes.ignore("saturate", "round_mode"); // of types that are refused
      if (!isFloat(to)) throw unsupportedCast(to);
    },
    fold: cast,
  }],
  ["Constant", { inputs: 0, fold: readConstant }],
  ["Concat", { inputs: Infinity, fold: concat }],
  ["Gather", { inputs: 2, fold: gather }],
  ["Slice", { inputs: 5, fold: slice }],
]);

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

function readLinear(node: ComputingNode, isTurned: boolean, bias?: Float32Array): void {
  const { network, name } = node;
  const matrix = weightAt(node, 1, 2);
  addLinear(network, { name, weight: isTurned ? matrix : permuted(matrix, [1, 0]), bias });
}
