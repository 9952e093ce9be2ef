/** The micro-kernels of Winograd's convolution: products of channels at one frequency. */

import { ELEMENT_BYTES, multiplyAdd, sumLanes } from "./simd";

/** output[p][o] = sum over k of weight[k][o] * input[p][k], for o in 0..width, width 1 to 6, k in the
 * `inBytes` of a position p, and p in 0..count.
 *
 * Layout: elements of eight images; positions lie inBytes apart and are written outStep bytes apart.
 * Runs are short, 6 to 64 channels: unlike dot it begins with a product instead of a bias and takes
 * two steps at a time whatever the width.
 */
export function product(
  width: i32, input: usize, inBytes: usize, count: i32, weight: usize, output: usize, outStep: usize,
): void {
  switch (width) {
    //@ for n in 1..6
    case #n:
      return product#n(input, inBytes, count, weight, output, outStep);
    //@ end n
  }
}

// @ts-ignore: decorator
@inline
function multiply(a: v128, b: v128, _: v128): v128 {
  return f32x4.mul(a, b);
}

//@ for n in 1..6
function product#n(
  input: usize, inBytes: usize, count: i32, weight: usize, output: usize, outStep: usize,
): void {
  const width = #n;
  const odd = (inBytes & ELEMENT_BYTES) != 0, zero = f32x4.splat(0);
  outStep -= width * ELEMENT_BYTES;
  for (; count > 0; count--) {
    const end = input + inBytes;
    let w = weight;
    //@ for i in 0..5
    let s#i = zero, t#i = zero;
    //@ end i
    //@ include multiply_step k=0 x=input w=w add=multiply
    if (!odd) {
      //@ include multiply_step k=3 x=input w=w add=multiplyAdd
    }
    while (input != end) {
      //@ include multiply_step k=1 x=input w=w add=multiplyAdd
      //@ include multiply_step k=2 x=input w=w add=multiplyAdd
    }
    //@ for i in 0..5
    if (width > #i) {
      v128.store(output, s#i);
      v128.store(output, t#i, 16);
      output += ELEMENT_BYTES;
    }
    //@ end i
    output += outStep;
  }
}
//@ end n

/** sums[k][o] += sum over positions p and their eight images of a[p][o] * b[p][k], for o in 0..width, width 1
 * to 6, and `pairs` pairs of elements k.
 *
 * Layout: elements of eight images; positions lie aStep and bStep bytes apart, the second of a pair cOffset
 * bytes after the first, rows of sums sumStep bytes apart. A lone element is a pair with cOffset and
 * sumStep 0. Unlike outer, whose lanes stay apart, it writes sums, which are a quarter of the memory.
 */
export function productSums(
  width: i32, a: usize, aStep: usize, b: usize, bStep: usize, cOffset: usize, positions: i32,
  pairs: i32, sums: usize, sumStep: usize,
): void {
  switch (width) {
    //@ for n in 1..6
    case #n:
      return productSums#n(a, aStep, b, bStep, cOffset, positions, pairs, sums, sumStep);
    //@ end n
  }
}

//@ for n in 1..6
function productSums#n(
  a: usize, aStep: usize, b: usize, bStep: usize, cOffset: usize, positions: i32, pairs: i32,
  sums: usize, sumStep: usize,
): void {
  const width = #n;
  aStep -= 16;
  bStep -= 16;
  for (; pairs > 0; pairs--) {
    let x = a, y = b, position = positions;
    const bLow = v128.load(y), cLow = v128.load(y + cOffset);
    //@ for i in 0..5
    let s#i = bLow, t#i = cLow;
    if (width > #i) {
      const a#i = v128.load(x, #(32 * i));
      s#i = f32x4.mul(a#i, bLow);
      t#i = f32x4.mul(a#i, cLow);
    }
    //@ end i
    while (true) {
      x += 16;
      y += 16;
      const bHigh = v128.load(y), cHigh = v128.load(y + cOffset);
      //@ for i in 0..5
      if (width > #i) {
        const a#i = v128.load(x, #(32 * i));
        s#i = multiplyAdd(a#i, bHigh, s#i);
        t#i = multiplyAdd(a#i, cHigh, t#i);
      }
      //@ end i
      if (--position == 0) break;
      x += aStep;
      y += bStep;
      const bLow = v128.load(y), cLow = v128.load(y + cOffset);
      //@ for i in 0..5
      if (width > #i) {
        const a#i = v128.load(x, #(32 * i));
        s#i = multiplyAdd(a#i, bLow, s#i);
        t#i = multiplyAdd(a#i, cLow, t#i);
      }
      //@ end i
    }
    const next = sums + sumStep;
    // Both rows are read before one is written, because they are one for a lone element.
    const sum = f32x4.add(v128.load(sums), sumLanes(s0, s1, s2, s3));
    const nextSum = f32x4.add(v128.load(next), sumLanes(t0, t1, t2, t3));
    if (width > 4) {
      const old = v128.load64_lane(next, v128.load64_zero(sums, 16), 1, 16);
      const rest = f32x4.add(old, width == 6 ? sumLanes(s4, s5, t4, t5) : sumLanes(s4, s4, t4, t4));
      if (width == 6) {
        v128.store64_lane(sums, rest, 0, 16);
        v128.store64_lane(next, rest, 1, 16);
      } else {
        v128.store32_lane(sums, rest, 0, 16);
        v128.store32_lane(next, rest, 2, 16);
      }
    }
    if (width >= 4) {
      v128.store(sums, sum);
      v128.store(next, nextSum);
    }
    if (width == 2 || width == 3) {
      v128.store64_lane(sums, sum, 0);
      v128.store64_lane(next, nextSum, 0);
    }
    if (width == 1) {
      v128.store32_lane(sums, sum, 0);
      v128.store32_lane(next, nextSum, 0);
    }
    if (width == 3) {
      v128.store32_lane(sums, sum, 2, 8);
      v128.store32_lane(next, nextSum, 2, 8);
    }
    b += 2 * ELEMENT_BYTES;
    sums = next + sumStep;
  }
}
//@ end n
