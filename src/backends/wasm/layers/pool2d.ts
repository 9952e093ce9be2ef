/** Average and maximum pooling, forward and backward. */

import type { Pool2dLayer } from "../../../nn/sequential.ts";
import { locate } from "../tensors.ts";
import type { LayerCode } from "./layer.ts";

/** See `avgPool2d` of the reference. */
export const avgPool2d = pool2d(
  "avgPool2dForward",
  ({ kernels, own }, { shape, gradOutput, gradInputs: [target] }) => (block) =>
    kernels.avgPool2dBackward(
      shape,
      locate(gradOutput!, own, block),
      locate(target!.tensor, own, block),
    ),
);

/** See `maxPool2d` of the reference. */
export const maxPool2d = pool2d("maxPool2dForward", (
  { kernels, own },
  { shape, inputs: [input], gradOutput, gradInputs: [target] },
) =>
(block) =>
  kernels.maxPool2dBackward(
    shape,
    locate(input, own, block),
    locate(gradOutput!, own, block),
    locate(target!.tensor, own, block),
  ));

type PoolCode = LayerCode<Pool2dLayer>;

function pool2d(
  forward: "avgPool2dForward" | "maxPool2dForward",
  giveBack: (...at: Parameters<PoolCode["backward"]>) => ReturnType<PoolCode["backward"]>[number],
): PoolCode {
  return {
    memory: () => ({ rereads: true, output: "new", gradient: "new" }),
    sizes: ({ poolSize, stride, padding }, { inputs: [input], output }) => [
      input.channels,
      input.height,
      input.width,
      input.rowBytes,
      output.height,
      output.width,
      output.rowBytes,
      ...poolSize,
      ...stride,
      ...padding,
    ],
    forward({ kernels, own }, { inputs: [input], output, shape }) {
      const { [forward]: kernel } = kernels;
      return (block) => kernel(shape, locate(input, own, block), locate(output, own, block));
    },
    backward: (thread, stage) => stage.gradInputs[0] ? [giveBack(thread, stage)] : [],
  };
}
