/** The sum of body and shortcut, forward and backward. */

import type { ResidualLayer } from "../../../nn/sequential.ts";
import { denseRowBytes, locate } from "../tensors.ts";
import type { LayerCode } from "./layer.ts";

/** See `residual` of the reference. The gradient of the sum is that of both: nothing to compute. */
export const residual: LayerCode<ResidualLayer> = {
  memory: () => ({ output: "new", gradient: "in place" }),
  forward({ kernels, own }, { inputs: [body, shortcut], output }) {
    const { height } = output;
    const bytes = denseRowBytes(output);
    return (block) =>
      kernels.residualForward(
        locate(body, own, block),
        body.rowBytes,
        locate(shortcut, own, block),
        shortcut.rowBytes,
        locate(output, own, block),
        output.rowBytes,
        height,
        bytes,
      );
  },
  backward: () => [],
};
