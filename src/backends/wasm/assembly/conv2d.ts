/** Convolution, and with it the linear layer, forward and backward, for one block of eight images.
 */

import { dot } from "./dot";
import { outer } from "./outer";
import { blockCount, blockStart, Conv2dShape } from "./shapes";
import { ELEMENT_BYTES, VECTOR_BYTES } from "./simd";

/** What the weight gradient reads at a time of output gradients: a block of six channels at most of some
 * rows, which stays in the first-level cache while all taps pass over it.
 */
const TILE_BYTES: i32 = 24576;
const WIDEST_BYTES: i32 = 6 * ELEMENT_BYTES;

/** output = bias + weight * input; equals the reference's conv2dForward to 1e-6 relative.
 *
 * Layout: [y][x][channel][8 images], input at the corner of its border of zeros. One row of the
 * kernel is then one run of kernelWidth * inChannels elements. weight as packed by packForward.
 */
export function conv2dForward(
  shape: Conv2dShape, input: usize, weight: usize, bias: usize, output: usize,
): void {
  const outChannels = shape.outChannels;
  const elementStep = shape.inChannels * ELEMENT_BYTES;
  const runBytes = shape.kernelWidth * elementStep;
  const weightBytes = shape.kernelHeight * shape.kernelWidth * shape.inChannels * 4;
  const blocks = blockCount(outChannels);
  for (let y = 0; y < shape.outHeight; y++) {
    const row = input + y * shape.strideHeight * shape.inRowBytes;
    for (let block = 0; block < blocks; block++) {
      const first = blockStart(block, blocks, outChannels);
      dot(
        blockStart(block + 1, blocks, outChannels) - first, row, shape.strideWidth * elementStep,
        shape.inRowBytes - runBytes, shape.outWidth, shape.kernelHeight, runBytes,
        weight + first * weightBytes, 0, bias + first * 4,
        output + y * shape.outRowBytes + first * ELEMENT_BYTES, outChannels * ELEMENT_BYTES,
      );
    }
  }
}

/** gradInput = transposed weight * gradOutput; equals the reference's conv2dInputGradient to 1e-6.
 *
 * Layout: both gradients [y][x][channel][8 images] without border; weight as packed by
 * packBackward. Input (y, x) meets kernel row ky at output row (y + padding - ky) / stride, if that
 * is whole and exists. Only kernel rows of one remainder modulo the stride can: packBackward
 * gathers them, turned around, so that ascending output rows and columns meet ascending weights,
 * and what does not exist is cut off instead of multiplied by zero.
 */
export function conv2dInputGradient(
  shape: Conv2dShape, gradOutput: usize, weight: usize, gradInput: usize,
): void {
  const inChannels = shape.inChannels, outChannels = shape.outChannels;
  const outHeight = shape.outHeight, outWidth = shape.outWidth;
  const strideHeight = shape.strideHeight, strideWidth = shape.strideWidth;
  const columnBytes = outChannels * ELEMENT_BYTES;
  const weightBytes = shape.kernelHeight * shape.kernelWidth * outChannels * 4;
  const blocks = blockCount(inChannels);
  for (let y = 0; y < shape.inHeight; y++) {
    const row = (y + shape.paddingHeight) / strideHeight;
    const phaseY = (y + shape.paddingHeight) % strideHeight;
    const tapsY = tapsOfPhase(phaseY, shape.kernelHeight, strideHeight);
    const firstY = row - tapsY + 1;
    const y0 = max(0, firstY), y1 = min(outHeight, row + 1);
    for (let block = 0; block < blocks; block++) {
      const first = blockStart(block, blocks, inChannels);
      const width = blockStart(block + 1, blocks, inChannels) - first;
      const tapBytes = outChannels * width * 4;
      for (let x = 0; x < shape.inWidth; x++) {
        const column = (x + shape.paddingWidth) / strideWidth;
        const phaseX = (x + shape.paddingWidth) % strideWidth;
        const tapsX = tapsOfPhase(phaseX, shape.kernelWidth, strideWidth);
        const firstX = column - tapsX + 1;
        const x0 = max(0, firstX), x1 = min(outWidth, column + 1);
        const taps = max(0, x1 - x0);
        const tapsBefore = tapsBeforePhase(phaseY, shape.kernelHeight, strideHeight) *
            shape.kernelWidth + tapsY * tapsBeforePhase(phaseX, shape.kernelWidth, strideWidth);
        const firstTap = tapsBefore + (y0 - firstY) * tapsX + (x0 - firstX);
        dot(
          width, gradOutput + (y0 * outWidth + x0) * columnBytes, 0,
          (outWidth - taps) * columnBytes, 1, y1 - y0, taps * columnBytes,
          weight + first * weightBytes + firstTap * tapBytes, (tapsX - taps) * tapBytes, 0,
          gradInput + ((y * shape.inWidth + x) * inChannels + first) * ELEMENT_BYTES, 0,
        );
      }
    }
  }
}

/** Adds the block's share of the gradients of weight and bias to sums; summed over lanes and
 * threads by conv2dReduceGradients, they equal the reference's conv2dWeightGradient to 1e-5
 * relative.
 *
 * Layout: sums [tap][outChannel][4 lanes], taps in the order of packForward; the bias is one more
 * tap, whose input is always one. Taps go in pairs: neighbours in a row of the kernel, then those
 * left over at the ends of two rows.
 */
export function conv2dWeightGradient(
  shape: Conv2dShape, input: usize, gradOutput: usize, ones: usize, sums: usize,
): void {
  const outChannels = shape.outChannels;
  const rowTaps = shape.kernelWidth * shape.inChannels;
  const taps = shape.kernelHeight * rowTaps;
  const inStep = shape.strideWidth * shape.inChannels * ELEMENT_BYTES;
  const inSkip = shape.strideHeight * shape.inRowBytes - shape.outWidth * inStep;
  const outStep = outChannels * ELEMENT_BYTES;
  const tapBytes = outChannels * VECTOR_BYTES;
  const blocks = blockCount(outChannels);
  const tileHeight = max(1, TILE_BYTES / (shape.outWidth * min(outStep, WIDEST_BYTES)));
  for (let y = 0; y < shape.outHeight; y += tileHeight) {
    const rows = min(tileHeight, shape.outHeight - y);
    const top = input + y * shape.strideHeight * shape.inRowBytes;
    for (let block = 0; block < blocks; block++) {
      const first = blockStart(block, blocks, outChannels);
      const width = blockStart(block + 1, blocks, outChannels) - first;
      const gradient = gradOutput + y * shape.outWidth * outStep + first * ELEMENT_BYTES;
      const sum = sums + first * VECTOR_BYTES;
      for (let row = 0; row < shape.kernelHeight; row++) {
        const tap = top + row * shape.inRowBytes;
        for (let i = 0; i + 1 < rowTaps; i += 2) {
          const pair = sum + (row * rowTaps + i) * tapBytes;
          outer(
            width, rows, shape.outWidth, gradient, outStep, 0,
            tap + i * ELEMENT_BYTES, inStep, inSkip, ELEMENT_BYTES, pair, pair + tapBytes,
          );
        }
        if (rowTaps % 2 == 1 && row % 2 == 0) {
          const lone = row + 1 == shape.kernelHeight;
          const last = sum + ((row + 1) * rowTaps - 1) * tapBytes;
          outer(
            width, rows, shape.outWidth, gradient, outStep, 0,
            tap + (rowTaps - 1) * ELEMENT_BYTES, inStep, inSkip, lone ? 0 : shape.inRowBytes,
            last, lone ? last : last + rowTaps * tapBytes,
          );
        }
      }
      const biasSum = sum + taps * tapBytes;
      outer(width, rows, shape.outWidth, gradient, outStep, 0, ones, 0, 0, 0, biasSum, biasSum);
    }
  }
}

/** Writes the gradients of output channels firstRow..lastRow (exclusive) in PyTorch's layout: sums
 * of conv2dWeightGradient over `groups` of blocks, groupBytes apart, in their order, and over the
 * four lanes. Without groups, zeros.
 */
export function conv2dReduceGradients(
  shape: Conv2dShape, sums: usize, groupBytes: usize, groups: i32, firstRow: i32, lastRow: i32,
  gradWeight: usize, gradBias: usize,
): void {
  const inChannels = shape.inChannels, outChannels = shape.outChannels;
  const area = shape.kernelHeight * shape.kernelWidth;
  const tapBytes = outChannels * VECTOR_BYTES;
  const rowBytes = inChannels * area * 4;
  let sum = sums + firstRow * VECTOR_BYTES;
  for (let tap = 0; tap < area; tap++) {
    for (let i = 0; i < inChannels; i++) {
      const weight = gradWeight + firstRow * rowBytes + (i * area + tap) * 4;
      sumGroups(sum, groupBytes, groups, lastRow - firstRow, weight, rowBytes);
      sum += tapBytes;
    }
  }
  sumGroups(sum, groupBytes, groups, lastRow - firstRow, gradBias + firstRow * 4, 4);
}

/** Writes sums over groups and lanes of `count` neighbouring vectors, outputStep bytes apart. */
export function sumGroups(
  sum: usize, groupBytes: usize, groups: i32, count: i32, output: usize, outputStep: usize,
): void {
  for (; count > 0; count--) {
    let total = f32x4.splat(0);
    let term = sum;
    for (let group = 0; group < groups; group++) {
      total = f32x4.add(total, v128.load(term));
      term += groupBytes;
    }
    store<f32>(
      output,
      f32x4.extract_lane(total, 0) + f32x4.extract_lane(total, 1) +
        f32x4.extract_lane(total, 2) + f32x4.extract_lane(total, 3),
    );
    sum += VECTOR_BYTES;
    output += outputStep;
  }
}

/** Kernel rows (or columns) that are `phase` modulo the stride. */
// @ts-ignore: decorator
@inline
export function tapsOfPhase(phase: i32, kernelSize: i32, stride: i32): i32 {
  return (kernelSize - phase + stride - 1) / stride;
}

/** Kernel rows (or columns) of all phases before this one. */
export function tapsBeforePhase(phase: i32, kernelSize: i32, stride: i32): i32 {
  let taps = 0;
  for (let p = 0; p < phase; p++) taps += max(0, tapsOfPhase(p, kernelSize, stride));
  return taps;
}
