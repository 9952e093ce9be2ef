/** Copies of the weights in the order in which the kernels read them, made anew after each update.
 */

import { tapsBeforePhase, tapsOfPhase } from "./conv2d";
import { blockCount, blockStart, Conv2dShape } from "./shapes";

/** Packs output channels firstRow..lastRow (exclusive) of weight [out][in][ky][kx] for
 * conv2dForward: [block of out][ky][kx][in][out within the block].
 */
export function packForward(
  shape: Conv2dShape,
  weight: usize,
  firstRow: i32,
  lastRow: i32,
  packed: usize,
): void {
  const inChannels = shape.inChannels, outChannels = shape.outChannels;
  const area = shape.kernelHeight * shape.kernelWidth;
  const rowBytes = area * inChannels * 4;
  const blocks = blockCount(outChannels);
  for (let block = 0; block < blocks; block++) {
    const first = blockStart(block, blocks, outChannels);
    const end = blockStart(block + 1, blocks, outChannels);
    for (let o = max(first, firstRow); o < min(end, lastRow); o++) {
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

/** Packs the same channels for conv2dInputGradient: [block of in][phase of ky][phase of kx][ky
 * descending][kx descending][out][in within the block]; a phase is a remainder modulo the stride.
 */
export function packBackward(
  shape: Conv2dShape,
  weight: usize,
  firstRow: i32,
  lastRow: i32,
  packed: usize,
): void {
  const inChannels = shape.inChannels, outChannels = shape.outChannels;
  const kernelHeight = shape.kernelHeight, kernelWidth = shape.kernelWidth;
  const area = kernelHeight * kernelWidth;
  const blocks = blockCount(inChannels);
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
