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
  const twoByTwo = isTwoByTwo(shape);
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
          for (let row = firstRow(shape, y); row < endRow(shape, y); row++) {
            for (let column = firstColumn(shape, x); column < endColumn(shape, x); column++) {
              const from = corner + i + row * shape.inRowBytes + column * columnBytes;
              sum = f32x4.add(sum, v128.load(from));
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
  const twoByTwo = tiled && isTwoByTwo(shape);
  if (!tiled) memory.fill(gradInput, 0, shape.inHeight * rowBytes);
  for (let y = 0; y < shape.outHeight; y++) {
    for (let x = 0; x < shape.outWidth; x++) {
      const corner = gradInput + windowTop(shape, y) * rowBytes + windowLeft(shape, x) * columnBytes;
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
        for (let row = firstRow(shape, y); row < endRow(shape, y); row++) {
          for (let column = firstColumn(shape, x); column < endColumn(shape, x); column++) {
            const to = corner + i + row * rowBytes + column * columnBytes;
            v128.store(to, tiled ? share : f32x4.add(v128.load(to), share));
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
  const twoByTwo = isTwoByTwo(shape);
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
        v128.store(target + i, maximumOf(shape, corner + i, y, x));
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
  const twoByTwo = tiled && isTwoByTwo(shape);
  if (!tiled) memory.fill(gradInput, 0, shape.inHeight * rowBytes);
  for (let y = 0; y < shape.outHeight; y++) {
    for (let x = 0; x < shape.outWidth; x++) {
      const corner = windowOf(shape, input, y, x);
      const target = gradInput + windowTop(shape, y) * rowBytes + windowLeft(shape, x) * columnBytes;
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
        const maximum = maximumOf(shape, corner + i, y, x);
        for (let row = firstRow(shape, y); row < endRow(shape, y); row++) {
          for (let column = firstColumn(shape, x); column < endColumn(shape, x); column++) {
            const offset = i + column * columnBytes;
            const here = f32x4.eq(v128.load(corner + offset + row * shape.inRowBytes), maximum);
            const share = v128.and(waiting, here);
            waiting = v128.andnot(waiting, here);
            const to = target + offset + row * rowBytes;
            v128.store(to, tiled ? share : f32x4.add(v128.load(to), share));
          }
        }
      }
    }
  }
}

// @ts-ignore: decorator
@inline
function maximumOf(shape: Pool2dShape, corner: usize, y: i32, x: i32): v128 {
  const columnBytes = shape.channels * ELEMENT_BYTES;
  let maximum = v128.load(
    corner + firstRow(shape, y) * shape.inRowBytes + firstColumn(shape, x) * columnBytes,
  );
  for (let row = firstRow(shape, y); row < endRow(shape, y); row++) {
    for (let column = firstColumn(shape, x); column < endColumn(shape, x); column++) {
      const from = corner + row * shape.inRowBytes + column * columnBytes;
      maximum = f32x4.max(maximum, v128.load(from));
    }
  }
  return maximum;
}

/** Where a window begins, which may be before the input. */
// @ts-ignore: decorator
@inline
function windowOf(shape: Pool2dShape, input: usize, y: i32, x: i32): usize {
  return input + windowTop(shape, y) * shape.inRowBytes + windowLeft(shape, x) * shape.channels * ELEMENT_BYTES;
}

// @ts-ignore: decorator
@inline
function windowTop(shape: Pool2dShape, y: i32): i32 {
  return y * shape.strideHeight - shape.paddingHeight;
}

// @ts-ignore: decorator
@inline
function windowLeft(shape: Pool2dShape, x: i32): i32 {
  return x * shape.strideWidth - shape.paddingWidth;
}

/** The rows of a window that lie on the input, and its columns; the last exclusive. */
// @ts-ignore: decorator
@inline
function firstRow(shape: Pool2dShape, y: i32): i32 {
  return max(0, -windowTop(shape, y));
}

// @ts-ignore: decorator
@inline
function endRow(shape: Pool2dShape, y: i32): i32 {
  return min(shape.poolHeight, shape.inHeight - windowTop(shape, y));
}

// @ts-ignore: decorator
@inline
function firstColumn(shape: Pool2dShape, x: i32): i32 {
  return max(0, -windowLeft(shape, x));
}

// @ts-ignore: decorator
@inline
function endColumn(shape: Pool2dShape, x: i32): i32 {
  return min(shape.poolWidth, shape.inWidth - windowLeft(shape, x));
}

// @ts-ignore: decorator
@inline
function isPadded(shape: Pool2dShape): bool {
  return shape.paddingHeight + shape.paddingWidth > 0;
}

// @ts-ignore: decorator
@inline
function isTwoByTwo(shape: Pool2dShape): bool {
  return shape.poolHeight == 2 && shape.poolWidth == 2 && !isPadded(shape);
}

/** Whether every input is in exactly one window. */
function tiles(shape: Pool2dShape): bool {
  return shape.strideHeight == shape.poolHeight && shape.strideWidth == shape.poolWidth &&
    shape.outHeight * shape.poolHeight == shape.inHeight &&
    shape.outWidth * shape.poolWidth == shape.inWidth && !isPadded(shape);
}
