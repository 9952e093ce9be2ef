/** A model as a list of kernel calls, for one thread: what it does with a block of images. */

import { ELEMENT_BYTES } from "./arena.ts";
import type { Kernels } from "./kernels.ts";
import type { Layout, Stage } from "./layout.ts";
import { sharesMemory, type Tensor } from "./tensors.ts";

/** A kernel call on one block of images. */
type ForwardCall = (block: number) => void;

/** The same; weight gradients go to the sums of the block's group. */
type BackwardCall = (block: number, group: number) => void;

/** One thread's program for a block of a chunk. */
export interface Network {
  readonly forward: readonly ForwardCall[];
  readonly backward: readonly BackwardCall[];
}

/** Walks a layout into one thread's kernel calls. */
export function buildNetwork(kernels: Kernels, layout: Layout, thread: number): Network {
  const own = layout.ownStart + thread * layout.threadBytes;
  const { stages } = layout;
  return {
    forward: stages.flatMap((stage) => forwardCall(kernels, layout, stage, own) ?? []),
    backward: stages.flatMap((stage) => backwardCalls(kernels, layout, stage, own)).reverse(),
  };
}

/** Where a tensor lies for one thread and block. */
export function locate(tensor: Tensor, own: number, block: number): number {
  return tensor.address + (tensor.shared ? block * tensor.blockBytes : own);
}

function locateCorner(tensor: Tensor, own: number, block: number): number {
  return tensor.corner + (tensor.shared ? block * tensor.blockBytes : own);
}

function forwardCall(
  kernels: Kernels,
  { parameters }: Layout,
  stage: Stage,
  own: number,
): ForwardCall | undefined {
  const { layer, input, output, shape, packedForward } = stage;
  const from = (block: number) => locate(input, own, block);
  const to = (block: number) => locate(output, own, block);
  switch (layer.type) {
    case "conv2d":
    case "linear": {
      const bias = parameters + 4 * layer.bias.offset;
      const corner = (block: number) => locateCorner(input, own, block);
      return (block) => kernels.conv2dForward(shape, corner(block), packedForward, bias, to(block));
    }
    case "avgPool2d":
    case "maxPool2d": {
      const kernel = kernels[`${layer.type}Forward`];
      return (block) => kernel(shape, from(block), to(block));
    }
    case "flatten": {
      if (sharesMemory(input, output)) return undefined;
      const { channels, height, width, rowBytes } = input;
      return (block) =>
        kernels.flattenForward(from(block), rowBytes, channels, height, width, to(block));
    }
    case "residual":
      throw new TypeError("not yet");
    default: {
      const kernel = kernels[`${layer.type}Forward`];
      const { height, rowBytes } = input;
      const bytes = denseRowBytes(input);
      return (block) => kernel(from(block), rowBytes, to(block), output.rowBytes, height, bytes);
    }
  }
}

/** Kernel calls of a layer's gradients for one block, in reverse. */
function backwardCalls(
  kernels: Kernels,
  { ones, groupBytes }: Layout,
  stage: Stage,
  own: number,
): BackwardCall[] {
  const { layer, input, output, gradInput, gradOutput, shape, packedBackward } = stage;
  if (gradOutput === undefined) return [];
  const slope = (block: number) => locate(gradOutput, own, block);
  const calls: BackwardCall[] = [];
  if (gradInput !== undefined) {
    const to = (block: number) => locate(gradInput, own, block);
    const from = (block: number) => locate(input, own, block);
    switch (layer.type) {
      case "conv2d":
      case "linear":
        calls.push((block) =>
          kernels.conv2dInputGradient(shape, slope(block), packedBackward, to(block))
        );
        break;
      case "avgPool2d":
        calls.push((block) => kernels.avgPool2dBackward(shape, slope(block), to(block)));
        break;
      case "maxPool2d":
        calls.push((block) =>
          kernels.maxPool2dBackward(shape, from(block), slope(block), to(block))
        );
        break;
      case "flatten":
        if (!sharesMemory(gradInput, gradOutput)) {
          const { channels, height, width } = input;
          calls.push((block) =>
            kernels.flattenBackward(slope(block), channels, height, width, to(block))
          );
        }
        break;
      case "residual":
        throw new TypeError("not yet");
      default: {
        const kernel = kernels[`${layer.type}Backward`];
        const { height, rowBytes } = output;
        calls.push((block) =>
          kernel(
            locate(output, own, block),
            rowBytes,
            slope(block),
            gradOutput.rowBytes,
            height,
            denseRowBytes(output),
          )
        );
      }
    }
  }
  if (layer.type === "conv2d") {
    calls.push((block, group) =>
      kernels.conv2dWeightGradient(
        shape,
        locateCorner(input, own, block),
        slope(block),
        ones,
        stage.sums + group * groupBytes,
      )
    );
  }
  return calls;
}

function denseRowBytes({ width, channels }: Tensor): number {
  return width * channels * ELEMENT_BYTES;
}
