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
    case 1:
      return outer1(rows, columns, a, aStep, aSkip, b, bStep, bSkip, cOffset, sumB, sumC);
    case 2:
      return outer2(rows, columns, a, aStep, aSkip, b, bStep, bSkip, cOffset, sumB, sumC);
    case 3:
      return outer3(rows, columns, a, aStep, aSkip, b, bStep, bSkip, cOffset, sumB, sumC);
    case 4:
      return outer4(rows, columns, a, aStep, aSkip, b, bStep, bSkip, cOffset, sumB, sumC);
    case 5:
      return outer5(rows, columns, a, aStep, aSkip, b, bStep, bSkip, cOffset, sumB, sumC);
    default:
      return outer6(rows, columns, a, aStep, aSkip, b, bStep, bSkip, cOffset, sumB, sumC);
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

/** The body of {@linkcode outer}, copied for each width: `width` and `reduce` are constants there, and
 * what they rule out falls away. With `reduce` it is {@linkcode outerSums6x2}. The second half of a block is reached by bumping the pointers, so that both
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
  let s0 = zero, t0 = zero;
  if (!reduce) {
    s0 = v128.load(sumB);
    t0 = v128.load(sumC);
  }
  let s1 = zero, t1 = zero;
  if (width > 1 && !reduce) {
    s1 = v128.load(sumB, 16);
    t1 = v128.load(sumC, 16);
  }
  let s2 = zero, t2 = zero;
  if (width > 2 && !reduce) {
    s2 = v128.load(sumB, 32);
    t2 = v128.load(sumC, 32);
  }
  let s3 = zero, t3 = zero;
  if (width > 3 && !reduce) {
    s3 = v128.load(sumB, 48);
    t3 = v128.load(sumC, 48);
  }
  let s4 = zero, t4 = zero;
  if (width > 4 && !reduce) {
    s4 = v128.load(sumB, 64);
    t4 = v128.load(sumC, 64);
  }
  let s5 = zero, t5 = zero;
  if (width > 5 && !reduce) {
    s5 = v128.load(sumB, 80);
    t5 = v128.load(sumC, 80);
  }
  for (; rows > 0; rows--) {
    let column = columns;
    do {
      const bLow = v128.load(b), cLow = v128.load(b + cOffset);
      const a0Low = v128.load(a);
      s0 = multiplyAdd(a0Low, bLow, s0);
      t0 = multiplyAdd(a0Low, cLow, t0);
      if (width > 1) {
        const a1 = v128.load(a, 32);
        s1 = multiplyAdd(a1, bLow, s1);
        t1 = multiplyAdd(a1, cLow, t1);
      }
      if (width > 2) {
        const a2 = v128.load(a, 64);
        s2 = multiplyAdd(a2, bLow, s2);
        t2 = multiplyAdd(a2, cLow, t2);
      }
      if (width > 3) {
        const a3 = v128.load(a, 96);
        s3 = multiplyAdd(a3, bLow, s3);
        t3 = multiplyAdd(a3, cLow, t3);
      }
      if (width > 4) {
        const a4 = v128.load(a, 128);
        s4 = multiplyAdd(a4, bLow, s4);
        t4 = multiplyAdd(a4, cLow, t4);
      }
      if (width > 5) {
        const a5 = v128.load(a, 160);
        s5 = multiplyAdd(a5, bLow, s5);
        t5 = multiplyAdd(a5, cLow, t5);
      }
      a += 16;
      b += 16;
      const bHigh = v128.load(b), cHigh = v128.load(b + cOffset);
      const a0High = v128.load(a);
      s0 = multiplyAdd(a0High, bHigh, s0);
      t0 = multiplyAdd(a0High, cHigh, t0);
      if (width > 1) {
        const a1 = v128.load(a, 32);
        s1 = multiplyAdd(a1, bHigh, s1);
        t1 = multiplyAdd(a1, cHigh, t1);
      }
      if (width > 2) {
        const a2 = v128.load(a, 64);
        s2 = multiplyAdd(a2, bHigh, s2);
        t2 = multiplyAdd(a2, cHigh, t2);
      }
      if (width > 3) {
        const a3 = v128.load(a, 96);
        s3 = multiplyAdd(a3, bHigh, s3);
        t3 = multiplyAdd(a3, cHigh, t3);
      }
      if (width > 4) {
        const a4 = v128.load(a, 128);
        s4 = multiplyAdd(a4, bHigh, s4);
        t4 = multiplyAdd(a4, cHigh, t4);
      }
      if (width > 5) {
        const a5 = v128.load(a, 160);
        s5 = multiplyAdd(a5, bHigh, s5);
        t5 = multiplyAdd(a5, cHigh, t5);
      }
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
  v128.store(sumB, s0);
  v128.store(sumC, t0);
  if (width > 1) {
    v128.store(sumB, s1, 16);
    v128.store(sumC, t1, 16);
  }
  if (width > 2) {
    v128.store(sumB, s2, 32);
    v128.store(sumC, t2, 32);
  }
  if (width > 3) {
    v128.store(sumB, s3, 48);
    v128.store(sumC, t3, 48);
  }
  if (width > 4) {
    v128.store(sumB, s4, 64);
    v128.store(sumC, t4, 64);
  }
  if (width > 5) {
    v128.store(sumB, s5, 80);
    v128.store(sumC, t5, 80);
  }
}

function outer1(
  rows: i32, columns: i32, a: usize, aStep: usize, aSkip: usize, b: usize, bStep: usize,
  bSkip: usize, cOffset: usize, sumB: usize, sumC: usize,
): void {
  outerOf(1, false, false, rows, columns, a, aStep, aSkip, b, bStep, bSkip, cOffset, sumB, sumC);
}

function outer2(
  rows: i32, columns: i32, a: usize, aStep: usize, aSkip: usize, b: usize, bStep: usize,
  bSkip: usize, cOffset: usize, sumB: usize, sumC: usize,
): void {
  outerOf(2, false, false, rows, columns, a, aStep, aSkip, b, bStep, bSkip, cOffset, sumB, sumC);
}

function outer3(
  rows: i32, columns: i32, a: usize, aStep: usize, aSkip: usize, b: usize, bStep: usize,
  bSkip: usize, cOffset: usize, sumB: usize, sumC: usize,
): void {
  outerOf(3, false, false, rows, columns, a, aStep, aSkip, b, bStep, bSkip, cOffset, sumB, sumC);
}

function outer4(
  rows: i32, columns: i32, a: usize, aStep: usize, aSkip: usize, b: usize, bStep: usize,
  bSkip: usize, cOffset: usize, sumB: usize, sumC: usize,
): void {
  outerOf(4, false, false, rows, columns, a, aStep, aSkip, b, bStep, bSkip, cOffset, sumB, sumC);
}

function outer5(
  rows: i32, columns: i32, a: usize, aStep: usize, aSkip: usize, b: usize, bStep: usize,
  bSkip: usize, cOffset: usize, sumB: usize, sumC: usize,
): void {
  outerOf(5, false, false, rows, columns, a, aStep, aSkip, b, bStep, bSkip, cOffset, sumB, sumC);
}

function outer6(
  rows: i32, columns: i32, a: usize, aStep: usize, aSkip: usize, b: usize, bStep: usize,
  bSkip: usize, cOffset: usize, sumB: usize, sumC: usize,
): void {
  outerOf(6, false, false, rows, columns, a, aStep, aSkip, b, bStep, bSkip, cOffset, sumB, sumC);
}
