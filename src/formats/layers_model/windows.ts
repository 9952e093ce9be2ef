/** The layers of Keras that move windows over an image: convolutions, poolings, and zeros around it. */

import type { Pair } from "../../nn/layers.ts";
import type { Conv2dLayer, Pool2dLayer } from "../../nn/sequential.ts";
import { quote } from "../../quote.ts";
import type { Attributes } from "../attributes.ts";
import { NO_PADDING, type Sides } from "../value.ts";
import type { Tensor } from "../safetensors/file.ts";
import { permuted } from "../tensors.ts";
import { addConv2d, addPool2d, type Padding, sidesOf } from "../windows.ts";
import {
  biasOf,
  FORMAT,
  type KerasClass,
  kernelAndBias,
  type Node,
  NoKerasLayerError,
  requireImage,
  weighted,
  type Written,
  type WrittenLayer,
} from "./classes.ts";

/** Keras pads by 'same' or 'valid' only: other paddings become a layer of their own. TensorFlow.js knows
 * no groups but of one channel each: others become a kernel with zeros between the groups. */
export const CONV2D: Written<Conv2dLayer> = {
  className: "Conv2D",
  activates: true,
  read(node) {
    requireImage(node);
    const whole = permuted(node.take("kernel", 4), [3, 2, 0, 1]);
    const parted = node.groups === undefined ? undefined : withGroups(whole, node.groups);
    const weight = parted ?? whole;
    node.attributes.require("filters", weight.shape[0]);
    const groups = node.attributes.number("groups", 1) * (parted ? node.groups! : 1);
    readConvolution(node, weight, groups);
  },
  write(layer) {
    const { inputShape: [inChannels], outputShape, kernelSize, stride, padding, groups } = layer;
    const isSame = [0, 1].every((axis) =>
      stride[axis] === 1 && kernelSize[axis] === 2 * padding[axis] + 1
    );
    const isDepthwise = groups === inChannels && groups > 1 && stride[0] === stride[1];
    const multiplier = outputShape[0] / groups;
    const kernel = isDepthwise ? "depthwise" : "kernel";
    return {
      ...(isDepthwise && { className: "DepthwiseConv2D" }),
      config: {
        ...(isDepthwise ? { depth_multiplier: multiplier } : { filters: outputShape[0] }),
        ...{ kernel_size: kernelSize, strides: stride, ...FORMAT },
        ...{ padding: isSame ? "same" : "valid", dilation_rate: [1, 1] },
        ...weighted(layer, kernel),
      },
      weights: ([{ shape, data }, ...bias]) =>
        isDepthwise
          ? kernelAndBias([2, 3, 0, 1], "depthwise_kernel")([
            { shape: [groups, multiplier, ...shape.slice(2)], data },
            ...bias,
          ])
          : kernelAndBias([2, 3, 1, 0])([withoutGroups({ shape, data }, groups), ...bias]),
      ...(!isSame && padding.some((size) => size > 0) && { before: zeroPadding(padding) }),
    };
  },
};

/** A convolution of each channel by itself. */
export const DEPTHWISE_CONV2D: KerasClass = {
  activates: true,
  read(node) {
    requireImage(node);
    const { data, shape } = permuted(node.take("depthwise_kernel", 4), [2, 3, 0, 1]);
    const [groups, multiplier, ...size] = shape;
    node.attributes.require("depth_multiplier", multiplier);
    node.attributes.require("groups", 1);
    node.attributes.ignore("filters");
    readConvolution(node, { shape: [groups * multiplier, 1, ...size], data }, groups);
  },
};

function readConvolution(node: Node, weight: Tensor, groups: number): void {
  const { name, network, attributes } = node;
  const [, , height, width] = weight.shape;
  attributes.require("dilation_rate", 1);
  const stride = attributes.pair("strides", 1);
  const kernelSize = attributes.pair("kernel_size", [height, width]);
  const padding = paddingOf(attributes);
  const bias = biasOf(node);
  addConv2d(network, { name, kernelSize, stride, padding, groups, weight, bias });
}

/** A kernel [out, in / groups, height, width] as one over all channels. */
function withoutGroups({ shape, data }: Tensor, groups: number): Tensor {
  const [outChannels, groupIn, ...size] = shape;
  const length = data.length / outChannels;
  const whole = new Float32Array(data.length * groups);
  for (let out = 0; out < outChannels; out++) {
    const group = Math.floor(out * groups / outChannels);
    whole.set(data.subarray(out * length, (out + 1) * length), (out * groups + group) * length);
  }
  return { shape: [outChannels, groupIn * groups, ...size], data: whole };
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

/** A pooling of windows. */
export function pooling(
  className: string,
  type: "avgPool2d" | "maxPool2d",
): Written<Pool2dLayer> {
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
export function globalPooling(type: "avgPool2d" | "maxPool2d"): KerasClass {
  return {
    read(node) {
      requireImage(node);
      addPool2d(node.network, type);
      if (!node.attributes.flag("keepdims", false)) node.network.flatten();
    },
  };
}

/** Zeros around an image. */
export const ZERO_PADDING2D: KerasClass = {
  read(node) {
    requireImage(node);
    const value = node.attributes.value("padding") ?? 1;
    const [rows, columns, ...more] = Array.isArray(value) ? value : [value, value];
    const sides = [rows, columns].map((side) => Array.isArray(side) ? side : [side, side]);
    const isValid = more.length === 0 && sides.every(({ length }) => length === 2) &&
      sides.flat().every((size) => Number.isSafeInteger(size) && size >= 0);
    if (!isValid) throw new TypeError(`its padding must be whole numbers, found ${quote(value)}`);
    node.network.pad(sides as unknown as [Sides, Sides]);
  },
};

function zeroPadding(padding: Pair): WrittenLayer["before"] {
  const config = { padding: padding.map((size) => [size, size]), ...FORMAT };
  return { className: "ZeroPadding2D", suffix: "padding", config };
}

function paddingOf(attributes: Attributes): Padding {
  const padding = attributes.value("padding") ?? "valid";
  if (padding === "valid") return NO_PADDING;
  if (padding === "same") return padding;
  throw new TypeError(`padding ${quote(padding)} is not supported`);
}
