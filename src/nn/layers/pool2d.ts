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
}

/** A pooling layer that knows its input. */
export type Pool2dLayer = Placed<ImageShape, ImageShape> & Omit<Pool2dSpec, "name">;

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

/** See {@linkcode avgPool2d} and {@linkcode maxPool2d}. */
export const POOL2D: LayerDefinition<Pool2dSpec, Pool2dLayer> = {
  fields: {
    poolSize: { type: "pair", minimum: 1 },
    stride: { type: "pair", minimum: 1 },
  },
  place({ type, poolSize, stride }, { name, inputs, ...at }) {
    const what = `${type} "${name}"`;
    const inputShape = requireImage(at.inputShape, what);
    const window = { size: poolSize, stride, padding: [0, 0] } as const;
    const outputShape: ImageShape = [inputShape[0], ...countWindows(inputShape, window, what)];
    return { type, name, inputs, inputShape, outputShape, poolSize, stride, parameters: [] };
  },
  cost: ({ poolSize: size, stride }) => ({ macs: 0, sees: { size, stride, padding: [0, 0] } }),
};
