/** The layers of TensorFlow.js that are read, and what they become: channels first, [out, in]. */

import type { ActivationSpec, Pair } from "../nn/layers.ts";
import { type ImageShape, type Shape, showShape } from "../nn/sequential.ts";
import { quote } from "../quote.ts";
import { NetworkBuilder, samePadding } from "./network_builder.ts";
import type { Tensor } from "./safetensors.ts";
import type { TrainedModel } from "./trained_model.ts";

type Config = Readonly<Record<string, unknown>>;

const ACTIVATIONS: readonly unknown[] = ["sigmoid", "tanh", "relu"];

/** Reads layers one after the other, and remembers what the next one needs to know. */
export class LayersReader {
  readonly builder: NetworkBuilder;
  readonly #weights: Map<string, Tensor>;
  /** Rows and columns of zeros that a ZeroPadding2D adds for the convolution behind it. */
  padding: Pair = [0, 0];
  /** Whether a Permute has brought the channels to the front for the Flatten behind it. */
  channelsFirst = false;
  /** Shape of the image whose pixels a Flatten has left in channels-last order. */
  #flattened: ImageShape | undefined;
  #ended = false;

  /** Takes all weights by their name. */
  constructor(inputShape: ImageShape, weights: ReadonlyMap<string, Tensor>) {
    this.builder = new NetworkBuilder(inputShape);
    this.#weights = new Map(weights);
  }

  /** Checks that a layer of this class may come next. */
  begin(className: string): void {
    if (className === "Dropout") return;
    if (this.#ended) throw new TypeError("nothing may follow a softmax");
    if (this.padding.some((size) => size > 0) && className !== "Conv2D") {
      throw new TypeError("only Conv2D may follow a ZeroPadding2D");
    }
    if (this.channelsFirst && className !== "Flatten" && className !== "Reshape") {
      throw new TypeError("only Flatten may follow a Permute");
    }
  }

  /** Takes one of a layer's weights, of a certain number of dimensions. */
  take({ name }: Config, part: "kernel" | "bias", rank: number): Tensor {
    const ending = `${name}/${part}`;
    const found = [...this.#weights.keys()]
      .filter((key) => key === ending || key.endsWith(`/${ending}`));
    const tensor = this.#weights.get(found[0]);
    if (found.length !== 1 || tensor?.shape.length !== rank) {
      throw new TypeError(
        `expected one weight ${quote(ending)} of ${rank} dimensions, found ` +
          (found.length === 1 ? showShape(tensor!.shape) : String(found.length)),
      );
    }
    this.#weights.delete(found[0]);
    return tensor;
  }

  /** Flattens, in the order that the file says. */
  flatten(): void {
    const { shape } = this.builder;
    if (shape.length === 3 && !this.channelsFirst) this.#flattened = requireImage(shape);
    this.channelsFirst = false;
    this.builder.add({ type: "flatten" });
  }

  /** Adds a Dense layer, its inputs in channels-first order. */
  dense(name: string, { shape: [inputs, outputs], data }: Tensor, bias?: Float32Array): void {
    const { shape } = this.builder;
    if (shape.length !== 1) {
      throw new TypeError("its input must be a vector; put Flatten before it");
    }
    if (shape[0] !== inputs) throw new TypeError(`its kernel must have ${shape[0]} rows`);
    const [channels, ...size] = this.#flattened ?? [inputs, 1, 1];
    const area = size[0] * size[1];
    const weight = new Float32Array(data.length);
    for (let input = 0; input < inputs; input++) {
      const row = (input % area) * channels + Math.floor(input / area);
      for (let output = 0; output < outputs; output++) {
        weight[output * inputs + input] = data[row * outputs + output];
      }
    }
    this.#flattened = undefined;
    this.builder.add({ type: "linear", name, outFeatures: outputs }, { weight, bias });
  }

  /** Adds an activation; a softmax ends the network, since the logits are its input. */
  activation(name: unknown): void {
    if (name === undefined || name === null || name === "linear") return;
    if (name === "softmax" && this.builder.shape.length === 1) this.#ended = true;
    else if (ACTIVATIONS.includes(name)) this.builder.add({ type: name as ActivationSpec["type"] });
    else throw new TypeError(`activation ${quote(name)} is not supported`);
  }

  /** Ends the network; every weight must have been taken. */
  finish(name: string): TrainedModel {
    const [left] = this.#weights.keys();
    if (left !== undefined) throw new TypeError(`weight ${quote(left)} belongs to no layer`);
    const [channels, height, width] = this.#flattened ?? [1, 1, 1];
    if (channels > 1 && height * width > 1) {
      throw new TypeError(
        "its logits are pixels in channels-last order: a Dense layer must follow",
      );
    }
    return this.builder.finish(name);
  }
}

/** By `class_name`. */
export const LAYER_READERS: ReadonlyMap<string, (reader: LayersReader, config: Config) => void> =
  new Map<string, (reader: LayersReader, config: Config) => void>([
    ["InputLayer", () => {}],
    ["Rescaling", readRescaling],
    ["Conv2D", readConv2d],
    ["AveragePooling2D", (reader, config) => readPool(reader, config, "avgPool2d")],
    ["MaxPooling2D", (reader, config) => readPool(reader, config, "maxPool2d")],
    ["ZeroPadding2D", readZeroPadding2d],
    ["Permute", readPermute],
    ["Flatten", (reader) => reader.flatten()],
    ["Reshape", readReshape],
    ["Dense", readDense],
    ["Activation", (reader, { activation }) => reader.activation(activation)],
    ["ReLU", readRelu],
    ["Softmax", (reader) => reader.activation("softmax")],
    ["Dropout", () => {}],
  ]);

function readRescaling({ builder }: LayersReader, { scale, offset }: Config): void {
  if (typeof scale !== "number" || typeof (offset ?? 0) !== "number") {
    throw new TypeError("its scale and offset must be numbers");
  }
  builder.rescale(scale, Number(offset ?? 0));
}

function readConv2d(reader: LayersReader, config: Config): void {
  const { builder } = reader;
  requireChannelsLast(config);
  if (pairOf(config, "dilation_rate", 1).some((rate) => rate !== 1)) {
    throw new TypeError("dilation_rate must be 1");
  }
  if (Number(config.groups ?? 1) !== 1) throw new TypeError("groups must be 1");
  const image = requireImage(builder.shape);
  const stride = pairOf(config, "strides", 1);
  const { shape: [height, width, inChannels, outChannels], data } = reader.take(
    config,
    "kernel",
    4,
  );
  const kernelSize: Pair = [height, width];
  const padding = paddingOf(config, { image, windowSize: kernelSize, stride });
  const area = height * width;
  const weight = Float32Array.from(data, (_, n) => {
    const [tap, channel] = [n % area, Math.floor(n / area)];
    const [output, input] = [Math.floor(channel / inChannels), channel % inChannels];
    return data[(tap * inChannels + input) * outChannels + output];
  });
  const bias = config.use_bias === false ? undefined : reader.take(config, "bias", 1).data;
  const added = reader.padding;
  reader.padding = [0, 0];
  builder.add({
    type: "conv2d",
    name: String(config.name),
    inChannels,
    outChannels,
    kernelSize,
    stride,
    padding: [padding[0] + added[0], padding[1] + added[1]],
  }, { weight, bias });
  reader.activation(config.activation);
}

function readPool(reader: LayersReader, config: Config, type: "avgPool2d" | "maxPool2d"): void {
  requireChannelsLast(config);
  const image = requireImage(reader.builder.shape);
  const poolSize = pairOf(config, "pool_size");
  const stride = config.strides == null ? poolSize : pairOf(config, "strides");
  if (paddingOf(config, { image, windowSize: poolSize, stride }).some((size) => size > 0)) {
    throw new TypeError("'same' padding of a pooling layer is supported where it adds nothing");
  }
  reader.builder.add({ type, poolSize, stride });
}

function readZeroPadding2d(reader: LayersReader, config: Config): void {
  requireChannelsLast(config);
  const { padding } = config;
  const sides = Array.isArray(padding) ? padding.map((side) => [side].flat()) : [];
  const isAlike = sides.length === 2 &&
    sides.every((side) => Number.isSafeInteger(side[0]) && side.every((size) => size === side[0]));
  if (!isAlike) {
    throw new TypeError(`its padding must be the same at both sides, found ${quote(padding)}`);
  }
  reader.padding = [sides[0][0], sides[1][0]];
}

function readPermute(reader: LayersReader, { dims }: Config): void {
  if (JSON.stringify(dims) !== "[3,1,2]" || reader.builder.shape.length !== 3) {
    throw new TypeError(`dims must be [3,1,2], found ${quote(dims)}`);
  }
  reader.channelsFirst = true;
}

/** Accepted where it does what Flatten does. */
function readReshape(reader: LayersReader, { target_shape: target }: Config): void {
  const features = reader.builder.shape.reduce((product, size) => product * size, 1);
  if (JSON.stringify(target) !== `[${features}]` && JSON.stringify(target) !== "[-1]") {
    throw new TypeError(`it must make vectors of ${features}, found ${quote(target)}`);
  }
  reader.flatten();
}

function readDense(reader: LayersReader, config: Config): void {
  const kernel = reader.take(config, "kernel", 2);
  const bias = config.use_bias === false ? undefined : reader.take(config, "bias", 1).data;
  reader.dense(String(config.name), kernel, bias);
  reader.activation(config.activation);
}

function readRelu(reader: LayersReader, config: Config): void {
  const { max_value: limit, negative_slope: slope, threshold } = config;
  if (limit != null || Number(slope ?? 0) !== 0 || Number(threshold ?? 0) !== 0) {
    throw new TypeError("max_value, negative_slope and threshold are not supported");
  }
  reader.activation("relu");
}

/** An object of a file, whatever is in it.
 *
 * @throws {TypeError} If it is none.
 */
export function requireObject(value: unknown, what: string): Config {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Config;
  throw new TypeError(`${what} must be an object, found ${quote(value)}`);
}

function requireChannelsLast({ data_format: format }: Config): void {
  if (format == null || format === "channels_last") return;
  throw new TypeError(`data_format must be "channels_last", found ${quote(format)}`);
}

function requireImage(shape: Shape): ImageShape {
  if (shape.length === 3) return [shape[0], shape[1], shape[2]];
  throw new TypeError("its input must be an image");
}

function pairOf(config: Config, key: string, fallback?: number): Pair {
  const value = config[key] ?? fallback;
  const [height, width, ...more] = Array.isArray(value) ? value : [value, value];
  const isPair = more.length === 0 &&
    [height, width].every((size) => Number.isSafeInteger(size) && size >= 1);
  if (isPair) return [height, width];
  throw new TypeError(`${key} must be two whole numbers, found ${quote(value)}`);
}

interface Windows {
  readonly image: ImageShape;
  readonly windowSize: Pair;
  readonly stride: Pair;
}

function paddingOf({ padding }: Config, { image, windowSize, stride }: Windows): Pair {
  if (padding === "valid" || padding == null) return [0, 0];
  if (padding !== "same") throw new TypeError(`padding ${quote(padding)} is not supported`);
  const same = (axis: 0 | 1) => samePadding(image[axis + 1], windowSize[axis], stride[axis]);
  return [same(0), same(1)];
}
