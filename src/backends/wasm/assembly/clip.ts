/** What clipping gradients takes: the square of their norm, and shortening them. */

/** Sum of the squares of `count` numbers, in float64 and always in the same order: two sums, one of every
 * other number. */
export function squaredNorm(vector: usize, count: i32): f64 {
  let sums = f64x2.splat(0);
  for (; count >= 2; count -= 2) {
    const pair = f64x2.promote_low_f32x4(v128.load64_zero(vector));
    sums = f64x2.add(sums, f64x2.mul(pair, pair));
    vector += 8;
  }
  const rest: f64 = count > 0 ? load<f32>(vector) : 0;
  return f64x2.extract_lane(sums, 0) + f64x2.extract_lane(sums, 1) + rest * rest;
}

/** Multiplies `count` numbers by a factor. */
export function scaleVector(vector: usize, count: i32, factor: f32): void {
  for (let end = vector + 4 * count; vector < end; vector += 4) {
    store<f32>(vector, factor * load<f32>(vector));
  }
}
