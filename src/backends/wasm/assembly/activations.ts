/** Elementwise functions and their gradients, over rows of vectors.
 *
 * Forward they equal the reference to 1e-7 absolute, backward to 1e-6 relative, `relu` and `leakyRelu` exactly.
 */

import { expMinus, sigmoid16 } from "./exp";
import { multiplyAdd, VECTOR_BYTES } from "./simd";

/** 1 / (1 + e^-x). */
// @ts-ignore: decorator
@inline
function sigmoid(x: v128, _: f32): v128 {
  const one = f32x4.splat(1);
  return f32x4.div(one, f32x4.add(one, expMinus(x)));
}

/** gradient * y (1 - y). */
// @ts-ignore: decorator
@inline
function sigmoidGradient(y: v128, gradient: v128, _: f32): v128 {
  return f32x4.mul(gradient, f32x4.mul(y, f32x4.sub(f32x4.splat(1), y)));
}

/** 2 sigmoid(2 x) - 1. */
// @ts-ignore: decorator
@inline
function tanh(x: v128, _: f32): v128 {
  return multiplyAdd(f32x4.splat(2), sigmoid(f32x4.add(x, x), 0), f32x4.splat(-1));
}

/** gradient * (1 - y y). */
// @ts-ignore: decorator
@inline
function tanhGradient(y: v128, gradient: v128, _: f32): v128 {
  return f32x4.mul(gradient, f32x4.sub(f32x4.splat(1), f32x4.mul(y, y)));
}

/** max(0, x), NaN where x is NaN. */
// @ts-ignore: decorator
@inline
function relu(x: v128, _: f32): v128 {
  return f32x4.pmax(x, f32x4.splat(0));
}

// @ts-ignore: decorator
@inline
function reluGradient(y: v128, gradient: v128, _: f32): v128 {
  return v128.and(gradient, f32x4.gt(y, f32x4.splat(0)));
}

/** x where that is above 0, else x * slope. */
// @ts-ignore: decorator
@inline
function leakyRelu(x: v128, slope: f32): v128 {
  return v128.bitselect(x, f32x4.mul(x, f32x4.splat(slope)), f32x4.gt(x, f32x4.splat(0)));
}

/** The input is above 0 where the output is. */
// @ts-ignore: decorator
@inline
function leakyReluGradient(y: v128, gradient: v128, slope: f32): v128 {
  const scaled = f32x4.mul(gradient, f32x4.splat(slope));
  return v128.bitselect(gradient, scaled, f32x4.gt(y, f32x4.splat(0)));
}

//@ include activation_kernels name=sigmoid sideBySide=true
//@ include activation_kernels name=tanh sideBySide=false
//@ include activation_kernels name=relu sideBySide=false
//@ include activation_kernels name=leakyRelu sideBySide=false
