/** Activations: joined to the operation before, or on their own. */

import type { Activation, LayerPlan } from "../operations.ts";

/** See `sigmoid`, `tanh`, `relu` and `leakyRelu` of the reference. */
export const activation: LayerPlan<Activation> = {
  operation: (activation, base) => ({ ...base, type: "sum", activation }),
  join(activation, before) {
    const isFree = before.activation === undefined && before.pool.type === "none";
    return isFree && before.type !== "pool" ? { ...before, activation } : undefined;
  },
};
