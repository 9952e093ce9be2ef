/** Images as vectors. */

import type { FlattenLayer } from "../../../nn/layers/flatten.ts";
import { imageShape } from "../tensors.ts";
import type { LayerPlan } from "../operations.ts";

/** See `flatten` of the reference: nothing to do, since channels come first.
 *
 * What others read too may lie inside a border of zeros, which a vector has not: it is copied.
 */
export const flatten: LayerPlan<FlattenLayer> = {
  operation(layer, base, isShared) {
    if (!isShared) return undefined;
    const shape = imageShape(layer.inputShape);
    return { ...base, type: "elementwise", function: "none", maps: shape, output: shape };
  },
};
