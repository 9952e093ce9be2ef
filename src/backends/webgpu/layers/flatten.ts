/** Layers that give what they read. */

import type { FlattenLayer, Layer } from "../../../nn/sequential.ts";
import type { LayerPlan, OperationBase, PlanContext, SumOperation } from "../operations.ts";
import { imageShape } from "../tensors.ts";

/** See `flatten` of the reference: nothing to do, since channels come first. */
export const flatten: LayerPlan<FlattenLayer> = { operation: passOn };

/** No operation, unless others read the input too: that may lie inside a border of zeros, which a vector
 * has not, and is copied. */
export function passOn(
  layer: Layer,
  base: OperationBase,
  { isShared }: PlanContext,
): SumOperation | undefined {
  if (!isShared) return undefined;
  const shape = imageShape(layer.inputShape);
  return { ...base, type: "sum", maps: shape, output: shape };
}
