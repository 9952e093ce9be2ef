/** Convolution. */

import {
  countWindows,
  type ImageShape,
  type LayerDefinition,
  type Named,
  type Pair,
  type PairLike,
  type Placed,
  requireImage,
  showShape,
  toPair,
  weightAndBias,
  type Weighted,
} from "./layer.ts";

/** A two-dimensional cross-correlation; see {@linkcode conv2d}. */
export interface Conv2dSpec extends Named<"conv2d"> {
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
  /** Parts that channels are cut into, each convolved by itself; left out: 1. */
  readonly groups?: number;
  /** False if nothing is added to the products. */
  readonly bias?: boolean;
}

/** A convolution that knows its input. */
export type Conv2dLayer =
  & Placed<ImageShape, ImageShape>
  & Weighted
  & Pick<Conv2dSpec, "type" | "kernelSize" | "stride" | "padding">
  & { readonly groups: number };

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
  /** Parts that input and output channels are cut into, each convolved by itself; default 1. As many as
   * there are input channels make the convolution depthwise. */
  readonly groups?: number;
  /** Whether a number per output channel is added; default true. */
  readonly bias?: boolean;
}

/** A convolution layer: cross-correlation with learned kernels, plus a bias per output channel unless
 * `bias` is false.
 *
 * Shapes: [inChannels, height, width] -> [outChannels, outHeight, outWidth], with
 * outHeight = floor((height + 2 padding - kernelSize) / stride) + 1. Weight [outChannels,
 * inChannels / groups, kernelHeight, kernelWidth], bias [outChannels].
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
  const { name, inChannels, outChannels, kernelSize, stride = 1, padding = 0, groups, bias } =
    options;
  return {
    type: "conv2d",
    ...(name !== undefined && { name }),
    ...(inChannels !== undefined && { inChannels }),
    outChannels,
    kernelSize: toPair(kernelSize),
    stride: toPair(stride),
    padding: toPair(padding),
    ...(groups !== undefined && groups !== 1 && { groups }),
    ...(bias === false && { bias }),
  };
}

/** See {@linkcode conv2d}. */
export const CONV2D: LayerDefinition<Conv2dSpec, Conv2dLayer> = {
  fields: {
    outChannels: { type: "whole", minimum: 1 },
    inChannels: { type: "whole", minimum: 1, optional: true },
    kernelSize: { type: "pair", minimum: 1 },
    stride: { type: "pair", minimum: 1 },
    padding: { type: "pair", minimum: 0 },
    groups: { type: "whole", minimum: 1, optional: true },
    bias: { type: "flag", minimum: 0, optional: true },
  },
  outputs: "outChannels",
  place(
    { type, inChannels, outChannels, kernelSize, stride, padding, groups = 1, bias },
    at,
  ) {
    const { name, inputs } = at;
    const what = `${type} "${name}"`;
    const inputShape = requireImage(at.inputShape, what);
    const [channels] = inputShape;
    if (inChannels !== undefined && inChannels !== channels) {
      throw new TypeError(
        `Cannot add ${what}: expected ${inChannels} input channels, ` +
          `found ${channels} in ${showShape(inputShape)}`,
      );
    }
    if (channels % groups !== 0 || outChannels % groups !== 0) {
      throw new RangeError(
        `Cannot add ${what}: expected input and output channels that ${groups} groups divide, ` +
          `found ${channels} and ${outChannels}`,
      );
    }
    const [height, width] = countWindows(inputShape, { size: kernelSize, stride, padding }, what);
    const outputShape: ImageShape = [outChannels, height, width];
    const tensors = weightAndBias(at, [outChannels, channels / groups, ...kernelSize], bias);
    const geometry = { kernelSize, stride, padding, groups };
    return { type, name, inputs, inputShape, outputShape, ...geometry, ...tensors };
  },
  /** Every output position uses each weight once. */
  cost: ({ weight, outputShape: [, height, width], kernelSize: size, stride, padding }) => (
    { macs: weight.size * height * width, sees: { size, stride, padding } }
  ),
};
