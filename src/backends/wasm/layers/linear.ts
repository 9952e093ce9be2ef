/** Fully connected layers, forward and backward. */

import type { LinearLayer } from "../../../nn/sequential.ts";
import { convolutionSizes, convolve, gradBiasOf, inputGradient, packRows } from "./conv2d.ts";
import type { LayerCode } from "./layer.ts";

/** See `linear` of the reference. Its weight gradient is made from all blocks at once. */
export const linear: LayerCode<LinearLayer> = {
  isLinear: true,
  memory: () => ({ keepsInput: true, rereads: true, output: "new", gradient: "kept" }),
  sizes: convolutionSizes,
  packedBytes: ({ weight }) => 4 * weight.size,
  forward: convolve,
  backward: inputGradient,
  weights(thread, stage, rows) {
    const { kernels, gradients, ones, scratch } = thread;
    const { layer, inputs: [input], gradOutput } = stage;
    const pack = packRows(thread, stage, rows);
    if (!layer.weight.trained) return { pack };
    const [gradWeight, gradBias] = [
      gradients + 4 * layer.weight.offset,
      gradBiasOf(thread, layer),
    ];
    return {
      accumulate: (blocks, isFirstChunk) =>
        kernels.linearWeightGradient(
          input.address,
          input.channels,
          input.blockBytes,
          gradOutput!.address,
          gradOutput!.blockBytes,
          blocks,
          rows.firstRow,
          rows.lastRow,
          gradWeight,
          gradBias,
          ones,
          scratch,
          !isFirstChunk,
        ),
      pack,
    };
  },
};
