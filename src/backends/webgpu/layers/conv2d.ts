/** Layers that multiply: which operation they are, and its kernels. */

import type { Conv2dLayer } from "../../../nn/layers/conv2d.ts";
import type { ImageShape, Pair } from "../../../nn/layers/layer.ts";
import type { LinearLayer } from "../../../nn/layers/linear.ts";
import { bindArray } from "../kernel.ts";
import { conv2dInputGradient, gradientBorder } from "../kernels/conv2d_input_gradient.ts";
import { conv2dPoolForward } from "../kernels/conv2d_pool_forward.ts";
import { conv2dStridedInputGradient } from "../kernels/conv2d_strided_input_gradient.ts";
import { conv2dWeightGradient, weightGradientTiles } from "../kernels/conv2d_weight_gradient.ts";
import { linearForward, linearInputGradient } from "../kernels/linear_product.ts";
import { linearGradientImages, linearWeightGradient } from "../kernels/linear_weight_gradient.ts";
import type { ConvolveOperation, LayerPlan } from "../operations.ts";
import type { Tuning } from "../tuning.ts";
import type { OperationKernels } from "./layer.ts";

/** See `conv2d` of the reference. */
export const conv2d: LayerPlan<Conv2dLayer> = {
  operation(layer, base) {
    const { kernelSize, stride, padding, groups } = layer;
    const window = { kernelSize, stride, padding };
    const rounds = roundsOf(base, kernelSize, groups);
    const border = isSliding(window) ? gradientBorder(window) : base.gradientBorder;
    const own = { ...window, groups, rounds, gradientBorder: border };
    return { ...base, type: "convolve", layer, isLinear: false, ...own };
  },
};

const ONE: Pair = [1, 1];

/** Whether windows are one pixel apart. */
function isSliding({ stride }: Pick<ConvolveOperation, "stride">): boolean {
  return stride[0] === 1 && stride[1] === 1;
}

/** Rounds of the longest loops of its kernels. */
function roundsOf(
  { input, maps }: { readonly input: ImageShape; readonly maps: ImageShape },
  [height, width]: Pair,
  groups: number,
): number {
  const forward = input[0] / groups * (height + 1);
  return Math.max(forward, maps[0] / groups / 4 * (height + 1) * (width + 1));
}

/** See `linear` of the reference. */
export const linear: LayerPlan<LinearLayer> = {
  operation(layer, base) {
    const own = { kernelSize: ONE, stride: ONE, groups: 1, rounds: roundsOf(base, ONE, 1) };
    return { ...base, type: "convolve", layer, isLinear: true, ...own };
  },
};

function inputGradientOf(operation: ConvolveOperation, { linearTiles }: Tuning) {
  if (operation.isLinear) return linearTiles ? linearInputGradient : conv2dStridedInputGradient;
  return isSliding(operation) ? conv2dInputGradient : conv2dStridedInputGradient;
}

/** A convolution with what is joined to it: batch norm, activation, pooling. */
export const convolve: OperationKernels<ConvolveOperation> = {
  forward({ operation, inputs: [input], output, target }, { bind, statistics, tuning }) {
    const { layer: { weight, bias }, norm } = operation;
    const parameters = [bind("weights", weight), ...(bias ? [bind("biases", bias)] : [])];
    if (norm) {
      parameters.push(
        bind("scales", norm.weight),
        bind("shifts", norm.bias),
        bindArray("statistics", statistics),
      );
    }
    const buffers = { input, activated: target?.activated, output, parameters };
    const isTiled = operation.isLinear && tuning.linearTiles;
    const kernel = isTiled ? linearForward : conv2dPoolForward;
    return [kernel(operation, buffers, tuning)];
  },
  backward({ operation, inputs: [input], target }, [before], context) {
    const { bind, tuning } = context;
    const gradMaps = target!.gradient;
    const place = context.partialsOf(operation);
    const stage = place && { operation, input, gradMaps, place };
    const own = stage === undefined ? [] : [
      operation.isLinear
        ? linearWeightGradient([stage], context)
        : conv2dWeightGradient(stage, tuning),
    ];
    if (before === undefined) return own;
    const kernel = inputGradientOf(operation, tuning);
    const weights = bind("weights", operation.layer.weight);
    return [kernel(operation, { gradMaps, weights, target: before }, tuning), ...own];
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
