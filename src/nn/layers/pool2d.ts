/** Average and maximum pooling. */

import {
  countWindows,
  type ImageShape,
  type LayerDefinition,
  type Named,
  type Pair,
  type PairLike,
  type Placed,
  requireImage,
  toPair,
} from "./layer.ts";

/** Average or maximum over windows; see {@linkcode avgPool2d} and {@linkcode maxPool2d}. */
export interface Pool2dSpec extends Named<"avgPool2d" | "maxPool2d"> {
  /** Height and width of a window. */
  readonly poolSize: Pair;
  /** Distance between neighbouring windows. */
  readonly stride: Pair;
  /** Rows and columns added at each side; left out: none. */
  readonly padding?: Pair;
}

/** Average over whole channels; see {@linkcode globalAvgPool2d}. */
export type GlobalAvgPool2dSpec = Named<"globalAvgPool2d">;

/** A pooling layer that knows its input; where it is global, its one window is the whole image. */
export type Pool2dLayer =
  & Placed<ImageShape, ImageShape>
  & Required<Omit<Pool2dSpec, "name" | "type">>
  & { readonly type: (Pool2dSpec | GlobalAvgPool2dSpec)["type"] };

/** Options of {@linkcode avgPool2d} and {@linkcode maxPool2d}. */
export interface Pool2dOptions {
  /** Name of the layer; default: its index in the model. */
  readonly name?: string;
  /** Height and width of a window, 1 or more. */
  readonly poolSize: PairLike;
  /** Distance between neighbouring windows; default: poolSize. */
  readonly stride?: PairLike;
  /** Rows and columns added at each side, at most half of poolSize: zeros that a mean counts, or what no
   * maximum takes; default 0. */
  readonly padding?: PairLike;
}

/** Mean over each window. Shapes and size formula as {@linkcode conv2d}.
 *
 * Zeros of the padding count as pixels, as in PyTorch's `nn.AvgPool2d`.
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

/** Mean over each whole channel: [channels, height, width] -> [channels, 1, 1].
 *
 * Source: Lin et al. 2014; PyTorch `nn.AdaptiveAvgPool2d(1)`.
 *
 * @example A classifier of pictures of any size
 * ```ts
 * import { conv2d, flatten, globalAvgPool2d, linear, relu, sequential } from "@lenet/lenet";
 *
 * const maps = [conv2d({ outChannels: 16, kernelSize: 3 }), relu(), globalAvgPool2d()];
 * const model = sequential([...maps, flatten(), linear({ outFeatures: 10 })]);
 * if (`${model.layers[2].outputShape}` !== "16,1,1") throw new Error("expected 16 x 1 x 1");
 * ```
 */
export function globalAvgPool2d(): GlobalAvgPool2dSpec {
  return { type: "globalAvgPool2d" };
}

function pool2d(type: Pool2dSpec["type"], options: Pool2dOptions): Pool2dSpec {
  const { name, poolSize, stride = poolSize, padding = 0 } = options;
  const around = toPair(padding);
  return {
    type,
    ...(name !== undefined && { name }),
    poolSize: toPair(poolSize),
    stride: toPair(stride),
    ...(around.some((width) => width !== 0) && { padding: around }),
  };
}

/** See {@linkcode avgPool2d}. */
export const AVG_POOL2D: LayerDefinition<Pool2dSpec, Pool2dLayer> = {
  fields: {
    poolSize: { type: "pair", minimum: 1 },
    stride: { type: "pair", minimum: 1 },
    padding: { type: "pair", minimum: 0, optional: true },
  },
  place({ type, poolSize, stride, padding = [0, 0] }, { name, inputs, ...at }) {
    const what = `${type} "${name}"`;
    const inputShape = requireImage(at.inputShape, what);
    // A window of nothing but padding has no maximum.
    if (padding.some((width, axis) => width > poolSize[axis] / 2)) {
      throw new RangeError(
        `Cannot add ${what}: expected padding of at most half a window of ${poolSize.join("x")}, ` +
          `found ${padding.join("x")}`,
      );
    }
    const window = { size: poolSize, stride, padding };
    const outputShape: ImageShape = [inputShape[0], ...countWindows(inputShape, window, what)];
    const shapes = { inputs, inputShape, outputShape };
    return { type, name, ...shapes, poolSize, stride, padding, parameters: [] };
  },
  cost: ({ poolSize: size, stride, padding }) => ({ macs: 0, sees: { size, stride, padding } }),
  effect: "averages",
};

/** See {@linkcode maxPool2d}. */
export const MAX_POOL2D: LayerDefinition<Pool2dSpec, Pool2dLayer> = {
  ...AVG_POOL2D,
  effect: "picks",
};

/** See {@linkcode globalAvgPool2d}. */
export const GLOBAL_AVG_POOL2D: LayerDefinition<GlobalAvgPool2dSpec, Pool2dLayer> = {
  fields: {},
  place({ type }, { name, inputs, ...at }) {
    const inputShape = requireImage(at.inputShape, `${type} "${name}"`);
    const poolSize: Pair = [inputShape[1], inputShape[2]];
    const shapes = { inputs, inputShape, outputShape: [inputShape[0], 1, 1] } as const;
    return { type, name, ...shapes, poolSize, stride: poolSize, padding: [0, 0], parameters: [] };
  },
  cost: () => ({ macs: 0, sees: "everything" }),
  effect: "averages",
};
