/** The sum of body and shortcut. */

import type { ResidualLayer } from "../../../nn/layers/residual.ts";
import { pointwiseBackward, pointwiseForward } from "../kernels/pointwise.ts";
import type { LayerPlan, SumOperation } from "../operations.ts";
import type { OperationKernels } from "./layer.ts";

/** See `residual` of the reference. */
export const residual: LayerPlan<ResidualLayer> = {
  operation: (_layer, base) => ({ ...base, type: "sum" }),
};

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
