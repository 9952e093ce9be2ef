/** How tensors lie in device memory: images side by side, so that neighbours read neighbours. */

import type { Shape } from "../../nn/sequential.ts";

/** A tensor of a batch, [channels][rows][columns][images], with a border of zeros around each map.
 *
 * Borders are zero from the buffer's creation and never written, so that convolutions need no test of
 * where a window ends. Channels are rounded up to 4 for gradients, for the same reason.
 */
export interface DeviceTensor {
  readonly buffer: GPUBuffer;
  /** Where it starts in the buffer, in elements of `Images`. */
  readonly offset: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  /** Rows of zeros above and below. */
  readonly borderY: number;
  /** Columns of zeros left and right. */
  readonly borderX: number;
  /** Distances, in elements of `Images`. */
  readonly columnStride: number;
  readonly rowStride: number;
  readonly channelStride: number;
}

/** Rows of zeros above and below each map, columns of zeros left and right. */
export type Border = readonly [y: number, x: number];

/** Makes buffers and knows how many images side by side they hold. */
export interface TensorMaker {
  /** Images of the largest chunk. */
  readonly capacity: number;
  readonly imagesPerInvocation: number;
  createBuffer(label: string, byteLength: number): GPUBuffer;
}

/** Allocates a tensor for [channels, height, width] or [features] of every image of a chunk. */
export function layTensor(
  maker: TensorMaker,
  label: string,
  shape: Shape,
  border: Border = [0, 0],
): DeviceTensor {
  const floats = floatsPerImage(shape, border);
  return describeTensor(maker, shape, {
    buffer: maker.createBuffer(label, 4 * maker.capacity * floats),
    offset: 0,
    border,
  });
}

/** Allocates vectors of several lengths in one buffer, so that a kernel can bind them as one. */
export function layVectors(
  maker: TensorMaker,
  label: string,
  lengths: readonly number[],
): DeviceTensor[] {
  if (lengths.length === 0) return [];
  const floats = lengths.map((length) => roundUp(length, 4));
  const total = floats.reduce((sum, length) => sum + length, 0);
  const buffer = maker.createBuffer(label, 4 * maker.capacity * total);
  let offset = 0;
  return lengths.map((length, index) => {
    const tensor = describeTensor(maker, [length], { buffer, offset, border: [0, 0] });
    offset += floats[index] * tensor.columnStride;
    return tensor;
  });
}

function describeTensor(
  { capacity, imagesPerInvocation }: TensorMaker,
  shape: Shape,
  { buffer, offset, border: [borderY, borderX] }: Pick<DeviceTensor, "buffer" | "offset"> & {
    readonly border: Border;
  },
): DeviceTensor {
  const [channels, height, width] = imageShape(shape);
  const columnStride = capacity / imagesPerInvocation;
  const rowStride = columnStride * (width + 2 * borderX);
  return {
    buffer,
    offset,
    channels,
    height,
    width,
    borderY,
    borderX,
    columnStride,
    rowStride,
    channelStride: rowStride * (height + 2 * borderY),
  };
}

/** Length of a tensor for one image, border and rounded channels included. */
export function floatsPerImage(shape: Shape, [borderY, borderX]: Border = [0, 0]): number {
  const [channels, height, width] = imageShape(shape);
  return roundUp(channels, 4) * (height + 2 * borderY) * (width + 2 * borderX);
}

/** The same memory as a vector of features, as flatten sees it. */
export function flattenTensor(tensor: DeviceTensor): DeviceTensor {
  const { channels, height, width, columnStride } = tensor;
  if (tensor.borderY + tensor.borderX > 0) {
    throw new TypeError("Cannot flatten a tensor with a border");
  }
  return {
    ...tensor,
    channels: channels * height * width,
    height: 1,
    width: 1,
    rowStride: columnStride,
    channelStride: columnStride,
  };
}

/** WGSL for an element's index; `n` is the invocation's place among the images. */
export function indexOf(
  tensor: DeviceTensor,
  [channel, y, x]: readonly [string, string, string],
): string {
  const { channelStride, rowStride, columnStride, borderY, borderX } = tensor;
  const corner = tensor.offset + borderY * rowStride + borderX * columnStride;
  return `(${channel}) * ${channelStride}u + (${y}) * ${rowStride}u + (${x}) * ${columnStride}u + ` +
    `${corner}u + n`;
}

/** [channels, height, width]; a vector is as many channels of one pixel. */
export function imageShape(shape: Shape): readonly [number, number, number] {
  const [channels, height = 1, width = 1] = shape;
  return [channels, height, width];
}

/** The smallest multiple of `step` that is not below `value`. */
export function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}
