/** A model as a list of kernel calls, for one thread: what it does with a block, and with its rows.
 */

import type { OptimizerSpec } from "../backend.ts";
import { ELEMENT_BYTES } from "./arena.ts";
import type { Kernels } from "./kernels.ts";
import type { Layout, Stage } from "./layout.ts";
import { isTrainable, sharesMemory, type Tensor } from "./tensors.ts";

/** A kernel call on one block of images. */
type BlockCall = (block: number) => void;

/** Work that every thread does for its own rows: output channels or features. */
export interface RowWork {
  /** Sums a linear layer's gradients over the blocks of a chunk. */
  accumulate(blocks: number, isFirstChunk: boolean): void;
  /** Sums a convolution's gradients over threads. */
  reduce(): void;
  update(learningRate: number, step: number): void;
  /** Copies weights into the orders in which kernels read them. */
  pack(): void;
}

/** One thread's program. */
export interface Network {
  readonly forward: readonly BlockCall[];
  readonly backward: readonly BlockCall[];
  readonly rows: readonly RowWork[];
  /** Forgets the convolutions' gradients of the step before. */
  readonly clear: () => void;
}

/** What a program is made for. */
export interface NetworkOptions {
  readonly optimizer: OptimizerSpec;
  readonly thread: number;
  readonly threads: number;
}

/** Walks a layout into one thread's kernel calls. */
export function buildNetwork(kernels: Kernels, layout: Layout, options: NetworkOptions): Network {
  const own = layout.ownStart + options.thread * layout.threadBytes;
  const { stages } = layout;
  const trainable = stages.filter(({ layer }) => isTrainable(layer));
  const sums = stages.filter(({ sumsBytes }) => sumsBytes > 0);
  return {
    forward: stages.flatMap((stage) => forwardCall(kernels, layout, stage, own) ?? []),
    backward: stages.flatMap((stage) => backwardCalls(kernels, layout, stage, own)).reverse(),
    rows: trainable.map((stage) => rowWork(kernels, layout, stage, options)),
    clear: () => sums.forEach((stage) => kernels.fillZeros(stage.sums + own, stage.sumsBytes)),
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
): BlockCall | undefined {
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
  { ones }: Layout,
  stage: Stage,
  own: number,
): BlockCall[] {
  const { layer, input, output, gradInput, gradOutput, shape, packedBackward } = stage;
  if (gradOutput === undefined) return [];
  const slope = (block: number) => locate(gradOutput, own, block);
  const calls: BlockCall[] = [];
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
    const sums = stage.sums + own;
    calls.push((block) =>
      kernels.conv2dWeightGradient(
        shape,
        locateCorner(input, own, block),
        slope(block),
        ones,
        sums,
      )
    );
  }
  return calls;
}

function denseRowBytes({ width, channels }: Tensor): number {
  return width * channels * ELEMENT_BYTES;
}

/** A layer's rows are shared out evenly; each thread updates and packs what it has summed. */
function rowWork(
  kernels: Kernels,
  layout: Layout,
  stage: Stage,
  { optimizer, thread, threads }: NetworkOptions,
): RowWork {
  const { layer, input, gradOutput, shape, packedForward, packedBackward } = stage;
  if (!isTrainable(layer) || gradOutput === undefined) throw new TypeError("Expected parameters");
  const rows = layer.bias.size;
  const first = Math.floor(thread * rows / threads);
  const last = Math.floor((thread + 1) * rows / threads);
  const weight = layout.parameters + 4 * layer.weight.offset;
  const gradWeight = layout.gradients + 4 * layer.weight.offset;
  const gradBias = layout.gradients + 4 * layer.bias.offset;
  const scratch = layout.ownStart + thread * layout.threadBytes + layout.scratch;
  const rowSize = layer.weight.size / rows;
  const ranges = [
    { offset: 4 * (layer.weight.offset + first * rowSize), count: (last - first) * rowSize },
    { offset: 4 * (layer.bias.offset + first), count: last - first },
  ];
  return {
    accumulate(blocks, isFirstChunk) {
      if (layer.type !== "linear") return;
      kernels.linearWeightGradient(
        input.address,
        input.channels,
        gradOutput.address,
        gradOutput.channels,
        blocks,
        first,
        last,
        gradWeight,
        gradBias,
        layout.ones,
        scratch,
        !isFirstChunk,
      );
    },
    reduce() {
      if (layer.type !== "conv2d") return;
      kernels.conv2dReduceGradients(
        shape,
        layout.ownStart + stage.sums,
        layout.threadBytes,
        threads,
        first,
        last,
        gradWeight,
        gradBias,
      );
    },
    update(learningRate, step) {
      for (const { offset, count } of ranges) {
        const parameters = layout.parameters + offset;
        const gradients = layout.gradients + offset;
        const [slot, slot2] = layout.slots.map((address) => address + offset);
        if (optimizer.type === "adam") {
          const { beta1, beta2, epsilon } = optimizer;
          kernels.adamUpdate(
            parameters,
            gradients,
            slot,
            slot2,
            count,
            learningRate / (1 - beta1 ** step),
            beta1,
            1 - beta1,
            beta2,
            1 - beta2,
            1 / Math.sqrt(1 - beta2 ** step),
            epsilon,
          );
        } else if (slot !== undefined) {
          const { momentum } = optimizer;
          kernels.momentumUpdate(parameters, gradients, slot, count, learningRate, momentum);
        } else {
          kernels.sgdUpdate(parameters, gradients, count, learningRate);
        }
      }
    },
    pack() {
      kernels.packForward(shape, weight, first, last, packedForward);
      if (packedBackward !== 0) kernels.packBackward(shape, weight, first, last, packedBackward);
    },
  };
}
