/** How tensors lie in memory, a block of images side by side. */

import { type Shape, volume } from "../../nn/layers/layer.ts";
import { type Arena, ELEMENT_BYTES } from "./arena.ts";

/** A tensor [y][x][channel][8 images]; a vector is 1x1 with its features as channels. */
export interface BlockTensor {
  /** Element (0, 0, 0) of block 0, or within a thread's own memory; zeros may lie around it. */
  readonly address: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly rowBytes: number;
  /** One for each block, blockBytes apart; or else one for each thread, used block after block. */
  readonly shared: boolean;
  readonly blockBytes: number;
}

/** Where tensors are allocated. */
export interface TensorMemory {
  readonly shared: Arena;
  readonly own: Arena;
  /** Blocks for which shared tensors are kept. */
  readonly blocks: number;
}

/** What is wanted of a tensor beside its elements. */
export interface TensorNeeds {
  /** Rows and columns of zeros around it; default none. */
  readonly padding?: readonly [height: number, width: number];
  /** Whether all blocks' are kept. */
  readonly keep?: boolean;
}

/** Allocates a tensor. */
export function allocateTensor(
  memory: TensorMemory,
  shape: Shape,
  { padding: [paddingHeight, paddingWidth] = [0, 0], keep: shared = false }: TensorNeeds = {},
): BlockTensor {
  const [channels, height = 1, width = 1] = shape;
  const columnBytes = channels * ELEMENT_BYTES;
  const rowBytes = (width + 2 * paddingWidth) * columnBytes;
  const bytes = (height + 2 * paddingHeight) * rowBytes;
  // A power of two would put the same feature of all blocks into one set of the first-level cache.
  const blockBytes = shared && bytes % 1024 === 0 ? bytes + 3 * ELEMENT_BYTES : bytes;
  const corner = shared
    ? memory.shared.allocate(blockBytes * memory.blocks)
    : memory.own.allocate(blockBytes);
  return {
    address: corner + paddingHeight * rowBytes + paddingWidth * columnBytes,
    channels,
    height,
    width,
    rowBytes,
    shared,
    blockBytes,
  };
}

/** The same memory under the shape that flatten gives it. */
export function viewAs(tensor: BlockTensor, shape: Shape): BlockTensor {
  if (shape.length > 1 || tensor.height * tensor.width === 1) return tensor;
  return { ...tensor, channels: volume(shape), height: 1, width: 1, rowBytes: tensor.blockBytes };
}

/** Where a tensor lies for one thread and block. */
export function locate(tensor: BlockTensor, own: number, block: number): number {
  return tensor.address + (tensor.shared ? block * tensor.blockBytes : own);
}

/** Whether two tensors are views of one; addresses of shared and own memory count separately. */
export function sharesMemory(a: BlockTensor, b: BlockTensor): boolean {
  return a.shared === b.shared && a.address === b.address;
}

/** Bytes of a row without what lies around it. */
export function denseRowBytes({ width, channels }: BlockTensor): number {
  return width * channels * ELEMENT_BYTES;
}
