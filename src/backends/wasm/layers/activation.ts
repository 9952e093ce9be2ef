/** Elementwise functions, forward and backward, in place where nobody needs what they read. */

import type { ActivationLayer } from "../../../nn/sequential.ts";
import { denseRowBytes, locate } from "../tensors.ts";
import type { LayerCode } from "./layer.ts";

/** See `sigmoid`, `tanh` and `relu` of the reference. */
export const activation: LayerCode<ActivationLayer> = {
  memory: () => ({ output: "overwrites", keepsOutput: true, gradient: "in place" }),
  forward({ kernels, own }, { layer, inputs: [input], output }) {
    const kernel = kernels[`${layer.type}Forward`];
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
      );
  },
  backward({ kernels, own }, { layer, output, gradInputs: [target], gradOutput }) {
    if (target === undefined) return [];
    const kernel = kernels[`${layer.type}Backward`];
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
      )];
  },
};
