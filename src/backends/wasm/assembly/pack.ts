/** Copies of the weights in the order in which the kernels read them, made anew after each update.
 */

import { tapsBeforePhase, tapsOfPhase } from "./conv2d";
import { blockCount, blockStart, Conv2dShape } from "./shapes";

/** Packs output channels firstRow..lastRow (exclusive) of weight [out][in][ky][kx] for
 * conv2dForward: [block of out][ky][kx][in][out within the block].
 */
export function packForward(
  shape: Conv2dShape, weight: usize, firstRow: i32, lastRow: i32, packed: usize,
): void {
  const inChannels = shape.inChannels, outChannels = shape.outChannels;
  const area = shape.kernelHeight * shape.kernelWidth;
  const rowBytes = area * inChannels * 4;
  const blocks = blockCount(outChannels);
  for (let block = 0; block < blocks; block++) {
    const first = blockStart(block, blocks, outChannels);
    const end = blockStart(block + 1, blocks, outChannels);
    let o = max(first, firstRow);
    if (area == 1) {
      for (; o + 4 <= min(end, lastRow); o += 4) {
        const to = packed + first * rowBytes + (o - first) * 4;
        transposeRows(weight + o * rowBytes, rowBytes, inChannels, to, (end - first) * 4);
      }
    }
    for (; o < min(end, lastRow); o++) {
      let to = packed + first * rowBytes + (o - first) * 4;
      for (let tap = 0; tap < area; tap++) {
        let from = weight + o * rowBytes + tap * 4;
        for (let i = 0; i < inChannels; i++) {
          store<f32>(to, load<f32>(from));
          to += (end - first) * 4;
          from += area * 4;
        }
      }
    }
  }
}

/** Writes four rows of `count` numbers as `count` neighbours of four, outputStep bytes apart. */
function transposeRows(
  row0: usize, rowBytes: usize, count: i32, output: usize, outputStep: usize,
): void {
  let row1 = row0 + rowBytes, row2 = row1 + rowBytes, row3 = row2 + rowBytes;
  for (; count >= 4; count -= 4) {
    const a = v128.load(row0), b = v128.load(row1), c = v128.load(row2), d = v128.load(row3);
    const abLow = v128.shuffle<f32>(a, b, 0, 4, 1, 5), abHigh = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
    const cdLow = v128.shuffle<f32>(c, d, 0, 4, 1, 5), cdHigh = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
    v128.store(output, v128.shuffle<f32>(abLow, cdLow, 0, 1, 4, 5));
    output += outputStep;
    v128.store(output, v128.shuffle<f32>(abLow, cdLow, 2, 3, 6, 7));
    output += outputStep;
    v128.store(output, v128.shuffle<f32>(abHigh, cdHigh, 0, 1, 4, 5));
    output += outputStep;
    v128.store(output, v128.shuffle<f32>(abHigh, cdHigh, 2, 3, 6, 7));
    output += outputStep;
    row0 += 16;
    row1 += 16;
    row2 += 16;
    row3 += 16;
  }
  for (; count > 0; count--) {
    store<f32>(output, load<f32>(row0));
    store<f32>(output, load<f32>(row1), 4);
    store<f32>(output, load<f32>(row2), 8);
    store<f32>(output, load<f32>(row3), 12);
    output += outputStep;
    row0 += 4;
    row1 += 4;
    row2 += 4;
    row3 += 4;
  }
}

/** Packs the same channels for conv2dInputGradient: [block of in][phase of ky][phase of kx][ky
 * descending][kx descending][out][in within the block]; a phase is a remainder modulo the stride.
 */
export function packBackward(
  shape: Conv2dShape, weight: usize, firstRow: i32, lastRow: i32, packed: usize,
): void {
  const inChannels = shape.inChannels, outChannels = shape.outChannels;
  const kernelHeight = shape.kernelHeight, kernelWidth = shape.kernelWidth;
  const area = kernelHeight * kernelWidth;
  const blocks = blockCount(inChannels);
  if (area == 1) return packRows(weight, inChannels, outChannels, firstRow, lastRow, packed);
  for (let ky = 0; ky < kernelHeight; ky++) {
    const phaseY = ky % shape.strideHeight;
    const tapsY = tapsOfPhase(phaseY, kernelHeight, shape.strideHeight);
    const fromLastY = tapsY - 1 - ky / shape.strideHeight;
    for (let kx = 0; kx < kernelWidth; kx++) {
      const phaseX = kx % shape.strideWidth;
      const tapsX = tapsOfPhase(phaseX, kernelWidth, shape.strideWidth);
      const fromLastX = tapsX - 1 - kx / shape.strideWidth;
      const tap = tapsBeforePhase(phaseY, kernelHeight, shape.strideHeight) * kernelWidth +
        tapsY * tapsBeforePhase(phaseX, kernelWidth, shape.strideWidth) + fromLastY * tapsX +
        fromLastX;
      for (let block = 0; block < blocks; block++) {
        const first = blockStart(block, blocks, inChannels);
        const end = blockStart(block + 1, blocks, inChannels);
        const width = end - first;
        for (let i = first; i < end; i++) {
          let from = weight + ((firstRow * inChannels + i) * area + ky * kernelWidth + kx) * 4;
          let to = packed +
            (first * area * outChannels + (tap * outChannels + firstRow) * width + i - first) * 4;
          for (let o = firstRow; o < lastRow; o++) {
            store<f32>(to, load<f32>(from));
            from += inChannels * area * 4;
            to += width * 4;
          }
        }
      }
    }
  }
}

/** packBackward of a linear layer: a row's inputs are neighbours already, and stay so. */
function packRows(
  weight: usize, inChannels: i32, outChannels: i32, firstRow: i32, lastRow: i32, packed: usize,
): void {
  const blocks = blockCount(inChannels);
  for (let block = 0; block < blocks; block++) {
    const first = blockStart(block, blocks, inChannels);
    const width = blockStart(block + 1, blocks, inChannels) - first;
    let from = weight + (firstRow * inChannels + first) * 4;
    let to = packed + (first * outChannels + firstRow * width) * 4;
    for (let o = firstRow; o < lastRow; o++) {
      let i = 0;
      if (width >= 4) {
        v128.store(to, v128.load(from));
        i = 4;
      }
      for (; i < width; i++) store<f32>(to + i * 4, load<f32>(from + i * 4));
      from += inChannels * 4;
      to += width * 4;
    }
  }
}
