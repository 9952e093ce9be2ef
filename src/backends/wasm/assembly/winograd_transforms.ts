/** The transforms of Winograd's convolution along one axis, on the points 0, 1, -1, 2, -2 and infinity.
 *
 * A tile is six by six, of 4 x 4 outputs for kernels of 3 x 3, of 2 x 2 for 5 x 5; each transform is
 * applied along y and then along x. All of them take vectors side by side and do the same to each:
 * what stands `inStride` bytes apart becomes what stands `outStride` bytes apart, `bytes` bytes of
 * neighbours at a time, and that `count` times, `inSkip` and `outSkip` bytes further. Where both directions
 * are one function, a map and its frequencies have these, whichever is read.
 * Source: Lavin and Gray 2016, "Fast algorithms for convolutional neural networks".
 */

import { multiplyAdd } from "./simd";

/** Six inputs d become their six frequencies, B^T d. */
export function transformInput(
  input: usize, inStride: usize, inSkip: usize, output: usize, outStride: usize, bytes: usize,
  count: i32,
): void {
  const two = f32x4.splat(2), four = f32x4.splat(4), minusFour = f32x4.splat(-4);
  const minusFive = f32x4.splat(-5);
  for (; count > 0; count--) {
    const end = input + bytes;
    do {
      let from = input;
      const d0 = v128.load(from);
      //@ for i in 1..5
      from += inStride;
      const d#i = v128.load(from);
      //@ end i
      const even = multiplyAdd(minusFour, d2, d4), odd = multiplyAdd(minusFour, d1, d3);
      const even2 = f32x4.sub(d4, d2), odd2 = f32x4.mul(two, f32x4.sub(d3, d1));
      let to = output;
      v128.store(to, multiplyAdd(four, d0, multiplyAdd(minusFive, d2, d4)));
      to += outStride;
      v128.store(to, f32x4.add(even, odd));
      to += outStride;
      v128.store(to, f32x4.sub(even, odd));
      to += outStride;
      v128.store(to, f32x4.add(even2, odd2));
      to += outStride;
      v128.store(to, f32x4.sub(even2, odd2));
      to += outStride;
      v128.store(to, multiplyAdd(four, d1, multiplyAdd(minusFive, d3, d5)));
      input += 16;
      output += 16;
    } while (input != end);
    input += inSkip;
  }
}

/** The transposed transform: gradients v of six frequencies become those of six inputs, B v. The first
 * `overlap` are added to what another tile gave, the others are written: 0, or 6 - `tile`.
 */
export function transformInputGradient(
  overlap: i32, input: usize, inStride: usize, output: usize, outStride: usize, outSkip: usize,
  bytes: usize, count: i32,
): void {
  switch (overlap) {
    case 0:
      return inputGradient0(input, inStride, output, outStride, outSkip, bytes, count);
    //@ for k in 2, 4
    case #k:
      return inputGradient#k(input, inStride, output, outStride, outSkip, bytes, count);
    //@ end k
  }
}

//@ for k in 0..4
function inputGradient#k(
  input: usize, inStride: usize, output: usize, outStride: usize, outSkip: usize, bytes: usize,
  count: i32,
): void {
  const overlap = #k;
  const two = f32x4.splat(2), four = f32x4.splat(4), minusFive = f32x4.splat(-5);
  for (; count > 0; count--) {
    const end = input + bytes;
    do {
      let from = input;
      const v0 = v128.load(from);
      //@ for i in 1..5
      from += inStride;
      const v#i = v128.load(from);
      //@ end i
      const sum = f32x4.add(v1, v2), difference = f32x4.sub(v1, v2);
      const sum2 = f32x4.add(v3, v4), difference2 = f32x4.sub(v3, v4);
      let to = output;
      let x0 = f32x4.mul(four, v0);
      if (overlap > 0) x0 = f32x4.add(v128.load(to), x0);
      v128.store(to, x0);
      to += outStride;
      let x1 = multiplyAdd(four, f32x4.sub(v5, difference), f32x4.neg(f32x4.add(difference2, difference2)));
      if (overlap > 0) x1 = f32x4.add(v128.load(to), x1);
      v128.store(to, x1);
      to += outStride;
      let x2 = f32x4.sub(multiplyAdd(minusFive, v0, f32x4.neg(sum2)), f32x4.mul(four, sum));
      if (overlap > 2) x2 = f32x4.add(v128.load(to), x2);
      v128.store(to, x2);
      to += outStride;
      let x3 = multiplyAdd(minusFive, v5, multiplyAdd(two, difference2, difference));
      if (overlap > 2) x3 = f32x4.add(v128.load(to), x3);
      v128.store(to, x3);
      to += outStride;
      v128.store(to, f32x4.add(v0, f32x4.add(sum, sum2)));
      to += outStride;
      v128.store(to, v5);
      input += 16;
      output += 16;
    } while (input != end);
    output += outSkip;
  }
}
//@ end k

/** Products m at six frequencies become the first `valid` of a tile's outputs, A^T m; or, `back`, gradients d
 * of these become those of six frequencies, A d, and outputs that do not exist count as zero.
 */
export function transformOutput(
  back: bool, tile: i32, valid: i32, map: usize, mapStride: usize, mapSkip: usize,
  frequencies: usize, frequencyStride: usize, bytes: usize, count: i32,
): void {
  //@ for t in 2, 4
  //@ for n in 1..4
  if (#n <= #t && tile == #t && valid == #n) {
    if (back) gradient#t#n(map, mapStride, mapSkip, frequencies, frequencyStride, bytes, count);
    else output#t#n(map, mapStride, mapSkip, frequencies, frequencyStride, bytes, count);
  }
  //@ end n
  //@ end t
}

//@ for t in 2, 4
//@ for n in 1..4
function output#t#n(
  map: usize, mapStride: usize, mapSkip: usize, frequencies: usize, frequencyStride: usize,
  bytes: usize, count: i32,
): void {
  const tile = #t, valid = #n;
  const two = f32x4.splat(2), four = f32x4.splat(4), eight = f32x4.splat(8);
  for (; count > 0; count--) {
    const end = frequencies + bytes;
    do {
      let from = frequencies;
      const m0 = v128.load(from);
      //@ for i in 1..5
      from += frequencyStride;
      const m#i = v128.load(from);
      //@ end i
      const sum = f32x4.add(m1, m2), difference = f32x4.sub(m1, m2);
      const sum2 = f32x4.add(m3, m4), difference2 = f32x4.sub(m3, m4);
      let to = map;
      v128.store(to, f32x4.add(m0, f32x4.add(sum, sum2)));
      if (valid > 1) {
        to += mapStride;
        const y1 = multiplyAdd(two, difference2, difference);
        v128.store(to, tile == 2 ? f32x4.add(y1, m5) : y1);
      }
      if (valid > 2) {
        to += mapStride;
        v128.store(to, multiplyAdd(four, sum2, sum));
      }
      if (valid > 3) {
        to += mapStride;
        v128.store(to, f32x4.add(multiplyAdd(eight, difference2, difference), m5));
      }
      frequencies += 16;
      map += 16;
    } while (frequencies != end);
    map += mapSkip;
  }
}

function gradient#t#n(
  map: usize, mapStride: usize, mapSkip: usize, frequencies: usize, frequencyStride: usize,
  bytes: usize, count: i32,
): void {
  const tile = #t, valid = #n;
  const two = f32x4.splat(2), four = f32x4.splat(4), eight = f32x4.splat(8);
  const zero = f32x4.splat(0);
  for (; count > 0; count--) {
    const end = map + bytes;
    do {
      let from = map;
      const d0 = v128.load(from);
      let d1 = zero, even = d0, even2 = d0;
      if (valid > 1) {
        from += mapStride;
        d1 = v128.load(from);
      }
      let odd = d1, odd2 = f32x4.add(d1, d1), last = tile == 2 ? d1 : zero;
      if (valid > 2) {
        from += mapStride;
        const d2 = v128.load(from);
        even = f32x4.add(d0, d2);
        even2 = multiplyAdd(four, d2, d0);
      }
      if (valid > 3) {
        from += mapStride;
        last = v128.load(from);
        odd = f32x4.add(d1, last);
        odd2 = multiplyAdd(eight, last, odd2);
      }
      let to = frequencies;
      v128.store(to, d0);
      to += frequencyStride;
      v128.store(to, f32x4.add(even, odd));
      to += frequencyStride;
      v128.store(to, f32x4.sub(even, odd));
      to += frequencyStride;
      v128.store(to, f32x4.add(even2, odd2));
      to += frequencyStride;
      v128.store(to, f32x4.sub(even2, odd2));
      to += frequencyStride;
      v128.store(to, last);
      map += 16;
      frequencies += 16;
    } while (map != end);
    map += mapSkip;
  }
}
//@ end n
//@ end t
