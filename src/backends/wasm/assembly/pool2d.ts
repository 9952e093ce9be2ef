/** Average and maximum pooling, for one block of eight images. */

import { Pool2dShape } from "./shapes";
import { ELEMENT_BYTES, VECTOR_BYTES } from "./simd";

/** output = mean of each window; equals the reference's avgPool2dForward to 1e-6 relative.
 *
 * Layout: [y][x][channel][8 images]; rows may have borders, which stay untouched.
 */
export function avgPool2dForward(shape: Pool2dShape, input: usize, output: usize): void {
  const columnBytes = shape.channels * ELEMENT_BYTES;
  const scale = f32x4.splat(<f32> 1 / <f32> (shape.poolHeight * shape.poolWidth));
  const twoByTwo = shape.poolHeight == 2 && shape.poolWidth == 2;
  for (let y = 0; y < shape.outHeight; y++) {
    for (let x = 0; x < shape.outWidth; x++) {
      const corner = windowOf(shape, input, y, x);
      const target = output + y * shape.outRowBytes + x * columnBytes;
      for (let i = 0; i < columnBytes; i += VECTOR_BYTES) {
        let sum: v128;
        if (twoByTwo) {
          const top = corner + i, bottom = top + shape.inRowBytes;
          sum = f32x4.add(
            f32x4.add(v128.load(top), v128.load(top + columnBytes)),
            f32x4.add(v128.load(bottom), v128.load(bottom + columnBytes)),
          );
        } else {
          sum = f32x4.splat(0);
          for (let row = 0; row < shape.poolHeight; row++) {
            let from = corner + i + row * shape.inRowBytes;
            for (let column = 0; column < shape.poolWidth; column++) {
              sum = f32x4.add(sum, v128.load(from));
              from += columnBytes;
            }
          }
        }
        v128.store(target + i, f32x4.mul(sum, scale));
      }
    }
  }
}

/** gradInput = gradOutput / area, summed over the windows that an input is in; equals the
 * reference's avgPool2dBackward to 1e-6 relative. Both gradients are without borders.
 */
export function avgPool2dBackward(shape: Pool2dShape, gradOutput: usize, gradInput: usize): void {
  const columnBytes = shape.channels * ELEMENT_BYTES;
  const rowBytes = shape.inWidth * columnBytes;
  const scale = f32x4.splat(<f32> 1 / <f32> (shape.poolHeight * shape.poolWidth));
  const tiled = tiles(shape);
  const twoByTwo = tiled && shape.poolHeight == 2 && shape.poolWidth == 2;
  if (!tiled) memory.fill(gradInput, 0, shape.inHeight * rowBytes);
  for (let y = 0; y < shape.outHeight; y++) {
    for (let x = 0; x < shape.outWidth; x++) {
      const corner = gradInput + y * shape.strideHeight * rowBytes +
        x * shape.strideWidth * columnBytes;
      const source = gradOutput + (y * shape.outWidth + x) * columnBytes;
      for (let i = 0; i < columnBytes; i += VECTOR_BYTES) {
        const share = f32x4.mul(v128.load(source + i), scale);
        if (twoByTwo) {
          const top = corner + i, bottom = top + rowBytes;
          v128.store(top, share);
          v128.store(top + columnBytes, share);
          v128.store(bottom, share);
          v128.store(bottom + columnBytes, share);
          continue;
        }
        for (let row = 0; row < shape.poolHeight; row++) {
          let to = corner + i + row * rowBytes;
          for (let column = 0; column < shape.poolWidth; column++) {
            v128.store(to, tiled ? share : f32x4.add(v128.load(to), share));
            to += columnBytes;
          }
        }
      }
    }
  }
}

/** output = maximum of each window, NaN if one is in it; equals the reference's maxPool2dForward.
 */
export function maxPool2dForward(shape: Pool2dShape, input: usize, output: usize): void {
  const columnBytes = shape.channels * ELEMENT_BYTES;
  const twoByTwo = shape.poolHeight == 2 && shape.poolWidth == 2;
  for (let y = 0; y < shape.outHeight; y++) {
    for (let x = 0; x < shape.outWidth; x++) {
      const corner = windowOf(shape, input, y, x);
      const target = output + y * shape.outRowBytes + x * columnBytes;
      for (let i = 0; i < columnBytes; i += VECTOR_BYTES) {
        if (twoByTwo) {
          const top = corner + i, bottom = top + shape.inRowBytes;
          const maximum = f32x4.max(
            f32x4.max(v128.load(top), v128.load(top + columnBytes)),
            f32x4.max(v128.load(bottom), v128.load(bottom + columnBytes)),
          );
          v128.store(target + i, maximum);
          continue;
        }
        v128.store(target + i, maximumOf(shape, corner + i, columnBytes));
      }
    }
  }
}

/** gradInput = gradOutput at the first maximum of each window in row order, summed over the windows
 * that an input is in; equals the reference's maxPool2dBackward. Both gradients are without
 * borders.
 */
export function maxPool2dBackward(
  shape: Pool2dShape, input: usize, gradOutput: usize, gradInput: usize,
): void {
  const columnBytes = shape.channels * ELEMENT_BYTES;
  const rowBytes = shape.inWidth * columnBytes;
  const tiled = tiles(shape);
  const twoByTwo = tiled && shape.poolHeight == 2 && shape.poolWidth == 2;
  if (!tiled) memory.fill(gradInput, 0, shape.inHeight * rowBytes);
  for (let y = 0; y < shape.outHeight; y++) {
    for (let x = 0; x < shape.outWidth; x++) {
      const corner = windowOf(shape, input, y, x);
      const target = gradInput + y * shape.strideHeight * rowBytes +
        x * shape.strideWidth * columnBytes;
      const source = gradOutput + (y * shape.outWidth + x) * columnBytes;
      for (let i = 0; i < columnBytes; i += VECTOR_BYTES) {
        let waiting = v128.load(source + i);
        if (twoByTwo) {
          const top = corner + i, bottom = top + shape.inRowBytes;
          const to = target + i, toBottom = to + rowBytes;
          const a = v128.load(top), b = v128.load(top + columnBytes);
          const c = v128.load(bottom), d = v128.load(bottom + columnBytes);
          const maximum = f32x4.max(f32x4.max(a, b), f32x4.max(c, d));
          const isA = f32x4.eq(a, maximum), isB = f32x4.eq(b, maximum), isC = f32x4.eq(c, maximum);
          v128.store(to, v128.and(waiting, isA));
          waiting = v128.andnot(waiting, isA);
          v128.store(to + columnBytes, v128.and(waiting, isB));
          waiting = v128.andnot(waiting, isB);
          v128.store(toBottom, v128.and(waiting, isC));
          v128.store(toBottom + columnBytes, v128.andnot(waiting, isC));
          continue;
        }
        const maximum = maximumOf(shape, corner + i, columnBytes);
        for (let row = 0; row < shape.poolHeight; row++) {
          let from = corner + i + row * shape.inRowBytes, to = target + i + row * rowBytes;
          for (let column = 0; column < shape.poolWidth; column++) {
            const here = f32x4.eq(v128.load(from), maximum);
            const share = v128.and(waiting, here);
            waiting = v128.andnot(waiting, here);
            v128.store(to, tiled ? share : f32x4.add(v128.load(to), share));
            from += columnBytes;
            to += columnBytes;
          }
        }
      }
    }
  }
}

// @ts-ignore: decorator
@inline
function maximumOf(shape: Pool2dShape, corner: usize, columnBytes: i32): v128 {
  let maximum = v128.load(corner);
  for (let row = 0; row < shape.poolHeight; row++) {
    let from = corner + row * shape.inRowBytes;
    for (let column = 0; column < shape.poolWidth; column++) {
      maximum = f32x4.max(maximum, v128.load(from));
      from += columnBytes;
    }
  }
  return maximum;
}

// @ts-ignore: decorator
@inline
function windowOf(shape: Pool2dShape, input: usize, y: i32, x: i32): usize {
  return input + y * shape.strideHeight * shape.inRowBytes +
    x * shape.strideWidth * shape.channels * ELEMENT_BYTES;
}

/** Whether every input is in exactly one window. */
function tiles(shape: Pool2dShape): bool {
  return shape.strideHeight == shape.poolHeight && shape.strideWidth == shape.poolWidth &&
    shape.outHeight * shape.poolHeight == shape.inHeight &&
    shape.outWidth * shape.poolWidth == shape.inWidth;
}
