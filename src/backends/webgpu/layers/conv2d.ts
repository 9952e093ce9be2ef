/** Layers that multiply: which operation they are, and its kernels. */

import type { Conv2dLayer } from "../../../nn/layers/conv2d.ts";
import type { Pair } from "../../../nn/layers/layer.ts";
import type { LinearLayer } from "../../../nn/layers/linear.ts";
import { conv2dInputGradient } from "../kernels/conv2d_input_gradient.ts";
import { conv2dPoolForward } from "../kernels/conv2d_pool_forward.ts";
import { conv2dStridedInputGradient } from "../kernels/conv2d_strided_input_gradient.ts";
import type { ConvolveOperation, LayerPlan } from "../operations.ts";
import { isSliding } from "../placement.ts";
import type { OperationKernels } from "./layer.ts";

/** See `conv2d` of the reference. */
export const conv2d: LayerPlan<Conv2dLayer> = {
  operation(layer, base) {
    const { kernelSize, stride, padding } = layer;
    return { ...base, type: "convolve", layer, isLinear: false, kernelSize, stride, padding };
  },
};

const ONE: Pair = [1, 1];

/** See `linear` of the reference. */
export const linear: LayerPlan<LinearLayer> = {
  operation: (layer, base) => (
    { ...base, type: "convolve", layer, isLinear: true, kernelSize: ONE, stride: ONE }
  ),
};

/** A convolution with the activation and pooling that are joined to it. */
export const convolve: OperationKernels<ConvolveOperation> = {
  forward({ operation, inputs: [input], output, target: { activated } }, { weightsOf, tuning }) {
    const buffers = { input, activated, output, parameters: weightsOf(operation) };
    return conv2dPoolForward(operation, buffers, tuning);
  },
  inputGradient({ operation, target }, [before], { weightsOf, tuning }) {
    const kernel = isSliding(operation) ? conv2dInputGradient : conv2dStridedInputGradient;
    const [weights] = weightsOf(operation);
    return kernel(operation, { gradMaps: target.gradient, weights, target: before! }, tuning);
  },
};
