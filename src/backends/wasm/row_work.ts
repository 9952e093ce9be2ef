/** What a step does with parameters: their gradients, their update, and packing. */

import type { OptimizerSpec } from "../backend.ts";
import type { Kernels } from "./kernels.ts";
import type { Layout, Stage } from "./layout.ts";
import { isTrainable } from "./tensors.ts";

/** Work on a thread's rows of a layer: its output channels or features. */
export interface RowWork {
  /** Sums a linear layer's gradients over the blocks of a chunk, and over the chunks before it. */
  accumulate(blocks: number, isFirstChunk: boolean): void;
  /** Sums a convolution's gradients over the groups of blocks. */
  reduce(groups: number): void;
  /** Moves the parameters against their gradients; steps count from 1. */
  update(learningRate: number, step: number): void;
  /** Copies weights into the orders in which kernels read them. */
  pack(): void;
}

/** A layer and the rows of it that are a thread's. */
interface Share {
  readonly stage: Stage;
  readonly firstRow: number;
  /** Exclusive. */
  readonly lastRow: number;
}

/** Walks a layout into one thread's work. Rows stay with their thread, and so in its cache. */
export function buildRowWork(
  kernels: Kernels,
  layout: Layout,
  { optimizer, thread, threads }: {
    readonly optimizer: OptimizerSpec;
    readonly thread: number;
    readonly threads: number;
  },
): RowWork[] {
  const scratch = layout.ownStart + thread * layout.threadBytes + layout.scratch;
  return layout.stages.filter(({ layer }) => isTrainable(layer)).map((stage) => {
    const { packedForward, packedBackward, shape, layer } = stage;
    const rows = layer.outputShape[0];
    const firstRow = Math.floor(thread * rows / threads);
    const lastRow = Math.floor((thread + 1) * rows / threads);
    const share = { stage, firstRow, lastRow };
    const weight = layout.parameters + parametersOf(share).weight;
    return {
      ...gradientWork(kernels, layout, share, scratch),
      update: updateWork(kernels, layout, share, optimizer),
      pack() {
        kernels.packForward(shape, weight, firstRow, lastRow, packedForward);
        if (packedBackward !== 0) {
          kernels.packBackward(shape, weight, firstRow, lastRow, packedBackward);
        }
      },
    };
  });
}

/** Where the layer has its parameters, in bytes from the start of any vector of them. */
function parametersOf({ stage: { layer } }: Share) {
  if (!isTrainable(layer)) throw new TypeError("Expected a layer with parameters");
  const { weight, bias } = layer;
  return { weight: 4 * weight.offset, bias: 4 * bias.offset, rowSize: weight.size / bias.size };
}

function gradientWork(
  kernels: Kernels,
  { gradients, groupBytes, ones }: Layout,
  share: Share,
  scratch: number,
): Pick<RowWork, "accumulate" | "reduce"> {
  const { stage: { layer, input, gradOutput, shape, sums }, firstRow, lastRow } = share;
  const { weight, bias } = parametersOf(share);
  return {
    accumulate(blocks, isFirstChunk) {
      if (layer.type !== "linear") return;
      kernels.linearWeightGradient(
        input.address,
        input.channels,
        input.blockBytes,
        gradOutput!.address,
        gradOutput!.blockBytes,
        blocks,
        firstRow,
        lastRow,
        gradients + weight,
        gradients + bias,
        ones,
        scratch,
        !isFirstChunk,
      );
    },
    reduce(groups) {
      if (layer.type !== "conv2d") return;
      kernels.conv2dReduceGradients(
        shape,
        sums,
        groupBytes,
        groups,
        firstRow,
        lastRow,
        gradients + weight,
        gradients + bias,
      );
    },
  };
}

function updateWork(
  kernels: Kernels,
  layout: Layout,
  share: Share,
  optimizer: OptimizerSpec,
): RowWork["update"] {
  const { firstRow, lastRow } = share;
  const { weight, bias, rowSize } = parametersOf(share);
  const ranges = [
    { offset: weight + 4 * firstRow * rowSize, count: (lastRow - firstRow) * rowSize },
    { offset: bias + 4 * firstRow, count: lastRow - firstRow },
  ].map(({ offset, count }) => ({
    parameters: layout.parameters + offset,
    gradients: layout.gradients + offset,
    slots: layout.slots.map((address) => address + offset),
    count,
  }));
  return (learningRate, step) => {
    for (const { parameters, gradients, slots: [slot, slot2], count } of ranges) {
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
  };
}
