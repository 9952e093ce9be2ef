/** Layer specs: what a layer is, before it knows its input. */

/** Height and width of a kernel, stride or padding. */
export type Pair = readonly [height: number, width: number];

/** One number for both directions, or a pair. */
export type PairLike = number | Pair;

/** A two-dimensional cross-correlation with bias; see {@linkcode conv2d}. */
export interface Conv2dSpec {
  /** Which layer this is. */
  readonly type: "conv2d";
  /** Name of the layer; default: its index. */
  readonly name?: string;
  /** Checked against the input if given. */
  readonly inChannels?: number;
  /** Number of kernels. */
  readonly outChannels: number;
  /** Height and width of the kernel. */
  readonly kernelSize: Pair;
  /** Distance between neighbouring windows. */
  readonly stride: Pair;
  /** Rows and columns of zeros at each side. */
  readonly padding: Pair;
}

/** Average or maximum over windows; see {@linkcode avgPool2d} and {@linkcode maxPool2d}. */
export interface Pool2dSpec {
  /** Which layer this is. */
  readonly type: "avgPool2d" | "maxPool2d";
  /** Name of the layer; default: its index. */
  readonly name?: string;
  /** Height and width of a window. */
  readonly poolSize: Pair;
  /** Distance between neighbouring windows. */
  readonly stride: Pair;
}

/** An elementwise function; see {@linkcode sigmoid}, {@linkcode tanh}, {@linkcode relu}. */
export interface ActivationSpec {
  /** Which layer this is. */
  readonly type: "sigmoid" | "tanh" | "relu";
  /** Name of the layer; default: its index. */
  readonly name?: string;
}

/** Turns [channels, height, width] into a vector, channel first; see {@linkcode flatten}. */
export interface FlattenSpec {
  /** Which layer this is. */
  readonly type: "flatten";
  /** Name of the layer; default: its index. */
  readonly name?: string;
}

/** A fully connected layer with bias; see {@linkcode linear}. */
export interface LinearSpec {
  /** Which layer this is. */
  readonly type: "linear";
  /** Name of the layer; default: its index. */
  readonly name?: string;
  /** Checked against the input if given. */
  readonly inFeatures?: number;
  /** Length of the output. */
  readonly outFeatures: number;
}

/** A layer before it knows its input: plain data that JSON can hold. */
export type LayerSpec = Conv2dSpec | Pool2dSpec | ActivationSpec | FlattenSpec | LinearSpec;

/** Options of {@linkcode conv2d}. */
export interface Conv2dOptions {
  /** Name of the layer and prefix of its parameters; default: its index in the model. */
  readonly name?: string;
  /** Number of output channels, 1 or more. */
  readonly outChannels: number;
  /** Number of input channels; default: whatever the layer before gives. */
  readonly inChannels?: number;
  /** Height and width of the kernel, 1 or more. */
  readonly kernelSize: PairLike;
  /** Distance between neighbouring windows; default 1. */
  readonly stride?: PairLike;
  /** Rows and columns of zeros added at each side; default 0. */
  readonly padding?: PairLike;
}

/** A convolution layer: cross-correlation with learned kernels, plus a bias per output channel.
 *
 * Shapes: [inChannels, height, width] -> [outChannels, outHeight, outWidth], with
 * outHeight = floor((height + 2 padding - kernelSize) / stride) + 1. Weight [outChannels, inChannels,
 * kernelHeight, kernelWidth], bias [outChannels].
 * Source: LeCun et al. 1998, section II; PyTorch `nn.Conv2d`.
 *
 * @example Six channels from one, the size kept
 * ```ts
 * import { conv2d, flatten, linear, sequential } from "@lenet/lenet";
 *
 * const model = sequential([
 *   conv2d({ outChannels: 6, kernelSize: 5, padding: 2 }),
 *   flatten(),
 *   linear({ outFeatures: 10 }),
 * ]);
 * if (`${model.layers[0].outputShape}` !== "6,28,28") throw new Error("expected 6 x 28 x 28");
 * ```
 */
export function conv2d(options: Conv2dOptions): Conv2dSpec {
  const { name, inChannels, outChannels, kernelSize, stride = 1, padding = 0 } = options;
  return {
    type: "conv2d",
    ...(name !== undefined && { name }),
    ...(inChannels !== undefined && { inChannels }),
    outChannels,
    kernelSize: toPair(kernelSize),
    stride: toPair(stride),
    padding: toPair(padding),
  };
}

/** Options of {@linkcode avgPool2d} and {@linkcode maxPool2d}. */
export interface Pool2dOptions {
  /** Name of the layer; default: its index in the model. */
  readonly name?: string;
  /** Height and width of a window, 1 or more. */
  readonly poolSize: PairLike;
  /** Distance between neighbouring windows; default: poolSize. */
  readonly stride?: PairLike;
}

/** Mean over each window. Shapes and size formula as {@linkcode conv2d} without padding.
 *
 * @example Halve height and width by means
 * ```ts
 * import { avgPool2d, flatten, linear, sequential } from "@lenet/lenet";
 *
 * const model = sequential([avgPool2d({ poolSize: 2 }), flatten(), linear({ outFeatures: 10 })]);
 * if (`${model.layers[0].outputShape}` !== "1,14,14") throw new Error("expected 1 x 14 x 14");
 * ```
 */
export function avgPool2d(options: Pool2dOptions): Pool2dSpec {
  return pool2d("avgPool2d", options);
}

/** Maximum over each window; among equals, the first in row order receives the gradient.
 *
 * @example Halve height and width by maxima
 * ```ts
 * import { maxPool2d, flatten, linear, sequential } from "@lenet/lenet";
 *
 * const model = sequential([maxPool2d({ poolSize: 2 }), flatten(), linear({ outFeatures: 10 })]);
 * if (`${model.layers[0].outputShape}` !== "1,14,14") throw new Error("expected 1 x 14 x 14");
 * ```
 */
export function maxPool2d(options: Pool2dOptions): Pool2dSpec {
  return pool2d("maxPool2d", options);
}

function pool2d(type: Pool2dSpec["type"], options: Pool2dOptions): Pool2dSpec {
  const { name, poolSize, stride = poolSize } = options;
  return {
    type,
    ...(name !== undefined && { name }),
    poolSize: toPair(poolSize),
    stride: toPair(stride),
  };
}

/** The logistic function 1 / (1 + e^-x), elementwise.
 *
 * @example After a hidden layer
 * ```ts
 * import { flatten, linear, sigmoid, sequential } from "@lenet/lenet";
 *
 * const hidden = [flatten(), linear({ outFeatures: 64 }), sigmoid()];
 * const model = sequential([...hidden, linear({ outFeatures: 10 })]);
 * if (model.layers[2].type !== "sigmoid") throw new Error("expected sigmoid");
 * ```
 */
export function sigmoid(): ActivationSpec {
  return { type: "sigmoid" };
}

/** The hyperbolic tangent, elementwise.
 *
 * @example After a hidden layer
 * ```ts
 * import { flatten, linear, tanh, sequential } from "@lenet/lenet";
 *
 * const hidden = [flatten(), linear({ outFeatures: 64 }), tanh()];
 * const model = sequential([...hidden, linear({ outFeatures: 10 })]);
 * if (model.layers[2].type !== "tanh") throw new Error("expected tanh");
 * ```
 */
export function tanh(): ActivationSpec {
  return { type: "tanh" };
}

/** max(0, x), elementwise; its gradient at 0 is 0.
 *
 * @example After a hidden layer
 * ```ts
 * import { flatten, linear, relu, sequential } from "@lenet/lenet";
 *
 * const hidden = [flatten(), linear({ outFeatures: 64 }), relu()];
 * const model = sequential([...hidden, linear({ outFeatures: 10 })]);
 * if (model.layers[2].type !== "relu") throw new Error("expected relu");
 * ```
 */
export function relu(): ActivationSpec {
  return { type: "relu" };
}

/** [channels, height, width] -> [channels * height * width], in that order.
 *
 * @example Before a linear layer
 * ```ts
 * import { flatten, linear, sequential } from "@lenet/lenet";
 *
 * const model = sequential([flatten(), linear({ outFeatures: 10 })], { inputShape: [3, 8, 8] });
 * if (model.layers[0].outputShape[0] !== 192) throw new Error("expected 192 features");
 * ```
 */
export function flatten(): FlattenSpec {
  return { type: "flatten" };
}

/** Options of {@linkcode linear}. */
export interface LinearOptions {
  /** Name of the layer and prefix of its parameters; default: its index in the model. */
  readonly name?: string;
  /** Length of the output vector, 1 or more. */
  readonly outFeatures: number;
  /** Length of the input vector; default: whatever the layer before gives. */
  readonly inFeatures?: number;
}

/** A fully connected layer: weight [outFeatures, inFeatures] times the input, plus bias.
 *
 * @example Ten logits
 * ```ts
 * import { flatten, linear, sequential } from "@lenet/lenet";
 *
 * const model = sequential([flatten(), linear({ name: "fc", outFeatures: 10 })]);
 * if (model.parameters[0].name !== "fc.weight") throw new Error("expected fc.weight");
 * ```
 */
export function linear(options: LinearOptions): LinearSpec {
  const { name, inFeatures, outFeatures } = options;
  return {
    type: "linear",
    ...(name !== undefined && { name }),
    ...(inFeatures !== undefined && { inFeatures }),
    outFeatures,
  };
}

function toPair(value: PairLike): Pair {
  return typeof value === "number" ? [value, value] : value;
}
