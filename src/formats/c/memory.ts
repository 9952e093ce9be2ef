/** Where each tensor lies in one piece of memory: what is no longer read makes room for others. */

import { volume } from "../../nn/layers/layer.ts";
import { IMAGE, type Model } from "../../nn/sequential.ts";

/** What a layer does about memory. */
export type Placement = "new" | "in place" | "same";

/** A plan of a model's memory. */
export interface MemoryPlan {
  /** Place of each layer's output, in elements; of the image under -1. */
  readonly offsets: ReadonlyMap<number, number>;
  /** Elements in all. */
  readonly size: number;
}

/** One place, and when it is in use: from the layer that writes it to the last that reads it. */
interface Block {
  readonly size: number;
  readonly from: number;
  to: number;
  offset: number;
}

/** Plans memory for one image going through the layers one after another.
 *
 * @param placements `same`: the output is the input, untouched; `in place`: it may take the input's
 * place where nobody else reads that afterwards.
 */
export function planMemory(model: Model, placements: readonly Placement[]): MemoryPlan {
  const { layers } = model;
  const lastRead = (tensor: number) =>
    tensor === layers.length - 1
      ? layers.length
      : layers.findLastIndex(({ inputs }) => inputs.includes(tensor));
  const blockAt = (size: number, from: number) => ({ size, from, to: lastRead(from), offset: 0 });
  const blocks = new Map<number, Block>([[IMAGE, blockAt(volume(model.inputShape), IMAGE)]]);
  for (const [index, { inputs: [input], outputShape }] of layers.entries()) {
    const block = blocks.get(input)!;
    const isFree = placements[index] === "in place" && block.to === index;
    if (isFree || placements[index] === "same") {
      blocks.set(index, block);
      block.to = Math.max(block.to, lastRead(index));
    } else blocks.set(index, blockAt(volume(outputShape), index));
  }
  const placed: Block[] = [];
  for (const block of [...new Set(blocks.values())].sort((a, b) => b.size - a.size)) {
    const others = placed.filter(({ from, to }) => from <= block.to && block.from <= to)
      .sort((a, b) => a.offset - b.offset);
    for (const { offset, size } of others) {
      if (offset >= block.offset + block.size) break;
      block.offset = Math.max(block.offset, offset + size);
    }
    placed.push(block);
  }
  return {
    offsets: new Map([...blocks].map(([tensor, { offset }]) => [tensor, offset])),
    size: Math.max(...placed.map(({ offset, size }) => offset + size)),
  };
}
