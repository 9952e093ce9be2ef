/** Weights of Winograd's convolution: from and to the 36 frequencies of a tile. */

import { sumGroups } from "./conv2d";
import { blockCount, blockStart, WinogradShape } from "./shapes";
import { multiplyAdd, VECTOR_BYTES } from "./simd";

/** Rows and columns of a tile's frequencies. */
const SIDE: i32 = 6;
const FREQUENCIES: i32 = 36;

/** From one frequency's numbers to the next one's. Without a gap, many a layer's would be a power of two
 * apart, and all 36 frequencies of a channel compete for the same lines of the caches.
 */
// @ts-ignore: decorator
@inline
export function strideOf(bytes: i32): i32 {
  return bytes + 64;
}

/** Packs output channels firstRow..lastRow (exclusive) of weight [out][in][ky][kx], U = G w G^T: forward as
 * [f][block of out][in][out within the block] and, unless backward is 0, there as [f][block of
 * in][out][in within the block]. Scratch has room for 96 vectors.
 */
export function packWinograd(
  shape: WinogradShape, weight: usize, firstRow: i32, lastRow: i32, forward: usize,
  backward: usize, scratch: usize,
): void {
  const inChannels = shape.inChannels, outChannels = shape.outChannels;
  const size = shape.kernelHeight, area = size * size;
  const frequencyBytes = strideOf(inChannels * outChannels * 4);
  const inBlocks = blockCount(inChannels), outBlocks = blockCount(outChannels);
  const along = scratch + FREQUENCIES * VECTOR_BYTES, whole = along + 30 * VECTOR_BYTES;
  for (let outBlock = 0; outBlock < outBlocks; outBlock++) {
    const firstOut = blockStart(outBlock, outBlocks, outChannels);
    const endOut = blockStart(outBlock + 1, outBlocks, outChannels);
    for (let inBlock = 0; inBlock < inBlocks; inBlock++) {
      const firstIn = blockStart(inBlock, inBlocks, inChannels);
      const endIn = blockStart(inBlock + 1, inBlocks, inChannels);
      for (let i = firstIn; i < endIn; i += 4) {
        const lanes = min(4, endIn - i);
        // Neighbours among the output channels write to the same lines of the cache.
        for (let o = max(firstOut, firstRow); o < min(endOut, lastRow); o++) {
          for (let lane = 0; lane < lanes; lane++) {
            let from = weight + (o * inChannels + i + lane) * area * 4;
            for (let to = scratch + lane * 4; to < scratch + area * VECTOR_BYTES; to += VECTOR_BYTES) {
              store<f32>(to, load<f32>(from));
              from += 4;
            }
          }
          transformKernels(size, scratch, along, whole);
          const width = endOut - firstOut;
          const to = forward + (firstOut * inChannels + i * width + o - firstOut) * 4;
          scatter(whole, lanes, to, width * 4, frequencyBytes);
          if (backward == 0) continue;
          scatter(
            whole, lanes,
            backward + (firstIn * outChannels + o * (endIn - firstIn) + i - firstIn) * 4, 4,
            frequencyBytes,
          );
        }
      }
    }
  }
}

/** Writes the first lanes of 36 vectors `laneBytes` apart, and each vector's `frequencyBytes` further. */
function scatter(
  vectors: usize, lanes: i32, output: usize, laneBytes: usize, frequencyBytes: usize,
): void {
  if (lanes == 4 && laneBytes == 4) {
    for (let f = 0; f < FREQUENCIES; f++) {
      v128.store(output, v128.load(vectors));
      vectors += VECTOR_BYTES;
      output += frequencyBytes;
    }
    return;
  }
  for (let f = 0; f < FREQUENCIES; f++) {
    let to = output;
    for (let lane = 0; lane < lanes; lane++) {
      store<f32>(to, load<f32>(vectors + lane * 4));
      to += laneBytes;
    }
    vectors += VECTOR_BYTES;
    output += frequencyBytes;
  }
}

/** Four kernels [tap][4 lanes] at 36 frequencies. */
function transformKernels(size: i32, kernels: usize, along: usize, whole: usize): void {
  for (let column = 0; column < size; column++) {
    transformKernel(size, kernels + column * VECTOR_BYTES, size * VECTOR_BYTES, along + column * VECTOR_BYTES, size * VECTOR_BYTES);
  }
  for (let i = 0; i < SIDE; i++) {
    transformKernel(size, along + i * size * VECTOR_BYTES, VECTOR_BYTES, whole + i * SIDE * VECTOR_BYTES, VECTOR_BYTES);
  }
}

/** G g: three or five taps g at six frequencies. */
function transformKernel(
  size: i32, input: usize, inStride: usize, output: usize, outStride: usize,
): void {
  const four = f32x4.splat(4), sixth = f32x4.splat(-1.0 / 6.0), part = f32x4.splat(1.0 / 24.0);
  const g0 = v128.load(input), g1 = v128.load(input + inStride);
  let last = v128.load(input + 2 * inStride);
  let even = f32x4.add(g0, last), even2 = multiplyAdd(four, last, g0);
  let odd = g1, odd2 = f32x4.add(g1, g1);
  if (size == 5) {
    const g3 = v128.load(input + 3 * inStride);
    last = v128.load(input + 4 * inStride);
    even = f32x4.add(even, last);
    even2 = multiplyAdd(f32x4.splat(16), last, even2);
    odd = f32x4.add(odd, g3);
    odd2 = multiplyAdd(f32x4.splat(8), g3, odd2);
  }
  v128.store(output, f32x4.mul(f32x4.splat(0.25), g0));
  v128.store(output + outStride, f32x4.mul(sixth, f32x4.add(even, odd)));
  v128.store(output + 2 * outStride, f32x4.mul(sixth, f32x4.sub(even, odd)));
  v128.store(output + 3 * outStride, f32x4.mul(part, f32x4.add(even2, odd2)));
  v128.store(output + 4 * outStride, f32x4.mul(part, f32x4.sub(even2, odd2)));
  v128.store(output + 5 * outStride, last);
}

/** Writes the gradients of output channels firstRow..lastRow (exclusive) in PyTorch's layout, dw = G^T dU
 * G: sums of conv2dWinogradBackward over `groups` of blocks, groupBytes apart, in their order.
 * Without groups, zeros. Scratch has room for 96 vectors.
 */
export function reduceWinograd(
  shape: WinogradShape, sums: usize, groupBytes: usize, groups: i32, firstRow: i32, lastRow: i32,
  gradWeight: usize, gradBias: usize, scratch: usize,
): void {
  const inChannels = shape.inChannels, outChannels = shape.outChannels;
  const size = shape.kernelHeight, area = size * size;
  const frequencyBytes = strideOf(inChannels * outChannels * 4);
  const along = scratch + FREQUENCIES * VECTOR_BYTES, whole = along + 30 * VECTOR_BYTES;
  for (let o = firstRow; o < lastRow; o += 4) {
    for (let i = 0; i < inChannels; i++) {
      let sum = sums + (i * outChannels + o) * 4;
      for (let f = 0; f < FREQUENCIES; f++) {
        let total = f32x4.splat(0);
        let term = sum;
        for (let group = 0; group < groups; group++) {
          total = f32x4.add(total, v128.load(term));
          term += groupBytes;
        }
        v128.store(scratch + f * VECTOR_BYTES, total);
        sum += frequencyBytes;
      }
      for (let j = 0; j < SIDE; j++) {
        transformKernelGradient(size, scratch + j * VECTOR_BYTES, SIDE * VECTOR_BYTES, along + j * VECTOR_BYTES, SIDE * VECTOR_BYTES);
      }
      for (let row = 0; row < size; row++) {
        transformKernelGradient(size, along + row * SIDE * VECTOR_BYTES, VECTOR_BYTES, whole + row * size * VECTOR_BYTES, VECTOR_BYTES);
      }
      for (let lane = 0; lane < min(4, lastRow - o); lane++) {
        const to = gradWeight + ((o + lane) * inChannels + i) * area * 4;
        for (let tap = 0; tap < area; tap++) {
          store<f32>(to + tap * 4, load<f32>(whole + lane * 4 + tap * VECTOR_BYTES));
        }
      }
    }
  }
  sumGroups(
    sums + FREQUENCIES * frequencyBytes + firstRow * VECTOR_BYTES, groupBytes, groups,
    lastRow - firstRow, gradBias + firstRow * 4, 4,
  );
}

/** G^T u: gradients u of six frequencies become those of three or five taps. */
function transformKernelGradient(
  size: i32, input: usize, inStride: usize, output: usize, outStride: usize,
): void {
  const four = f32x4.splat(4), sixth = f32x4.splat(-1.0 / 6.0), part = f32x4.splat(1.0 / 24.0);
  const u1 = v128.load(input + inStride), u2 = v128.load(input + 2 * inStride);
  const u3 = v128.load(input + 3 * inStride), u4 = v128.load(input + 4 * inStride);
  const last = v128.load(input + 5 * inStride);
  const even = f32x4.mul(sixth, f32x4.add(u1, u2)), odd = f32x4.mul(sixth, f32x4.sub(u1, u2));
  const even2 = f32x4.mul(part, f32x4.add(u3, u4)), odd2 = f32x4.mul(part, f32x4.sub(u3, u4));
  const first = f32x4.mul(f32x4.splat(0.25), v128.load(input));
  v128.store(output, f32x4.add(first, f32x4.add(even, even2)));
  v128.store(output + outStride, multiplyAdd(f32x4.splat(2), odd2, odd));
  const middle = multiplyAdd(four, even2, even);
  if (size == 3) {
    v128.store(output + 2 * outStride, f32x4.add(middle, last));
    return;
  }
  v128.store(output + 2 * outStride, middle);
  v128.store(output + 3 * outStride, multiplyAdd(f32x4.splat(8), odd2, odd));
  v128.store(output + 4 * outStride, f32x4.add(multiplyAdd(f32x4.splat(16), even2, even), last));
}
