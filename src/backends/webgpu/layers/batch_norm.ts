/** Batch norm: joined to a convolution outside training, else on its own. */

import type { BatchNormLayer } from "../../../nn/layers/batch_norm.ts";
import { batchNormWgsl } from "../kernels/batch_norm.ts";
import {
  addUpDeviations,
  addUpGradients,
  addUpValues,
  gradientSums,
  imageSumsLength,
  MOMENTS,
  moments,
} from "../kernels/batch_norm_sums.ts";
import { pointwiseBackward, pointwiseForward } from "../kernels/pointwise.ts";
import type { LayerPlan, NormOperation } from "../operations.ts";
import type { OperationKernels } from "./layer.ts";

/** See `batchNorm` of the reference. */
export const batchNorm: LayerPlan<BatchNormLayer> = {
  operation(layer, base, { mode }) {
    const norm = { ...base, type: "norm", layer } as const;
    if (mode === "eval" || layer.frozen) return { ...norm, isRunning: true };
    const moments = MOMENTS.length * base.output[0];
    return {
      ...norm,
      isRunning: false,
      moments,
      imageSums: (tuning) => imageSumsLength(base.output, tuning),
    };
  },
  join(norm, before, mode) {
    const isFree = before.activation === undefined && before.pool.type === "none";
    if (mode === "train" || before.type !== "convolve" || !isFree) return undefined;
    return before.norm ? undefined : { ...before, norm };
  },
};

/** A batch norm, with the activation that is joined to it.
 *
 * Forward: each image's sums and squares around its own mean, from these the batch's mean, then its
 * squares around that, and then all values. Backward the sums of two gradients come first.
 */
export const norm: OperationKernels<NormOperation> = {
  forward(place, context) {
    const { operation: { layer, isRunning } } = place;
    const { before, bindings } = batchNormWgsl(place.operation, context);
    const formula = {
      label: `batch_norm_forward ${layer.name}`,
      before,
      value: "(x0 - mean) * scale + shift",
      bindings,
    };
    const normalize = pointwiseForward(place, formula, context.tuning);
    if (isRunning) return [normalize];
    return [
      moments(place, context),
      addUpValues(place, context),
      addUpDeviations(place, context),
      normalize,
    ];
  },

  backward(place, targets, context) {
    const { operation: { layer, isRunning } } = place;
    const sums = isRunning ? [] : [gradientSums(place, context), addUpGradients(place, context)];
    if (targets[0] === undefined) return sums;
    const { before, bindings, common } = batchNormWgsl(place.operation, context);
    const formula = {
      label: `batch_norm_backward ${layer.name}`,
      before: before + (common?.before ?? ""),
      value: common?.value ?? "g * scale",
      bindings,
      readsInput: common !== undefined,
    };
    return [...sums, pointwiseBackward(place, targets, formula, context.tuning)];
  },

  copies: () => ({ wgsl: "min(chunk.groups, 1u)", most: 1 }),
};
