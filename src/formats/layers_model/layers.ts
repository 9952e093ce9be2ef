/** The layers of Keras and TensorFlow.js: those that are written, and all that are read. */

import { addBatchNorm, addSum, scaleOutputs } from "../arithmetic.ts";
import type { ActivationSpec, Pair } from "../../nn/layers.ts";
import { volume } from "../../nn/layers/layer.ts";
import type { LayerOf } from "../../nn/layers/table.ts";
import {
  type ActivationLayer,
  type BatchNormLayer,
  type Conv2dLayer,
  type ImageShape,
  type Layer,
  type LayerKind,
  type Pool2dLayer,
  type Shape,
  showShape,
} from "../../nn/sequential.ts";
import { quote } from "../../quote.ts";
import { Attributes } from "../attributes.ts";
import { CHANNELS_FIRST, CHANNELS_LAST, NO_PADDING, type Sides } from "../layout.ts";
import type { NetworkBuilder } from "../network_builder.ts";
import { addConv2d, addPool2d, type Padding, sidesOf } from "../windows.ts";
import type { Tensor } from "../safetensors/file.ts";
import { decimalOf, permuted } from "../tensors.ts";
import type { LayerJson } from "./topology.ts";
import type { ModelWeights, TakeWeight } from "./weights.ts";

/** A layer that is being read. */
interface Node {
  readonly name: string;
  /** What it takes and changes. */
  readonly network: NetworkBuilder;
  /** What else it takes. */
  readonly others: readonly NetworkBuilder[];
  readonly attributes: Attributes;
  readonly take: TakeWeight;
  /** Groups of channels between which its kernel has zeros; left out where nobody says so. */
  readonly groups?: number;
}

type LayerReader = (node: Node) => void;

/** What TensorFlow.js has no layer for. */
export class NoKerasLayerError extends TypeError {}

/** A layer of Keras, and one that must come before it. */
export interface WrittenLayer {
  /** If it is another one than that which is read. */
  readonly className?: string;
  readonly config: object;
  /** Its weights, if it has any, from the layer's parameters and statistics. */
  readonly weights?: (tensors: readonly Tensor[]) => Readonly<Record<string, Tensor>>;
  readonly before?: {
    readonly className: string;
    readonly suffix: string;
    readonly config: object;
  };
}

/** The class of Keras that a kind of layer is. */
interface KerasClass<Layer> {
  readonly className: string;
  readonly read: LayerReader;
  write(layer: Layer): WrittenLayer;
}

const FORMAT = { data_format: "channels_last" };
const ZEROS = { class_name: "Zeros", config: {} };
const ONES = { class_name: "Ones", config: {} };

/** What Conv2D, DepthwiseConv2D and Dense have alike. */
function weighted({ bias }: Pick<Conv2dLayer, "bias">, kernel = "kernel") {
  return {
    [`${kernel}_initializer`]: ZEROS,
    ...{ [`${kernel}_regularizer`]: null, [`${kernel}_constraint`]: null },
    ...{ use_bias: bias !== undefined, bias_initializer: ZEROS },
    ...{ bias_regularizer: null, bias_constraint: null },
    ...{ activity_regularizer: null, activation: "linear" },
  };
}

/** A kernel with its axes in another order, and the bias if there is one. */
function kernelAndBias(order: readonly number[], part = "kernel") {
  return ([kernel, bias]: readonly Tensor[]) => (
    { [part]: permuted(kernel, order), ...(bias && { bias }) }
  );
}

const ACTIVATION: KerasClass<ActivationLayer> = {
  className: "Activation",
  read: (node) => readActivation(node),
  write: ({ type }) => ({ config: { activation: type } }),
};

const BATCH_NORM: KerasClass<BatchNormLayer> = {
  className: "BatchNormalization",
  read: readBatchNormalization,
  write: ({ momentum, eps }) => ({
    config: {
      ...{ axis: -1, momentum: 1 - momentum, epsilon: eps, center: true, scale: true },
      ...{ beta_initializer: ZEROS, beta_regularizer: null, beta_constraint: null },
      ...{ gamma_initializer: ONES, gamma_regularizer: null, gamma_constraint: null },
      ...{ moving_mean_initializer: ZEROS, moving_variance_initializer: ONES },
    },
    weights: ([gamma, beta, moving_mean, moving_variance]) => (
      { gamma, beta, moving_mean, moving_variance }
    ),
  }),
};

/** By the kind of layer. */
const KINDS: { readonly [Kind in LayerKind]: KerasClass<LayerOf<Kind>> } = {
  conv2d: { className: "Conv2D", read: readConv2d, write: writeConv2d },
  avgPool2d: pooling("AveragePooling2D", "avgPool2d"),
  maxPool2d: pooling("MaxPooling2D", "maxPool2d"),
  globalAvgPool2d: {
    className: "GlobalAveragePooling2D",
    read: (node) => readGlobalPool(node, "avgPool2d"),
    // Its output is a vector.
    write: ({ outputShape: [channels] }) => ({
      before: { className: "GlobalAveragePooling2D", suffix: "mean", config: FORMAT },
      className: "Reshape",
      config: { target_shape: [1, 1, channels] },
    }),
  },
  sigmoid: ACTIVATION,
  tanh: ACTIVATION,
  relu: ACTIVATION,
  leakyRelu: {
    className: "LeakyReLU",
    read: ({ network, attributes }) => {
      const slope = attributes.number("negative_slope", attributes.number("alpha", 0.3));
      network.add({ type: "leakyRelu", negativeSlope: decimalOf(slope) });
    },
    write: ({ negativeSlope }) => ({ config: { alpha: negativeSlope } }),
  },
  batchNorm2d: BATCH_NORM,
  batchNorm1d: BATCH_NORM,
  dropout: {
    className: "Dropout",
    read({ network, attributes }) {
      attributes.ignore("noise_shape", "seed");
      network.dropout(attributes.number("rate", 0));
    },
    write: ({ p }) => ({ config: { rate: p, noise_shape: null, seed: null } }),
  },
  flatten: {
    className: "Flatten",
    read: readFlatten,
    // Its Flatten takes no vectors.
    write: ({ inputShape, outputShape }) =>
      inputShape.length === 1 ? { className: "Reshape", config: { target_shape: outputShape } } : {
        before: { className: "Permute", suffix: "channels_first", config: { dims: [3, 1, 2] } },
        config: {},
      },
  },
  linear: {
    className: "Dense",
    read: readDense,
    write: ({ outputShape: [units], ...layer }) => (
      { config: { units, ...weighted(layer) }, weights: kernelAndBias([1, 0]) }
    ),
  },
  residual: { className: "Add", read: readAdd, write: () => ({ config: {} }) },
};

/** A layer as Keras writes it. */
export function writeLayer(layer: Layer): WrittenLayer & { readonly className: string } {
  const { className, write }: KerasClass<Layer> = KINDS[layer.type];
  return { className, ...write(layer) };
}

/** Layers that change nothing once trained, whatever their attributes. */
const LEFT_OUT: readonly string[] = [
  ...["SpatialDropout2D", "AlphaDropout", "GaussianDropout", "GaussianNoise"],
  ...["ActivityRegularization", "RandomFlip", "RandomRotation", "RandomTranslation"],
  ...["RandomZoom", "RandomContrast", "RandomBrightness"],
];

/** By `class_name`. */
const READERS: ReadonlyMap<string, LayerReader> = new Map<string, LayerReader>([
  ...Object.values(KINDS).map(({ className, read }) => [className, read] as const),
  ["InputLayer", readInput],
  ["Rescaling", readRescaling],
  ["Normalization", readNormalization],
  ["GlobalMaxPooling2D", (node) => readGlobalPool(node, "maxPool2d")],
  ["ZeroPadding2D", readZeroPadding2d],
  ["DepthwiseConv2D", readDepthwise],
  ["Permute", readPermute],
  ["Reshape", readReshape],
  ["ReLU", readRelu],
  ["Softmax", readSoftmax],
  ["Identity", () => {}],
]);

/** What matters to training alone, or was read before. */
const IRRELEVANT = /_(initializer|regularizer|constraint)$|^(name|trainable|batch_(input_)?shape)$/;

/** Reads one layer, and lets the first of the values that it takes become its output. */
export function readLayer(
  layer: LayerJson,
  [network, ...others]: readonly NetworkBuilder[],
  { weights, groups }: { readonly weights: ModelWeights; readonly groups?: number },
): void {
  const { className, name, config } = layer;
  if (LEFT_OUT.includes(className)) {
    weights.skip(name);
    network.note(`${className} is left out: it changes nothing once trained`);
    return;
  }
  const read = READERS.get(className);
  if (read === undefined) {
    const supported = [...READERS.keys()].join(", ");
    throw new TypeError(`the layer is not supported; supported are ${supported}`);
  }
  if (others.length > 0 && read !== readAdd) {
    throw new TypeError("it takes more than one input: only Add may");
  }
  const attributes = attributesOf(config);
  if (className === "InputLayer") readInputShape(network, config);
  else readType(network, attributes);
  read({ name, network, others, attributes, take: weights.of(layer), groups });
  attributes.finish();
}

function attributesOf(config: LayerJson["config"]): Attributes {
  return new Attributes(new Map(Object.entries(config).filter(([key]) => !IRRELEVANT.test(key))));
}

/** The type that a layer computes in. */
function readType(network: NetworkBuilder, attributes: Attributes): void {
  const value = attributes.value("dtype") ?? "float32";
  const { name = value } = Object(Object(value).config);
  if (name === "float32") return;
  if (!/^(mixed_)?b?float\d\d$/.test(String(name))) {
    throw new TypeError(`dtype must be "float32", found ${quote(name)}`);
  }
  network.note(`its layers compute in ${name}, here in float32`);
}

/** The shape has been read, unless it is that of a model within. */
function readInputShape({ sizes }: NetworkBuilder, config: LayerJson["config"]): void {
  const [, ...expected] = [config.batch_input_shape ?? config.batch_shape].flat();
  if (expected.every((size, n) => size === null || size === sizes[n])) return;
  throw new TypeError(`it must take ${showShape(sizes)}, found ${quote(expected)}`);
}

/** Whole numbers are bytes. */
function readInput({ network, attributes }: Node): void {
  attributes.require("sparse", false);
  attributes.require("ragged", false);
  attributes.ignore("optional");
  if (/^u?int\d+$/.test(String(attributes.value("dtype")))) {
    scaleOutputs(network, [255], [0]);
    network.note("its input is whole numbers: pixels are taken as 0 to 255");
  }
}

/** Adds an activation, which a file may give by name, as a function or as a layer. */
function readActivation(node: Node, value = node.attributes.value("activation")): void {
  const { class_name: className, config } = Object(value);
  if (["ReLU", "Softmax", "Activation"].includes(className)) {
    const attributes = attributesOf(Object(config));
    readType(node.network, attributes);
    READERS.get(className)!({ ...node, attributes });
    return attributes.finish();
  }
  const name = className === "function" ? config : value ?? "linear";
  if (name === "linear") return;
  if (name === "softmax" || name === "log_softmax") node.network.softmax();
  else if (["sigmoid", "tanh", "relu"].includes(name)) {
    node.network.add({ type: name as ActivationSpec["type"] });
  } else throw new TypeError(`activation ${quote(name)} is not supported`);
}

function readRescaling({ network, attributes }: Node): void {
  const [scale, offset] = (["scale", "offset"] as const).map((key) => {
    const numbers = [attributes.value(key) ?? (key === "offset" ? 0 : undefined)].flat();
    if (numbers.length > 0 && numbers.every((value) => typeof value === "number")) return numbers;
    throw new TypeError(`its ${key} must be a number, or one for each channel`);
  });
  if (scale.length + offset.length > 2) requireChannels(network, -1);
  scaleOutputs(network, scale, offset);
}

/** (x - mean) / sqrt(variance), as measured on the training set or as given. */
function readNormalization({ network, attributes, take }: Node): void {
  attributes.require("invert", false);
  const [mean, variance] = ["mean", "variance"].map((key) => {
    const given = attributes.value(key);
    const found = take(key)?.data ?? (given === undefined ? [] : [given].flat(Infinity));
    const values = Array.from(found, Number);
    if (values.length > 0 && values.every(Number.isFinite)) return values;
    throw new TypeError(`its ${key} must be numbers, in the file's weights or attributes`);
  });
  take("count");
  const axis = attributes.value("axis");
  if (mean.length > 1) requireChannels(network, axis);
  const scale = variance.map((value) => 1 / Math.max(Math.sqrt(value), 1e-7));
  scaleOutputs(network, scale, mean.map((value, n) => -value * (scale[n] ?? scale[0])));
}

function readConv2d(node: Node): void {
  const { name, network, attributes, take } = node;
  requireImage(node);
  attributes.require("dilation_rate", 1);
  const stride = attributes.pair("strides", 1);
  const whole = permuted(take("kernel", 4), [3, 2, 0, 1]);
  const parted = node.groups === undefined ? undefined : withGroups(whole, node.groups);
  const weight = parted ?? whole;
  const groups = attributes.number("groups", 1) * (parted ? node.groups! : 1);
  const [outChannels, , height, width] = weight.shape;
  attributes.require("filters", outChannels);
  const kernelSize = attributes.pair("kernel_size", [height, width]);
  const padding = paddingOf(attributes);
  addConv2d(network, { name, kernelSize, stride, padding, groups, weight, bias: biasOf(node) });
  readActivation(node);
}

function readDepthwise(node: Node): void {
  const { name, network, attributes, take } = node;
  requireImage(node);
  attributes.require("dilation_rate", 1);
  const stride = attributes.pair("strides", 1);
  const turned = permuted(take("depthwise_kernel", 4), [2, 3, 0, 1]);
  const [groups, multiplier, height, width] = turned.shape;
  attributes.require("depth_multiplier", multiplier);
  attributes.require("groups", 1);
  attributes.ignore("filters");
  const kernelSize = attributes.pair("kernel_size", [height, width]);
  const weight = { ...turned, shape: [groups * multiplier, 1, height, width] };
  const padding = paddingOf(attributes);
  addConv2d(network, { name, kernelSize, stride, padding, groups, weight, bias: biasOf(node) });
  readActivation(node);
}

/** Keras pads by 'same' or 'valid' only: other paddings become a layer of their own. TensorFlow.js knows
 * no groups but of one channel each: others become a kernel with zeros between the groups. */
function writeConv2d(layer: Conv2dLayer): WrittenLayer {
  const { inputShape: [inChannels], outputShape, kernelSize, stride, padding, groups } = layer;
  const isSame = [0, 1].every((axis) =>
    stride[axis] === 1 && kernelSize[axis] === 2 * padding[axis] + 1
  );
  const isDepthwise = groups === inChannels && groups > 1 && stride[0] === stride[1];
  const multiplier = outputShape[0] / groups;
  const config = {
    ...(isDepthwise ? { depth_multiplier: multiplier } : { filters: outputShape[0] }),
    ...{ kernel_size: kernelSize, strides: stride, ...FORMAT },
    ...{ padding: isSame ? "same" : "valid", dilation_rate: [1, 1] },
    ...weighted(layer, isDepthwise ? "depthwise" : "kernel"),
  };
  const depthwise = ([{ shape: [, , ...size], data }, ...bias]: readonly Tensor[]) =>
    kernelAndBias([2, 3, 0, 1], "depthwise_kernel")([
      { shape: [groups, multiplier, ...size], data },
      ...bias,
    ]);
  const whole = ([kernel, ...bias]: readonly Tensor[]) =>
    kernelAndBias([2, 3, 1, 0])([withoutGroups(kernel, groups), ...bias]);
  const written: WrittenLayer = {
    ...(isDepthwise && { className: "DepthwiseConv2D" }),
    config,
    weights: isDepthwise ? depthwise : whole,
  };
  if (isSame || padding.every((size) => size === 0)) return written;
  return { ...written, before: zeroPadding(padding) };
}

function zeroPadding(padding: Pair): WrittenLayer["before"] {
  const config = { padding: padding.map((size) => [size, size]), ...FORMAT };
  return { className: "ZeroPadding2D", suffix: "padding", config };
}

/** A kernel [out, in / groups, height, width] as one over all channels. */
function withoutGroups({ shape, data }: Tensor, groups: number): Tensor {
  const [outChannels, groupIn, height, width] = shape;
  const inChannels = groupIn * groups;
  const length = groupIn * height * width;
  const whole = new Float32Array(outChannels * length * groups);
  for (let out = 0; out < outChannels; out++) {
    const group = Math.floor(out * groups / outChannels);
    whole.set(data.subarray(out * length, (out + 1) * length), (out * groups + group) * length);
  }
  return { shape: [outChannels, inChannels, height, width], data: whole };
}

/** A kernel over all channels as one of groups, if it has nothing but zeros between them. */
function withGroups({ shape, data }: Tensor, groups: number): Tensor | undefined {
  const [outChannels, inChannels, ...size] = shape;
  if (outChannels % groups > 0 || inChannels % groups > 0) return undefined;
  const length = data.length / outChannels / groups;
  const parted = new Float32Array(outChannels * length);
  for (let out = 0; out < outChannels; out++) {
    const start = (out * groups + Math.floor(out * groups / outChannels)) * length;
    parted.set(data.subarray(start, start + length), out * length);
  }
  const tensor = { shape: [outChannels, inChannels / groups, ...size], data: parted };
  const isWhole = withoutGroups(tensor, groups).data.every((value, n) => value === data[n]);
  return isWhole ? tensor : undefined;
}

function readDense(node: Node): void {
  const { name, network, attributes, take } = node;
  const weight = permuted(take("kernel", 2), [1, 0]);
  attributes.require("units", weight.shape[0]);
  network.linear({ name, weight, bias: biasOf(node) });
  readActivation(node);
}

function biasOf({ attributes, take }: Node): Float32Array | undefined {
  return attributes.flag("use_bias", true) ? take("bias", 1).data : undefined;
}

function pooling(className: string, type: "avgPool2d" | "maxPool2d"): KerasClass<Pool2dLayer> {
  return {
    className,
    read(node) {
      requireImage(node);
      const { network, attributes } = node;
      const poolSize = attributes.pair("pool_size", 2);
      const stride = attributes.pair("strides", poolSize);
      addPool2d(network, type, { poolSize, stride, padding: paddingOf(attributes) });
    },
    write({ name, poolSize, stride, padding, inputShape: [, ...size] }) {
      const pool = { pool_size: poolSize, strides: stride, ...FORMAT };
      const valid = { config: { ...pool, padding: "valid" } };
      if (padding.every((size) => size === 0)) return valid;
      if (type === "avgPool2d") return { ...valid, before: zeroPadding(padding) };
      const same = sidesOf("same", { size, windowSize: poolSize, stride });
      const isSame = same.every((sides, axis) => sides.every((rows) => rows === padding[axis]));
      if (isSame) return { config: { ...pool, padding: "same" } };
      throw new NoKerasLayerError(
        `Cannot write ${type} "${name}" as a LayersModel: its padding of ${padding.join("x")} is ` +
          `not one that TensorFlow.js has; export the model as ONNX`,
      );
    },
  };
}

/** A pooling of all rows and columns, which then are no more. */
function readGlobalPool(node: Node, type: "avgPool2d" | "maxPool2d"): void {
  requireImage(node);
  addPool2d(node.network, type);
  if (!node.attributes.flag("keepdims", false)) node.network.flatten();
}

function readZeroPadding2d(node: Node): void {
  requireImage(node);
  const value = node.attributes.value("padding") ?? 1;
  const [rows, columns, ...more] = Array.isArray(value) ? value : [value, value];
  const sides = [rows, columns].map((side) => Array.isArray(side) ? side : [side, side]);
  const isValid = more.length === 0 && sides.every(({ length }) => length === 2) &&
    sides.flat().every((size) => Number.isSafeInteger(size) && size >= 0);
  if (!isValid) throw new TypeError(`its padding must be whole numbers, found ${quote(value)}`);
  node.network.pad(sides as unknown as [Sides, Sides]);
}

function paddingOf(attributes: Attributes): Padding {
  const padding = attributes.value("padding") ?? "valid";
  if (padding === "valid") return NO_PADDING;
  if (padding === "same") return padding;
  throw new TypeError(`padding ${quote(padding)} is not supported`);
}

function readBatchNormalization({ name, network, attributes, take }: Node): void {
  requireChannels(network, attributes.value("axis") ?? -1);
  const epsilon = attributes.number("epsilon", 1e-3);
  const part = (name: string) => take(name, 1).data;
  const gamma = attributes.flag("scale", true) ? part("gamma") : undefined;
  const beta = attributes.flag("center", true) ? part("beta") : undefined;
  const [mean, variance] = [part("moving_mean"), part("moving_variance")];
  attributes.require("renorm", false);
  attributes.ignore("synchronized", "fused", "renorm_clipping", "renorm_momentum");
  const momentum = 1 - attributes.number("momentum", 0.99);
  addBatchNorm(network, name, { gamma, beta, mean, variance, epsilon, momentum });
}

/** The end of a residual block. */
function readAdd({ network, others }: Node): void {
  if (others.length === 0) throw new TypeError("it must take two inputs or more");
  for (const other of others) addSum(network, other);
}

/** Demands that an axis, counted with the batch, is that of the channels or of the features. */
function requireChannels(network: NetworkBuilder, axis: unknown): void {
  const [place, ...more] = [axis].flat().map(Number);
  const index = place < 0 ? place + network.sizes.length : place - 1;
  if (more.length === 0 && network.isChannels(index)) return;
  throw new TypeError(`axis must be that of the channels, found ${quote(axis)}`);
}

/** The image that a layer takes, its axes where the layer expects them. */
function requireImage({ network, attributes }: Node): ImageShape {
  return network.image(isChannelsLast(attributes) ? CHANNELS_LAST : CHANNELS_FIRST);
}

function isChannelsLast(attributes: Attributes): boolean {
  const format = attributes.value("data_format") ?? "channels_last";
  if (format === "channels_last" || format === "channels_first") return format === "channels_last";
  throw new TypeError(`data_format ${quote(format)} is not supported`);
}

function readPermute({ network, attributes }: Node): void {
  const dims = attributes.list("dims") ?? [];
  const { sizes } = network;
  if (dims.toSorted().join() !== [...sizes.keys()].map((n) => n + 1).join()) {
    throw new TypeError(`dims ${quote(dims)} do not fit ${showShape(sizes)}`);
  }
  network.transpose(dims.map((dim) => dim - 1));
}

function readFlatten({ network, attributes }: Node): void {
  const [first, ...rest] = network.axes;
  // Keras takes the first axis for the channels, whatever it is, and brings it to the end.
  network.flatten(isChannelsLast(attributes) ? network.axes : [...rest, first]);
}

function readReshape({ network, attributes }: Node): void {
  const target = targetOf(attributes.value("target_shape"), network.sizes);
  if (target.length === 1) network.flatten();
  else network.reshape(target);
}

/** The sizes that a Reshape makes of as many numbers; -1 is what is left. */
export function targetOf(target: unknown, sizes: Shape): number[] {
  const list: number[] = Array.isArray(target) ? target : [];
  const known = volume(list.filter((size) => size !== -1));
  const full = list.map((size) => size === -1 ? volume(sizes) / known : size);
  const isWhole = full.every((size) => Number.isSafeInteger(size) && size >= 1);
  if (list.length > 0 && isWhole && volume(full) === volume(sizes)) return full;
  throw new TypeError(`its target_shape ${quote(target)} does not fit ${showShape(sizes)}`);
}

function readRelu({ network, attributes }: Node): void {
  const negativeSlope = decimalOf(attributes.number("negative_slope", 0));
  attributes.require("threshold", 0);
  network.add(negativeSlope === 0 ? { type: "relu" } : { type: "leakyRelu", negativeSlope });
}

function readSoftmax({ network, attributes }: Node): void {
  requireChannels(network, attributes.value("axis") ?? -1);
  network.softmax();
}
