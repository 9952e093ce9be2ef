/** Elementwise functions and their gradients, over rows of vectors. */

import { expMinus, sigmoid16 } from "./exp";
import { multiplyAdd, VECTOR_BYTES } from "./simd";

/** 1 / (1 + e^-x). */
// @ts-ignore: decorator
@inline
function sigmoid(x: v128): v128 {
  const one = f32x4.splat(1);
  return f32x4.div(one, f32x4.add(one, expMinus(x)));
}

/** output = sigmoid(input) for `rows` rows of rowBytes each; may work in place.
 *
 * Equals the reference's sigmoidForward to 1e-7 absolute. Row strides leave borders untouched.
 */
export function sigmoidForward(
  input: usize, inputStride: usize, output: usize, outputStride: usize, rows: i32, rowBytes: usize,
): void {
  for (; rows > 0; rows--) {
    let i: usize = 0;
    for (; i + 64 <= rowBytes; i += 64) sigmoid16(input + i, output + i);
    for (; i < rowBytes; i += VECTOR_BYTES) {
      v128.store(output + i, sigmoid(v128.load(input + i)));
    }
    input += inputStride;
    output += outputStride;
  }
}

/** output = tanh(input) = 2 sigmoid(2 input) - 1; see {@linkcode sigmoidForward}. */
export function tanhForward(
  input: usize, inputStride: usize, output: usize, outputStride: usize, rows: i32, rowBytes: usize,
): void {
  const two = f32x4.splat(2), minusOne = f32x4.splat(-1);
  for (; rows > 0; rows--) {
    for (let i: usize = 0; i < rowBytes; i += VECTOR_BYTES) {
      const x = v128.load(input + i);
      v128.store(output + i, multiplyAdd(two, sigmoid(f32x4.add(x, x)), minusOne));
    }
    input += inputStride;
    output += outputStride;
  }
}

/** output = max(0, input), NaN where input is NaN; see {@linkcode sigmoidForward}. */
export function reluForward(
  input: usize, inputStride: usize, output: usize, outputStride: usize, rows: i32, rowBytes: usize,
): void {
  const zero = f32x4.splat(0);
  for (; rows > 0; rows--) {
    for (let i: usize = 0; i < rowBytes; i += VECTOR_BYTES) {
      v128.store(output + i, f32x4.pmax(v128.load(input + i), zero));
    }
    input += inputStride;
    output += outputStride;
  }
}

/** gradient *= y (1 - y), where y is sigmoid's output; equals the reference to 1e-6 relative. */
export function sigmoidBackward(
  output: usize, outputStride: usize, gradient: usize, gradientStride: usize, rows: i32,
  rowBytes: usize,
): void {
  for (; rows > 0; rows--) {
    for (let i: usize = 0; i < rowBytes; i += VECTOR_BYTES) {
      const y = v128.load(output + i), g = v128.load(gradient + i);
      v128.store(gradient + i, f32x4.mul(g, f32x4.mul(y, f32x4.sub(f32x4.splat(1), y))));
    }
    output += outputStride;
    gradient += gradientStride;
  }
}

/** gradient *= 1 - y y, where y is tanh's output; equals the reference to 1e-6 relative. */
export function tanhBackward(
  output: usize, outputStride: usize, gradient: usize, gradientStride: usize, rows: i32,
  rowBytes: usize,
): void {
  for (; rows > 0; rows--) {
    for (let i: usize = 0; i < rowBytes; i += VECTOR_BYTES) {
      const y = v128.load(output + i), g = v128.load(gradient + i);
      v128.store(gradient + i, f32x4.mul(g, f32x4.sub(f32x4.splat(1), f32x4.mul(y, y))));
    }
    output += outputStride;
    gradient += gradientStride;
  }
}

/** gradient = 0 where relu's output is 0; equals the reference. */
export function reluBackward(
  output: usize, outputStride: usize, gradient: usize, gradientStride: usize, rows: i32,
  rowBytes: usize,
): void {
  const zero = f32x4.splat(0);
  for (; rows > 0; rows--) {
    for (let i: usize = 0; i < rowBytes; i += VECTOR_BYTES) {
      const positive = f32x4.gt(v128.load(output + i), zero);
      v128.store(gradient + i, v128.and(v128.load(gradient + i), positive));
    }
    output += outputStride;
    gradient += gradientStride;
  }
}

/** output = input where that is above 0, else input * slope; see {@linkcode sigmoidForward}. */
export function leakyReluForward(
  input: usize, inputStride: usize, output: usize, outputStride: usize, rows: i32, rowBytes: usize,
  slope: f32,
): void {
  const slopes = f32x4.splat(slope), zero = f32x4.splat(0);
  for (; rows > 0; rows--) {
    for (let i: usize = 0; i < rowBytes; i += VECTOR_BYTES) {
      const x = v128.load(input + i);
      v128.store(output + i, v128.bitselect(x, f32x4.mul(x, slopes), f32x4.gt(x, zero)));
    }
    input += inputStride;
    output += outputStride;
  }
}

/** gradient *= slope where leakyRelu's output is not above 0, as its input then is; equals the reference.
 */
export function leakyReluBackward(
  output: usize, outputStride: usize, gradient: usize, gradientStride: usize, rows: i32,
  rowBytes: usize, slope: f32,
): void {
  const slopes = f32x4.splat(slope), zero = f32x4.splat(0);
  for (; rows > 0; rows--) {
    for (let i: usize = 0; i < rowBytes; i += VECTOR_BYTES) {
      const g = v128.load(gradient + i), positive = f32x4.gt(v128.load(output + i), zero);
      v128.store(gradient + i, v128.bitselect(g, f32x4.mul(g, slopes), positive));
    }
    output += outputStride;
    gradient += gradientStride;
  }
}
