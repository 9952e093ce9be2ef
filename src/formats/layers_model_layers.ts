/** The layers of Keras and TensorFlow.js that are read, and what they become: channels first. */

import type { ActivationSpec, Pair } from "../nn/layers.ts";
import { type Shape, showShape } from "../nn/sequential.ts";
import { quote } from "../quote.ts";
import { swapAxes } from "./layers_model.ts";
import { LayerConfig } from "./layers_model_config.ts";
import {
  CHANNELS_FIRST,
  CHANNELS_LAST,
  isSame,
  type LayerJson,
  type LayersReader,
  NO_CHANNELS,
  NO_PADDING,
} from "./layers_model_reader.ts";
import { evenSides, type Sides, sidesOfSame } from "./network_builder.ts";

type LayerReader = (reader: LayersReader, config: LayerConfig) => void;

/** Reads one layer; what it does not support is an error. */
export function readLayer(reader: LayersReader, layer: LayerJson): void {
  const { className } = layer;
  const read = LAYER_READERS.get(className);
  if (read === undefined) {
    const computing = [...LAYER_READERS].filter(([, read]) => read !== skip);
    const supported = computing.map(([name]) => name).join(", ");
    throw new TypeError(`the layer is not supported; supported are ${supported}, and Dropout`);
  }
  const config = new LayerConfig(layer.config);
  if (read === skip) return reader.skip(className, config.name);
  reader.begin(layer);
  const mayFollow = ["Conv2D", "InputLayer", "Identity"];
  if (reader.padding !== NO_PADDING && !mayFollow.includes(className)) {
    throw new TypeError("only Conv2D may follow a ZeroPadding2D");
  }
  if (className !== "InputLayer") readType(reader, config);
  read(reader, config);
  config.finish();
}

/** The type that a layer computes in. */
function readType({ builder }: LayersReader, config: LayerConfig): void {
  const value = config.value("dtype") ?? "float32";
  const { name = value } = Object(Object(value).config);
  if (name === "float32") return;
  if (!/^(mixed_)?b?float\d\d$/.test(String(name))) {
    throw new TypeError(`dtype must be "float32", found ${quote(name)}`);
  }
  builder.note(`its layers compute in ${name}, here in float32`);
}

/** Adds an activation, which a file may give by name, as a function or as a layer. */
function readActivation(reader: LayersReader, value: unknown): void {
  const { class_name: className, config } = Object(value);
  if (["ReLU", "Softmax", "Activation"].includes(className)) {
    return readLayer(reader, { className, config: Object(config), path: [], stored: "" });
  }
  const name = className === "function" ? config : value ?? "linear";
  const { builder } = reader;
  if (name === "linear") return;
  if (name === "softmax" || name === "log_softmax") builder.softmax();
  else if (["sigmoid", "tanh", "relu"].includes(name)) {
    builder.add({ type: name as ActivationSpec["type"] });
  } else throw new TypeError(`activation ${quote(name)} is not supported`);
}

/** Marks layers that do nothing at inference, whatever their attributes. */
function skip(): void {}

/** By `class_name`. */
const LAYER_READERS: ReadonlyMap<string, LayerReader> = new Map<string, LayerReader>([
  ["InputLayer", readInput],
  ["Rescaling", readRescaling],
  ["Normalization", readNormalization],
  ["Conv2D", readConv2d],
  ["AveragePooling2D", (reader, config) => readPool(reader, config, "avgPool2d")],
  ["MaxPooling2D", (reader, config) => readPool(reader, config, "maxPool2d")],
  ["GlobalAveragePooling2D", (reader, config) => readGlobalPool(reader, config, "avgPool2d")],
  ["GlobalMaxPooling2D", (reader, config) => readGlobalPool(reader, config, "maxPool2d")],
  ["ZeroPadding2D", readZeroPadding2d],
  ["BatchNormalization", readBatchNormalization],
  ["Permute", readPermute],
  ["Flatten", readFlatten],
  ["Reshape", readReshape],
  ["Dense", readDense],
  ["Activation", (reader, config) => readActivation(reader, config.value("activation"))],
  ["ReLU", readRelu],
  ["Softmax", readSoftmax],
  ["Identity", () => {}],
  ["Dropout", skip],
  ["SpatialDropout2D", skip],
  ["AlphaDropout", skip],
  ["GaussianDropout", skip],
  ["GaussianNoise", skip],
  ["ActivityRegularization", skip],
  ["RandomFlip", skip],
  ["RandomRotation", skip],
  ["RandomTranslation", skip],
  ["RandomZoom", skip],
  ["RandomContrast", skip],
  ["RandomBrightness", skip],
]);

/** The shape has been read, unless it is that of a model within; whole numbers are bytes. */
function readInput(reader: LayersReader, config: LayerConfig): void {
  const { builder, sizes } = reader;
  config.require("sparse", false);
  config.require("ragged", false);
  config.ignore("optional");
  const [, ...expected] = [config.value("batch_input_shape") ?? config.value("batch_shape")].flat();
  if (expected.some((size, n) => size !== null && size !== sizes[n])) {
    throw new TypeError(`it must take ${showShape(sizes)}, found ${quote(expected)}`);
  }
  if (/^u?int\d+$/.test(String(config.value("dtype")))) {
    reader.scale([255], [0]);
    builder.note("its input is whole numbers: pixels are taken as 0 to 255");
  }
}

function readRescaling(reader: LayersReader, config: LayerConfig): void {
  const [scale, offset] = (["scale", "offset"] as const).map((key) => {
    const numbers = [config.value(key) ?? (key === "offset" ? 0 : undefined)].flat();
    if (numbers.length > 0 && numbers.every((value) => typeof value === "number")) return numbers;
    throw new TypeError(`its ${key} must be a number, or one for each channel`);
  });
  if (scale.length + offset.length > 2) requireLastAxis(reader, -1);
  reader.scale(scale, offset);
}

/** (x - mean) / sqrt(variance), as measured on the training set or as given. */
function readNormalization(reader: LayersReader, config: LayerConfig): void {
  config.require("invert", false);
  const numbers = (key: string) => {
    const taken = reader.takeIfThere(config, key)?.data;
    const given = config.value(key);
    const found = taken ?? (given === undefined ? [] : [given].flat(Infinity));
    const values = Array.from(found, Number);
    if (values.length > 0 && values.every(Number.isFinite)) return values;
    throw new TypeError(`its ${key} must be numbers, in the file's weights or attributes`);
  };
  const [mean, variance] = [numbers("mean"), numbers("variance")];
  reader.takeIfThere(config, "count");
  const axis = config.value("axis");
  if (mean.length > 1) requireLastAxis(reader, axis);
  const scale = variance.map((value) => 1 / Math.max(Math.sqrt(value), 1e-7));
  reader.scale(scale, mean.map((value, n) => -value * (scale[n] ?? scale[0])));
}

function readConv2d(reader: LayersReader, config: LayerConfig): void {
  const { builder, padding: added } = reader;
  const image = reader.requireImage(config);
  config.require("dilation_rate", 1);
  config.require("groups", 1);
  const stride = config.pair("strides", 1);
  const kernel = reader.take(config, "kernel", 4);
  const [height, width, inChannels, outChannels] = kernel.shape;
  const windowSize: Pair = [height, width];
  config.require("filters", outChannels);
  if (!isSame(config.pair("kernel_size", windowSize), windowSize)) {
    throw new TypeError(`its kernel_size is not that of its kernel, ${showShape(kernel.shape)}`);
  }
  const size = [0, 1].map((axis) => image[axis + 1] + added[axis][0] + added[axis][1]);
  const own = paddingOf(config, { size, windowSize, stride });
  const sides = [0, 1].map((axis) => [0, 1].map((end) => added[axis][end] + own[axis][end]));
  const { kernelSize, padding, weight } = evenSides(
    swapAxes(kernel.data, height * width, inChannels),
    { windowSize, sides: sides as unknown as [Sides, Sides] },
  );
  if (!isSame(kernelSize, windowSize)) {
    builder.note(
      `${quote(config.name)} has a kernel of ${kernelSize.join("x")} instead of ` +
        `${windowSize.join("x")}, with zeros at one side, since one side is padded more`,
    );
  }
  reader.padding = NO_PADDING;
  builder.add(
    { type: "conv2d", name: config.name, inChannels, outChannels, kernelSize, stride, padding },
    { weight, bias: biasOf(reader, config) },
  );
  readActivation(reader, config.value("activation"));
}

function biasOf(reader: LayersReader, config: LayerConfig): Float32Array | undefined {
  return config.flag("use_bias", true) ? reader.take(config, "bias", 1).data : undefined;
}

function readPool(
  reader: LayersReader,
  config: LayerConfig,
  type: "avgPool2d" | "maxPool2d",
): void {
  const [, ...size] = reader.requireImage(config);
  const poolSize = config.pair("pool_size", 2);
  const stride = config.pair("strides", poolSize);
  const sides = paddingOf(config, { size, windowSize: poolSize, stride });
  if (sides.flat().some((rows) => rows > 0)) {
    throw new TypeError(
      `'same' padding of a pooling layer is supported where it adds nothing: windows of ` +
        `${poolSize.join("x")} with stride ${stride.join("x")} over ${size.join("x")} add to it`,
    );
  }
  reader.builder.add({ type, poolSize, stride });
}

/** A pooling of all rows and columns, which then are no more. */
function readGlobalPool(
  reader: LayersReader,
  config: LayerConfig,
  type: "avgPool2d" | "maxPool2d",
): void {
  const [, ...poolSize] = reader.requireImage(config);
  reader.builder.add({ type, poolSize, stride: poolSize });
  if (!config.flag("keepdims", false)) reader.flatten();
}

function readZeroPadding2d(reader: LayersReader, config: LayerConfig): void {
  reader.requireImage(config);
  const value = config.value("padding") ?? 1;
  const [rows, columns, ...more] = Array.isArray(value) ? value : [value, value];
  const sides = [rows, columns].map((side) => Array.isArray(side) ? side : [side, side]);
  const isValid = more.length === 0 && sides.every(({ length }) => length === 2) &&
    sides.flat().every((size) => Number.isSafeInteger(size) && size >= 0);
  if (!isValid) throw new TypeError(`its padding must be whole numbers, found ${quote(value)}`);
  if (sides.flat().some((size) => size > 0)) reader.padding = sides as unknown as [Sides, Sides];
}

/** Multiplies and adds as it does once trained: with its moving mean and variance. */
function readBatchNormalization(reader: LayersReader, config: LayerConfig): void {
  requireLastAxis(reader, config.value("axis") ?? -1);
  const epsilon = config.number("epsilon", 1e-3);
  const part = (name: string) => reader.take(config, name, 1).data;
  const gamma = config.flag("scale", true) ? part("gamma") : undefined;
  const beta = config.flag("center", true) ? part("beta") : undefined;
  const [mean, variance] = [part("moving_mean"), part("moving_variance")];
  config.require("renorm", false);
  config.ignore("momentum", "synchronized", "fused", "renorm_clipping", "renorm_momentum");
  const scale = Array.from(variance, (value, n) => (gamma?.[n] ?? 1) / Math.sqrt(value + epsilon));
  const offset = Array.from(mean, (value, n) => (beta?.[n] ?? 0) - value * scale[n]);
  reader.scale(scale, offset, `BatchNormalization ${quote(config.name)}`);
}

/** Demands that an axis, counted with the batch, is that of the channels or of the features. */
function requireLastAxis({ builder, axes, sizes }: LayersReader, axis: unknown): void {
  const [place, ...more] = [axis].flat().map(Number);
  const index = place < 0 ? place + sizes.length : place - 1;
  if (more.length === 0 && (builder.shape.length === 1 ? index === 0 : axes[index] === 0)) return;
  throw new TypeError(`axis must be that of the channels, found ${quote(axis)}`);
}

function readPermute(reader: LayersReader, config: LayerConfig): void {
  const dims = config.value("dims");
  const { axes, builder } = reader;
  const isOrder = Array.isArray(dims) && builder.shape.length === 3 &&
    isSame(dims.toSorted(), axes.map((_, n) => n + 1));
  if (!isOrder) throw new TypeError(`dims ${quote(dims)} do not fit ${showShape(reader.sizes)}`);
  reader.axes = dims.map((dim) => axes[dim - 1]);
}

function readFlatten(reader: LayersReader, config: LayerConfig): void {
  const format = config.value("data_format") ?? "channels_last";
  const [first, ...rest] = reader.axes;
  if (format === "channels_last") reader.flatten();
  // Keras takes the first axis for the channels, whatever it is, and brings it to the end.
  else if (format === "channels_first") reader.flatten([...rest, first]);
  else throw new TypeError(`data_format ${quote(format)} is not supported`);
}

/** Accepted where it makes a vector, or adds or drops the axis of the one channel. */
function readReshape(reader: LayersReader, config: LayerConfig): void {
  const { axes, sizes, builder } = reader;
  const target = requireTarget(config.value("target_shape"), sizes);
  if (target.length === 1) return reader.flatten();
  const { shape } = builder;
  const longer = (order: readonly number[]) => order.filter((axis) => shape[axis] > 1);
  const order = shape.length === 1 ? undefined : [CHANNELS_LAST, CHANNELS_FIRST, NO_CHANNELS].find(
    (each) => isSame(each.map((axis) => shape[axis]), target) && isSame(longer(each), longer(axes)),
  );
  if (order === undefined) {
    throw new TypeError(`it makes ${showShape(target)} of ${showShape(sizes)}: not supported`);
  }
  reader.axes = order;
}

/** The sizes that a Reshape makes of as many numbers; -1 is what is left. */
export function requireTarget(target: unknown, sizes: Shape): number[] {
  const product = (list: readonly number[]) => list.reduce((result, size) => result * size, 1);
  const list: number[] = Array.isArray(target) ? target : [];
  const known = product(list.filter((size) => size !== -1));
  const full = list.map((size) => size === -1 ? product(sizes) / known : size);
  const isWhole = full.every((size) => Number.isSafeInteger(size) && size >= 1);
  if (list.length > 0 && isWhole && product(full) === product(sizes)) return full;
  throw new TypeError(`its target_shape ${quote(target)} does not fit ${showShape(sizes)}`);
}

function readDense(reader: LayersReader, config: LayerConfig): void {
  const { builder } = reader;
  const { shape: [inputs, outputs], data } = reader.take(config, "kernel", 2);
  if (builder.shape.length !== 1) {
    throw new TypeError("its input must be a vector; put Flatten before it");
  }
  if (builder.shape[0] !== inputs) {
    throw new TypeError(`its kernel must have ${builder.shape[0]} rows, found ${inputs}`);
  }
  config.require("units", outputs);
  builder.add(
    { type: "linear", name: config.name, outFeatures: outputs },
    { weight: swapAxes(data, inputs, 1), bias: biasOf(reader, config) },
  );
  readActivation(reader, config.value("activation"));
}

function readRelu(reader: LayersReader, config: LayerConfig): void {
  config.require("negative_slope", 0);
  config.require("threshold", 0);
  readActivation(reader, "relu");
}

function readSoftmax(reader: LayersReader, config: LayerConfig): void {
  requireLastAxis(reader, config.value("axis") ?? -1);
  readActivation(reader, "softmax");
}

interface Windows {
  readonly size: readonly number[];
  readonly windowSize: Pair;
  readonly stride: Pair;
}

function paddingOf(config: LayerConfig, { size, windowSize, stride }: Windows): [Sides, Sides] {
  const padding = config.value("padding") ?? "valid";
  if (padding !== "same" && padding !== "valid") {
    throw new TypeError(`padding ${quote(padding)} is not supported`);
  }
  const sides = (axis: 0 | 1): Sides =>
    padding === "same" ? sidesOfSame(size[axis], windowSize[axis], stride[axis]) : [0, 0];
  return [sides(0), sides(1)];
}
