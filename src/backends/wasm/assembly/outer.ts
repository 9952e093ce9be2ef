/** The micro-kernel of every weight gradient: products of blocks of images, summed over positions.
 */

import { multiplyAdd, sumLanes } from "./simd";

/** sumB[i] += a[i] * b and sumC[i] += a[i] * c, for i in 0..width, width 1 to 6, over `rows` x
 * `columns` positions and both halves of a block; the four lanes stay apart and are added later.
 *
 * Layout: a holds `width` neighbouring elements, b one element, c lies cOffset bytes after b. The
 * next column is aStep and bStep bytes further, the next row aSkip and bSkip bytes more. A lone b
 * is given twice, with cOffset 0 and sumC = sumB.
 */
export function outer(
  width: i32, rows: i32, columns: i32, a: usize, aStep: usize, aSkip: usize, b: usize, bStep: usize,
  bSkip: usize, cOffset: usize, sumB: usize, sumC: usize,
): void {
  switch (width) {
    //@ for n in 1..6
    case #n:
      return outer#n(rows, columns, a, aStep, aSkip, b, bStep, bSkip, cOffset, sumB, sumC);
    //@ end n
  }
}

/** Two times six sums of products over `columns` positions, from zero and over both halves and the four
 * lanes: rowB[i] = sum of a[i] * b and rowC[i] = sum of a[i] * c, written or, if `accumulate`, added to
 * what is there. Strides and offsets are those of {@linkcode outer}.
 */
export function outerSums6x2(
  columns: i32, a: usize, aStep: usize, b: usize, bStep: usize, cOffset: usize, rowB: usize,
  rowC: usize, accumulate: bool,
): void {
  outerOf(6, true, accumulate, 1, columns, a, aStep, 0, b, bStep, 0, cOffset, rowB, rowC);
}

/** The body of {@linkcode outer}, made for each width by `//@ for`, see `scripts/build_kernels.ts`:
 * `width` and `reduce` are constants there, and what they rule out falls away. With `reduce` it is {@linkcode outerSums6x2}. The second half of a block is reached by bumping the pointers, so that both
 * halves share the limits of their bounds checks.
 */
// @ts-ignore: decorator
@inline
function outerOf(
  width: i32, reduce: bool, accumulate: bool, rows: i32, columns: i32, a: usize, aStep: usize,
  aSkip: usize, b: usize, bStep: usize, bSkip: usize, cOffset: usize, sumB: usize, sumC: usize,
): void {
  aStep -= 16;
  bStep -= 16;
  const zero = f32x4.splat(0);
  //@ for i in 0..5
  let s#i = zero, t#i = zero;
  if (width > #i && !reduce) {
    s#i = v128.load(sumB, #(16 * i));
    t#i = v128.load(sumC, #(16 * i));
  }
  //@ end i
  for (; rows > 0; rows--) {
    let column = columns;
    do {
      const bLow = v128.load(b), cLow = v128.load(b + cOffset);
      //@ for i in 0..5
      if (width > #i) {
        const a#i = v128.load(a, #(32 * i));
        s#i = multiplyAdd(a#i, bLow, s#i);
        t#i = multiplyAdd(a#i, cLow, t#i);
      }
      //@ end i
      a += 16;
      b += 16;
      const bHigh = v128.load(b), cHigh = v128.load(b + cOffset);
      //@ for i in 0..5
      if (width > #i) {
        const a#i = v128.load(a, #(32 * i));
        s#i = multiplyAdd(a#i, bHigh, s#i);
        t#i = multiplyAdd(a#i, cHigh, t#i);
      }
      //@ end i
      a += aStep;
      b += bStep;
    } while (--column);
    a += aSkip;
    b += bSkip;
  }
  if (reduce) {
    let firstB = sumLanes(s0, s1, s2, s3), firstC = sumLanes(t0, t1, t2, t3);
    let rest = sumLanes(s4, s5, t4, t5);
    if (accumulate) {
      firstB = f32x4.add(firstB, v128.load(sumB));
      firstC = f32x4.add(firstC, v128.load(sumC));
      rest = f32x4.add(rest, v128.load64_lane(sumC, v128.load64_zero(sumB, 16), 1, 16));
    }
    v128.store(sumB, firstB);
    v128.store(sumC, firstC);
    v128.store64_lane(sumB, rest, 0, 16);
    v128.store64_lane(sumC, rest, 1, 16);
    return;
  }
  //@ for i in 0..5
  if (width > #i) {
    v128.store(sumB, s#i, #(16 * i));
    v128.store(sumC, t#i, #(16 * i));
  }
  //@ end i
}

//@ for n in 1..6
function outer#n(
  rows: i32, columns: i32, a: usize, aStep: usize, aSkip: usize, b: usize, bStep: usize,
  bSkip: usize, cOffset: usize, sumB: usize, sumC: usize,
): void {
  outerOf(#n, false, false, rows, columns, a, aStep, aSkip, b, bStep, bSkip, cOffset, sumB, sumC);
}
//@ end n
