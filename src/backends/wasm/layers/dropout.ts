/** Dropout, forward and backward, in place where nobody needs what it reads. */

import { dropoutRule } from "../../../nn/layers/dropout.ts";
import type { DropoutLayer } from "../../../nn/sequential.ts";
import { streamKey } from "../../../random.ts";
import { type BlockTensor, locate, sharesMemory } from "../tensors.ts";
import type { BlockCall, LayerCode, Stage, Thread } from "./layer.ts";

/** See `dropout` of the reference. What it drops is worked out again going backward. */
export const dropout: LayerCode<DropoutLayer> = {
  memory: () => ({ output: "overwrites", gradient: "in place" }),
  forward: (thread, stage) => drop(thread, stage, [stage.inputs[0], stage.output]),
  infer(thread, stage) {
    const tensors = [stage.inputs[0], stage.output] as const;
    if (sharesMemory(...tensors)) return undefined;
    return drop(thread, { ...stage, layer: { ...stage.layer, p: 0 } }, tensors);
  },
  backward: (thread, stage) =>
    stage.gradInputs[0] ? [drop(thread, stage, [stage.gradOutput!, stage.gradOutput!])] : [],
};

function drop(
  { kernels, own, seed, scratch, block: at }: Thread,
  { layer, index }: Stage<DropoutLayer>,
  [from, to]: readonly [BlockTensor, BlockTensor],
): BlockCall {
  const { stream, threshold, scale } = dropoutRule(layer, index);
  const key = streamKey(seed, stream);
  const [channels, height = 1, width = 1] = layer.inputShape;
  return (block) => {
    // Outside training nobody says which images are at hand, and nothing is drawn.
    if (threshold > 0) kernels.dropoutDraws(key, at.step, at.indices, at.count, scratch);
    kernels.dropout(
      locate(from, own, block),
      from.rowBytes,
      locate(to, own, block),
      to.rowBytes,
      channels,
      height,
      width,
      scratch,
      threshold,
      scale,
    );
  };
}
