/** Images as vectors. */

import { type LayerDefinition, type Named, type Placed, type Shape, volume } from "./layer.ts";

/** Turns [channels, height, width] into a vector, channel first; see {@linkcode flatten}. */
export type FlattenSpec = Named<"flatten">;

/** A flatten layer that knows its input. */
export type FlattenLayer = Placed<Shape, readonly [number]> & Pick<FlattenSpec, "type">;

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

/** See {@linkcode flatten}. */
export const FLATTEN: LayerDefinition<FlattenSpec, FlattenLayer> = {
  fields: {},
  place: ({ type }, { name, inputs, inputShape }) => (
    { type, name, inputs, inputShape, outputShape: [volume(inputShape)], parameters: [] }
  ),
  cost: () => ({ macs: 0 }),
  effect: "picks",
};
