/** Elementwise functions, forward and backward, in place where nobody needs what they read. */

import type { ActivationLayer, LeakyReluLayer } from "../../../nn/sequential.ts";
import { denseRowBytes, locate } from "../tensors.ts";
import type { LayerCode } from "./layer.ts";

/** See `sigmoid`, `tanh`, `relu` and `leakyRelu` of the reference. */
export const activation: LayerCode<ActivationLayer | LeakyReluLayer> = {
  memory: () => ({ output: "overwrites", keepsOutput: true, gradient: "in place" }),
  forward({ kernels, own }, { layer, inputs: [input], output }) {
    const { [`${layer.type}Forward` as const]: kernel } = kernels;
    const slope = slopeOf(layer);
    const { height, rowBytes } = input;
    const bytes = denseRowBytes(input);
    return (block) =>
      kernel(
        locate(input, own, block),
        rowBytes,
        locate(output, own, block),
        output.rowBytes,
        height,
        bytes,
        slope,
      );
  },
  backward({ kernels, own }, { layer, output, gradInputs: [target], gradOutput }) {
    if (target === undefined) return [];
    const { [`${layer.type}Backward` as const]: kernel } = kernels;
    const slope = slopeOf(layer);
    const { height, rowBytes } = output;
    const bytes = denseRowBytes(output);
    return [(block) =>
      kernel(
        locate(output, own, block),
        rowBytes,
        locate(gradOutput!, own, block),
        gradOutput!.rowBytes,
        height,
        bytes,
        slope,
      )];
  },
};

/** ReLU, which a layer before it may do as well in training. */
export const rectifier: LayerCode<ActivationLayer> = {
  ...activation,
  joined: {
    memory: () => ({ output: "views", gradient: "in place" }),
    forward: () => undefined,
    infer: activation.forward,
    backward: () => [],
  },
};

/** What only the kernels of a leaky ReLU take. */
function slopeOf(layer: ActivationLayer | LeakyReluLayer): number {
  return "negativeSlope" in layer ? layer.negativeSlope : 0;
}
