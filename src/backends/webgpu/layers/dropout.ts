/** Dropout: in training alone. */

import type { DropoutLayer } from "../../../nn/layers/dropout.ts";
import { dropoutRule } from "../../../nn/layers/dropout.ts";
import { streamKey } from "../../../random.ts";
import { bindArray, perImage, RANDOM_WGSL } from "../kernel.ts";
import { type Formula, pointwiseBackward, pointwiseForward } from "../kernels/pointwise.ts";
import type { DropoutOperation, LayerPlan } from "../operations.ts";
import { passOn } from "./sum.ts";
import type { KernelContext, OperationKernels } from "./layer.ts";

/** See `dropout` of the reference; outside training it gives what it reads, as flatten does. */
export const dropout: LayerPlan<DropoutLayer> = {
  operation(layer, base, about) {
    if (about.mode === "train") return { ...base, type: "dropout", layer, readsIndices: true };
    return passOn(layer, base, about);
  },
};

/** The same mask both ways, drawn each time. */
export const drop: OperationKernels<DropoutOperation> = {
  forward(place, context) {
    return [pointwiseForward(place, formulaOf(place.operation, "x0", context), context.tuning)];
  },
  backward(place, targets, context) {
    const formula = formulaOf(place.operation, "g", context);
    return [pointwiseBackward(place, targets, formula, context.tuning)];
  },
};

function formulaOf(
  { layer, index }: DropoutOperation,
  value: string,
  { tuning, seed, indices }: KernelContext,
): Formula {
  const { stream, threshold, scale } = dropoutRule(layer, index);
  const drawn = tuning.imagesPerInvocation === 1 ? "u32" : "vec4u";
  const draws = perImage(
    tuning,
    (place) => `draw_at(${streamKey(seed, stream)}u, chunk.step, indices[${place}], unit)`,
  );
  return {
    label: `dropout_${value === "g" ? "backward" : "forward"} ${layer.name}`,
    functions: RANDOM_WGSL,
    value:
      `select(Images(0.0), ${value} * f32(${scale}), ${drawn}(${draws}) >= ${drawn}(${threshold}u))`,
    bindings: [bindArray("indices", indices!, "u32")],
  };
}
