/** The exponential that sigmoid, tanh and softmax share. */

import { multiplyAdd } from "./simd";

/** Four copies of each constant: a load from a fixed address is cheaper than making a vector anew.
 */
const CONSTANTS = memory.data<f32>([
  -1.4426950408889634,
  -1.4426950408889634,
  -1.4426950408889634,
  -1.4426950408889634,
  125,
  125,
  125,
  125,
  -125,
  -125,
  -125,
  -125,
  12582912,
  12582912,
  12582912,
  12582912,
  1,
  1,
  1,
  1,
  0.6931470579,
  0.6931470579,
  0.6931470579,
  0.6931470579,
  0.2402225774,
  0.2402225774,
  0.2402225774,
  0.2402225774,
  0.05550665456,
  0.05550665456,
  0.05550665456,
  0.05550665456,
  0.009670800644,
  0.009670800644,
  0.009670800644,
  0.009670800644,
  0.001327863034,
  0.001327863034,
  0.001327863034,
  0.001327863034,
], 16);

// @ts-ignore: decorator
@inline
const MINUS_LOG2_E: usize = 0, HIGHEST: usize = 16, LOWEST: usize = 32, ROUNDER: usize = 48;

// @ts-ignore: decorator
@inline
const C0: usize = 64,
  C1: usize = 80,
  C2: usize = 96,
  C3: usize = 112,
  C4: usize = 128,
  C5: usize = 144;

/** e^-x = 2^(-x log2 e), to 2e-7 relative; clamped at 2^±125; NaN stays NaN.
 *
 * The exponent is n + f with n whole and f in -0.5..0.5: adding 1.5 * 2^23 rounds to n and leaves n
 * in the low bits, which are added to the exponent of a polynomial for 2^f, minimax to 1e-7.
 */
// @ts-ignore: decorator
@inline
export function expMinus(x: v128): v128 {
  const rounder = v128.load(CONSTANTS, ROUNDER);
  const t = clampedExponent(x);
  const rounded = f32x4.add(t, rounder);
  const f = f32x4.sub(t, f32x4.sub(rounded, rounder));
  let p = multiplyAdd(f, v128.load(CONSTANTS, C5), v128.load(CONSTANTS, C4));
  p = multiplyAdd(p, f, v128.load(CONSTANTS, C3));
  p = multiplyAdd(p, f, v128.load(CONSTANTS, C2));
  p = multiplyAdd(p, f, v128.load(CONSTANTS, C1));
  p = multiplyAdd(p, f, v128.load(CONSTANTS, C0));
  return i32x4.add(p, i32x4.shl(rounded, 23));
}

/** Sixteen sigmoids 1 / (1 + e^-x): {@linkcode expMinus} on four vectors side by side, which hides
 * latencies and shares the constants. */
// @ts-ignore: decorator
@inline
export function sigmoid16(input: usize, output: usize): void {
  const rounder = v128.load(CONSTANTS, ROUNDER);
  let f0 = clampedExponent(v128.load(input)), f1 = clampedExponent(v128.load(input, 16));
  let f2 = clampedExponent(v128.load(input, 32)), f3 = clampedExponent(v128.load(input, 48));
  const n0 = f32x4.add(f0, rounder), n1 = f32x4.add(f1, rounder);
  const n2 = f32x4.add(f2, rounder), n3 = f32x4.add(f3, rounder);
  f0 = f32x4.sub(f0, f32x4.sub(n0, rounder));
  f1 = f32x4.sub(f1, f32x4.sub(n1, rounder));
  f2 = f32x4.sub(f2, f32x4.sub(n2, rounder));
  f3 = f32x4.sub(f3, f32x4.sub(n3, rounder));
  const c5 = v128.load(CONSTANTS, C5);
  let c = v128.load(CONSTANTS, C4);
  let p0 = multiplyAdd(f0, c5, c), p1 = multiplyAdd(f1, c5, c);
  let p2 = multiplyAdd(f2, c5, c), p3 = multiplyAdd(f3, c5, c);
  c = v128.load(CONSTANTS, C3);
  p0 = multiplyAdd(p0, f0, c);
  p1 = multiplyAdd(p1, f1, c);
  p2 = multiplyAdd(p2, f2, c);
  p3 = multiplyAdd(p3, f3, c);
  c = v128.load(CONSTANTS, C2);
  p0 = multiplyAdd(p0, f0, c);
  p1 = multiplyAdd(p1, f1, c);
  p2 = multiplyAdd(p2, f2, c);
  p3 = multiplyAdd(p3, f3, c);
  c = v128.load(CONSTANTS, C1);
  p0 = multiplyAdd(p0, f0, c);
  p1 = multiplyAdd(p1, f1, c);
  p2 = multiplyAdd(p2, f2, c);
  p3 = multiplyAdd(p3, f3, c);
  const one = v128.load(CONSTANTS, C0);
  p0 = multiplyAdd(p0, f0, one);
  p1 = multiplyAdd(p1, f1, one);
  p2 = multiplyAdd(p2, f2, one);
  p3 = multiplyAdd(p3, f3, one);
  v128.store(output, reciprocalOfNext(p0, n0, one));
  v128.store(output, reciprocalOfNext(p1, n1, one), 16);
  v128.store(output, reciprocalOfNext(p2, n2, one), 32);
  v128.store(output, reciprocalOfNext(p3, n3, one), 48);
}

/** -x log2 e, clamped; with these operands pmin and pmax let NaN through. */
// @ts-ignore: decorator
@inline
function clampedExponent(x: v128): v128 {
  const t = f32x4.mul(x, v128.load(CONSTANTS, MINUS_LOG2_E));
  return f32x4.pmax(
    f32x4.pmin(t, v128.load(CONSTANTS, HIGHEST)),
    v128.load(CONSTANTS, LOWEST),
  );
}

/** 1 / (1 + p 2^n), n in the low bits of `rounded`. */
// @ts-ignore: decorator
@inline
function reciprocalOfNext(p: v128, rounded: v128, one: v128): v128 {
  return f32x4.div(one, f32x4.add(one, i32x4.add(p, i32x4.shl(rounded, 23))));
}
