/** Chunks: as much of a batch as the tensors hold, and what kernels know of it. */

/** Bytes of a chunk's record, as `Chunk` in WGSL: of its last field, eight numbers. */
export const CHUNK_BYTES = 64;
const CONSTANTS_OFFSET = 32;

/** One record of the uniform buffer that kernels know as `chunk`. */
export interface Chunk {
  /** Place of the chunk's first image in the order. */
  readonly first: number;
  readonly count: number;
  /** Groups of images, each a workgroup wide; the last may be part empty. */
  readonly groups: number;
  /** Images of the whole batch: all chunks of all shards. */
  readonly wholeCount: number;
  /** One over what the whole batch's sums are divided by: its number of images, or their weight. */
  readonly gradientScale: number;
  /** Updates made before this batch. */
  readonly step: number;
  /** Whether gradients of the batch's earlier chunks are to be added. */
  readonly accumulate: boolean;
  /** Whether this is the batch's last chunk, and parameters are to be updated. */
  readonly update: boolean;
  /** Of the update's rule, in order; up to eight. */
  readonly constants: readonly number[];
}

/** A chunk in WGSL. */
export const CHUNK_WGSL = `
struct Chunk {
  first: u32,
  count: u32,
  groups: u32,
  gradient_scale: f32,
  accumulate: u32,
  update: u32,
  whole_count: u32,
  step: u32,
  constants: array<vec4f, 2>,
}
@group(0) @binding(0) var<uniform> chunk: Chunk;
`;

/** Writes a chunk's record. */
export function writeChunk(view: DataView, byteOffset: number, chunk: Chunk): void {
  view.setUint32(byteOffset, chunk.first, true);
  view.setUint32(byteOffset + 4, chunk.count, true);
  view.setUint32(byteOffset + 8, chunk.groups, true);
  view.setFloat32(byteOffset + 12, chunk.gradientScale, true);
  view.setUint32(byteOffset + 16, Number(chunk.accumulate), true);
  view.setUint32(byteOffset + 20, Number(chunk.update), true);
  view.setUint32(byteOffset + 24, chunk.wholeCount, true);
  view.setUint32(byteOffset + 28, chunk.step, true);
  for (const [index, value] of chunk.constants.entries()) {
    view.setFloat32(byteOffset + CONSTANTS_OFFSET + 4 * index, value, true);
  }
}

/** A range of the order that is one batch. */
export interface Batch {
  readonly first: number;
  readonly count: number;
  /** Whether parameters are to be updated. */
  readonly update: boolean;
  /** Images of the batch that this is a part of; default: all of them are here. */
  readonly wholeCount?: number;
  /** What that batch's sums are divided by; default: its images. */
  readonly divisor?: number;
  /** Updates made before; default 0. */
  readonly step?: number;
  /** Of the update's rule; default none. */
  readonly constants?: readonly number[];
}

/** Cuts a batch into chunks that the tensors can hold; a batch of nothing is one chunk. */
export function cutBatch(
  { first, count, update, constants = [], wholeCount = count, divisor = wholeCount, step = 0 }:
    Batch,
  { capacity, group }: { readonly capacity: number; readonly group: number },
): Chunk[] {
  const chunks: Chunk[] = [];
  for (let done = 0; done < count || done === 0; done += capacity) {
    const length = Math.min(capacity, count - done);
    chunks.push({
      first: first + done,
      count: length,
      groups: Math.ceil(length / group),
      wholeCount,
      gradientScale: 1 / divisor,
      step,
      constants,
      accumulate: done > 0,
      update: update && done + length === count,
    });
  }
  return chunks;
}

/** A chunk without images, whose update uses the gradients as they are in their buffer. */
export function updateChunk(constants: readonly number[], wholeCount = 0): Chunk {
  const nothing = { first: 0, count: 0, groups: 0, gradientScale: 0, step: 0 };
  return { ...nothing, wholeCount, constants, accumulate: true, update: true };
}
