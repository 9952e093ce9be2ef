/** The layers of Keras and TensorFlow.js: those that are written, and all that are read. */

import type { ActivationSpec } from "../../nn/layers.ts";
import { volume } from "../../nn/layers/layer.ts";
import type { LayerOf } from "../../nn/layers/table.ts";
import {
  type ActivationLayer,
  type Layer,
  type LayerKind,
  type Shape,
  showShape,
} from "../../nn/sequential.ts";
import { quote } from "../../quote.ts";
import { addSum, scaleOutputs } from "../arithmetic.ts";
import { Attributes } from "../attributes.ts";
import type { NetworkBuilder } from "../network_builder.ts";
import { decimalOf } from "../tensors.ts";
import {
  FORMAT,
  isChannelsLast,
  type KerasClass,
  type Node,
  requireChannels,
  type Written,
  type WrittenLayer,
} from "./classes.ts";
import { BATCH_NORM, DENSE, NORMALIZATION, RESCALING } from "./arithmetic.ts";
import type { LayerJson } from "./topology.ts";
import type { ModelWeights } from "./weights.ts";
import { CONV2D, DEPTHWISE_CONV2D, globalPooling, pooling, ZERO_PADDING2D } from "./windows.ts";

const ACTIVATION: Written<ActivationLayer> = {
  className: "Activation",
  activates: true,
  read: () => {},
  write: ({ type }) => ({ config: { activation: type } }),
};

/** By the kind of layer. */
const KINDS: { readonly [Kind in LayerKind]: Written<LayerOf<Kind>> } = {
  conv2d: CONV2D,
  avgPool2d: pooling("AveragePooling2D", "avgPool2d"),
  maxPool2d: pooling("MaxPooling2D", "maxPool2d"),
  globalAvgPool2d: {
    className: "GlobalAveragePooling2D",
    ...globalPooling("avgPool2d"),
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
    read({ network, attributes }) {
      const [first, ...rest] = network.axes;
      // Keras takes the first axis for the channels, whatever it is, and brings it to the end.
      network.flatten(isChannelsLast(attributes) ? network.axes : [...rest, first]);
    },
    // Its Flatten takes no vectors.
    write: ({ inputShape, outputShape }) =>
      inputShape.length === 1 ? { className: "Reshape", config: { target_shape: outputShape } } : {
        before: { className: "Permute", suffix: "channels_first", config: { dims: [3, 1, 2] } },
        config: {},
      },
  },
  linear: DENSE,
  residual: {
    className: "Add",
    adds: true,
    read({ network, others }) {
      if (others.length === 0) throw new TypeError("it must take two inputs or more");
      for (const other of others) addSum(network, other);
    },
    write: () => ({ config: {} }),
  },
};

/** A layer as Keras writes it. */
export function writeLayer(layer: Layer): WrittenLayer & { readonly className: string } {
  const { className, write }: Written<Layer> = KINDS[layer.type];
  return { className, ...write(layer) };
}

/** Layers that change nothing once trained, whatever their attributes. */
const LEFT_OUT: readonly string[] = [
  ...["SpatialDropout2D", "AlphaDropout", "GaussianDropout", "GaussianNoise"],
  ...["ActivityRegularization", "RandomFlip", "RandomRotation", "RandomTranslation"],
  ...["RandomZoom", "RandomContrast", "RandomBrightness"],
];

/** By `class_name`. */
const CLASSES: ReadonlyMap<string, KerasClass> = new Map<string, KerasClass>([
  ...Object.values<Written<never>>(KINDS).map((row) => [row.className, row] as const),
  ["InputLayer", {
    read({ network, attributes }) {
      attributes.require("sparse", false);
      attributes.require("ragged", false);
      attributes.ignore("optional");
      if (/^u?int\d+$/.test(String(attributes.value("dtype")))) {
        scaleOutputs(network, [255], [0]);
        network.note("its input is whole numbers: pixels are taken as 0 to 255");
      }
    },
  }],
  ["Rescaling", RESCALING],
  ["Normalization", NORMALIZATION],
  ["GlobalMaxPooling2D", globalPooling("maxPool2d")],
  ["ZeroPadding2D", ZERO_PADDING2D],
  ["DepthwiseConv2D", DEPTHWISE_CONV2D],
  ["Permute", {
    read({ network, attributes }) {
      const dims = attributes.list("dims") ?? [];
      const { sizes } = network;
      if (dims.toSorted().join() !== [...sizes.keys()].map((n) => n + 1).join()) {
        throw new TypeError(`dims ${quote(dims)} do not fit ${showShape(sizes)}`);
      }
      network.transpose(dims.map((dim) => dim - 1));
    },
  }],
  ["Reshape", {
    read({ network, attributes }) {
      const target = targetOf(attributes.value("target_shape"), network.sizes);
      if (target.length === 1) network.flatten();
      else network.reshape(target);
    },
  }],
  ["ReLU", {
    read({ network, attributes }) {
      const negativeSlope = decimalOf(attributes.number("negative_slope", 0));
      attributes.require("threshold", 0);
      network.add(negativeSlope === 0 ? { type: "relu" } : { type: "leakyRelu", negativeSlope });
    },
  }],
  ["Softmax", {
    read({ network, attributes }) {
      requireChannels(network, attributes.value("axis") ?? -1);
      network.softmax();
    },
  }],
  ["Identity", { read: () => {} }],
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
  const known = CLASSES.get(className);
  if (known === undefined) {
    const supported = [...CLASSES.keys()].join(", ");
    throw new TypeError(`the layer is not supported; supported are ${supported}`);
  }
  if (others.length > 0 && !known.adds) {
    throw new TypeError("it takes more than one input: only Add may");
  }
  const attributes = attributesOf(config);
  if (className === "InputLayer") readInputShape(network, config);
  else readType(network, attributes);
  const node = { name, network, others, attributes, take: weights.of(layer), groups };
  known.read(node);
  if (known.activates) readActivation(node);
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

/** Adds an activation, which a file may give by name, as a function or as a layer. */
function readActivation(node: Node): void {
  const value = node.attributes.value("activation");
  const { class_name: className, config } = Object(value);
  if (["ReLU", "Softmax", "Activation"].includes(className)) {
    const attributes = attributesOf(Object(config));
    const within = { ...node, attributes };
    readType(node.network, attributes);
    if (className === "Activation") readActivation(within);
    else CLASSES.get(className)!.read(within);
    return attributes.finish();
  }
  const name = className === "function" ? config : value ?? "linear";
  if (name === "linear") return;
  if (name === "softmax" || name === "log_softmax") node.network.softmax();
  else if (["sigmoid", "tanh", "relu"].includes(name)) {
    node.network.add({ type: name as ActivationSpec["type"] });
  } else throw new TypeError(`activation ${quote(name)} is not supported`);
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
