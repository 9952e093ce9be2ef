/** Layers that multiply: which operation they are, and its kernels. */

import type { Conv2dLayer } from "../../../nn/layers/conv2d.ts";
import type { Pair } from "../../../nn/layers/layer.ts";
import type { LinearLayer } from "../../../nn/layers/linear.ts";
import { conv2dInputGradient } from "../kernels/conv2d_input_gradient.ts";
import { conv2dPoolForward } from "../kernels/conv2d_pool_forward.ts";
import { conv2dStridedInputGradient } from "../kernels/conv2d_strided_input_gradient.ts";
import { weightGradientTiles } from "../kernels/conv2d_weight_gradient.ts";
import { linearForward, linearInputGradient } from "../kernels/linear_product.ts";
import { linearGradientImages } from "../kernels/linear_weight_gradient.ts";
import type { ConvolveOperation, LayerPlan } from "../operations.ts";
import { isSliding } from "../placement.ts";
import type { Tuning } from "../tuning.ts";
import type { OperationKernels } from "./layer.ts";

/** See `conv2d` of the reference. */
export const conv2d: LayerPlan<Conv2dLayer> = {
  operation(layer, base) {
    const { kernelSize, stride, padding, groups } = layer;
    const window = { kernelSize, stride, padding };
    return { ...base, type: "convolve", layer, isLinear: false, ...window, groups };
  },
};

const ONE: Pair = [1, 1];

/** See `linear` of the reference. */
export const linear: LayerPlan<LinearLayer> = {
  operation: (layer, base) => (
    { ...base, type: "convolve", layer, isLinear: true, kernelSize: ONE, stride: ONE, groups: 1 }
  ),
};

function isTiled({ isLinear }: ConvolveOperation, { linearTiles }: Tuning): boolean {
  return isLinear && linearTiles;
}

/** A convolution with what is joined to it: batch norm, activation, pooling. */
export const convolve: OperationKernels<ConvolveOperation> = {
  forward({ operation, inputs: [input], output, target }, { bind, statistics, tuning }) {
    const { layer: { weight, bias }, norm } = operation;
    const parameters = [bind("weights", weight), ...(bias ? [bind("biases", bias)] : [])];
    if (norm) {
      parameters.push(bind("scales", norm.weight), bind("shifts", norm.bias), {
        name: "statistics",
        type: "array<f32>",
        access: "read",
        buffer: statistics,
      });
    }
    const buffers = { input, activated: target?.activated, output, parameters };
    const kernel = isTiled(operation, tuning) ? linearForward : conv2dPoolForward;
    return [kernel(operation, buffers, tuning)];
  },
  backward({ operation, target }, [before], { bind, tuning }) {
    if (before === undefined) return [];
    const kernel = isTiled(operation, tuning)
      ? linearInputGradient
      : isSliding(operation)
      ? conv2dInputGradient
      : conv2dStridedInputGradient;
    const weights = bind("weights", operation.layer.weight);
    return [kernel(operation, { gradMaps: target!.gradient, weights, target: before }, tuning)];
  },
  copies(operation, { tuning, capacity }) {
    const group = tuning.imagesPerInvocation * tuning.invocations;
    if (operation.isLinear) {
      const images = linearGradientImages(capacity, tuning);
      return {
        wgsl: `(chunk.groups * ${group}u + ${images - 1}u) / ${images}u`,
        most: Math.ceil(capacity / images),
      };
    }
    const { rowSplits } = weightGradientTiles(operation, tuning);
    return {
      wgsl: `chunk.groups * ${rowSplits}u`,
      most: Math.ceil(capacity / group) * rowSplits,
    };
  },
};
