/** The yardstick: how fast this machine multiplies and adds when nothing else is in the way. */

import { multiplyAdd } from "./simd";

/** Runs `steps` rounds of twelve independent vector multiply-adds, 96 floating-point operations
 * each, and returns a number that depends on all of them.
 */
export function multiplyAddPeak(steps: i32): f32 {
  const factor = f32x4.splat(0.999999), addend = f32x4.splat(0.000001);
  let s0 = factor, s1 = factor, s2 = factor, s3 = factor, s4 = factor, s5 = factor;
  let s6 = factor, s7 = factor, s8 = factor, s9 = factor, s10 = factor, s11 = factor;
  do {
    s0 = multiplyAdd(s0, factor, addend);
    s1 = multiplyAdd(s1, factor, addend);
    s2 = multiplyAdd(s2, factor, addend);
    s3 = multiplyAdd(s3, factor, addend);
    s4 = multiplyAdd(s4, factor, addend);
    s5 = multiplyAdd(s5, factor, addend);
    s6 = multiplyAdd(s6, factor, addend);
    s7 = multiplyAdd(s7, factor, addend);
    s8 = multiplyAdd(s8, factor, addend);
    s9 = multiplyAdd(s9, factor, addend);
    s10 = multiplyAdd(s10, factor, addend);
    s11 = multiplyAdd(s11, factor, addend);
  } while (--steps);
  const low = f32x4.add(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)), f32x4.add(s4, s5));
  const high = f32x4.add(f32x4.add(f32x4.add(s6, s7), f32x4.add(s8, s9)), f32x4.add(s10, s11));
  return f32x4.extract_lane(f32x4.add(low, high), 0);
}
