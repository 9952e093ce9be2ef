/** Layers that add, copy or change each element by a function: the sum of what they read. */

import type { ResidualLayer } from "../../../nn/layers/residual.ts";
import type { FlattenLayer, Layer } from "../../../nn/sequential.ts";
import { pointwiseBackward, pointwiseForward } from "../kernels/pointwise.ts";
import type {
  Activation,
  LayerPlan,
  OperationBase,
  PlanContext,
  SumOperation,
} from "../operations.ts";
import { imageShape } from "../tensors.ts";
import type { OperationKernels } from "./layer.ts";

/** See `residual` of the reference: body and shortcut. */
export const residual: LayerPlan<ResidualLayer> = {
  operation: (_layer, base) => ({ ...base, type: "sum" }),
};

/** See `sigmoid`, `tanh`, `relu` and `leakyRelu` of the reference: joined to the operation before, or alone. */
export const activation: LayerPlan<Activation> = {
  operation: (activation, base) => ({ ...base, type: "sum", activation }),
  join(activation, before) {
    const isFree = before.activation === undefined && before.pool.type === "none";
    return isFree && before.type !== "pool" ? { ...before, activation } : undefined;
  },
};

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

/** A sum, a copy, or an activation on its own. */
export const sum: OperationKernels<SumOperation> = {
  forward(place, { tuning }) {
    const value = place.inputs.map((_, n) => `x${n}`).join(" + ");
    return [pointwiseForward(place, { label: labelOf(place.operation, "forward"), value }, tuning)];
  },
  backward(place, targets, { tuning }) {
    const formula = { label: labelOf(place.operation, "backward"), value: "g" };
    return [pointwiseBackward(place, targets, formula, tuning)];
  },
};

function labelOf({ inputs, layer }: SumOperation, way: string): string {
  return `${inputs.length > 1 ? "sum" : "activation"}_${way} ${layer.name}`;
}
