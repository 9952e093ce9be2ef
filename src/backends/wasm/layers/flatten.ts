/** Images as vectors, channel first, forward and backward. */

import type { FlattenLayer } from "../../../nn/sequential.ts";
import { locate, sharesMemory } from "../tensors.ts";
import type { LayerCode } from "./layer.ts";

/** See `flatten` of the reference. */
export const flatten: LayerCode<FlattenLayer> = {
  memory: (layer) =>
    keepsOrder(layer)
      ? { output: "views", gradient: "in place" }
      : { output: "new", gradient: "new" },
  forward({ kernels, own }, { inputs: [input], output }) {
    if (sharesMemory(input, output)) return undefined;
    const { channels, height, width, rowBytes } = input;
    return (block) =>
      kernels.flattenForward(
        locate(input, own, block),
        rowBytes,
        channels,
        height,
        width,
        locate(output, own, block),
      );
  },
  backward({ kernels, own }, { layer, inputs: [input], gradInputs: [target], gradOutput }) {
    if (target === undefined || keepsOrder(layer)) return [];
    const { channels, height, width } = input;
    return [(block) =>
      kernels.flattenBackward(
        locate(gradOutput!, own, block),
        channels,
        height,
        width,
        locate(target.tensor, own, block),
      )];
  },
};

/** Whether [y][x][channel] is channel first already. */
function keepsOrder({ inputShape: [channels, height = 1, width = 1] }: FlattenLayer): boolean {
  return channels === 1 || height * width === 1;
}
