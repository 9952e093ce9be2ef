/** The micro-kernel of every forward pass and input gradient: scalars times blocks of images. */

import { ELEMENT_BYTES, multiplyAdd } from "./simd";

const ZEROS = memory.data<f32>([0, 0, 0, 0, 0, 0], 16);

/** output[p][o] = bias[o] + sum over runs and k of weight[run][k][o] * input[p][run][k], for o in
 * 0..width, width 1 to 6, and positions p in 0..count.
 *
 * Layout: an element of input or output holds eight images, so 6 outputs need 12 accumulators. A
 * run is a contiguous stretch of input elements; `inputSkip` bytes lie between the end of one and
 * the start of the next. weight holds `width` scalars a step, and `weightSkip` bytes between runs.
 * Position p starts at input + p * inputStep and is written at output + p * outputStep. A bias of 0
 * stands for zeros.
 */
export function dot(
  width: i32, input: usize, inputStep: usize, inputSkip: usize, count: i32, runs: i32,
  runBytes: usize, weight: usize, weightSkip: usize, bias: usize, output: usize, outputStep: usize,
): void {
  if (bias == 0) bias = ZEROS;
  if (runs <= 0 || runBytes == 0) return fillBias(width, count, bias, output, outputStep);
  switch (width) {
    //@ for n in 1..5
    case #n:
      return dot#n(
        input, inputStep, inputSkip, count, runs, runBytes, weight, weightSkip, bias, output,
        outputStep,
      );
    //@ end n
    default:
      return dot6(
        input, inputStep, inputSkip, count, runs, runBytes, weight, weightSkip, bias, output,
        outputStep,
      );
  }
}

function fillBias(width: i32, count: i32, bias: usize, output: usize, outputStep: usize): void {
  for (; count > 0; count--) {
    for (let o = 0; o < width; o++) {
      const value = v128.load32_splat(bias + o * 4);
      v128.store(output + o * ELEMENT_BYTES, value);
      v128.store(output + o * ELEMENT_BYTES, value, 16);
    }
    output += outputStep;
  }
}

/** The body of {@linkcode dot}, made for each width by `//@ for`, see `scripts/build_kernels.ts`: `width` is a constant there, and what lies
 * beyond it falls away.
 *
 * Every load carries a bounds check whose limit depends on its immediate offset, so pointers are
 * bumped and offsets few. Widths 4 and 5 load four weights with one check and splat them by
 * shuffles; width 6 has no register left for that, and walks its weights one by one.
 */
// @ts-ignore: decorator
@inline
function dotOf(
  width: i32, input: usize, inputStep: usize, inputSkip: usize, count: i32, runs: i32,
  runBytes: usize, weight: usize, weightSkip: usize, bias: usize, output: usize, outputStep: usize,
): void {
  for (; count > 0; count--) {
    let x = input, w = weight;
    let s0 = v128.load32_splat(bias), t0 = s0;
    //@ for i in 1..5
    let s#i = s0, t#i = s0;
    if (width > #i) t#i = s#i = v128.load32_splat(bias, #(4 * i));
    //@ end i
    for (let run = runs; run > 0; run--) {
      const end = x + runBytes;
      if (width >= 4) {
        // Two steps an iteration halve the interrupt checks; 48 -> 53 GFLOP/s.
        const lastPair = end - ELEMENT_BYTES;
        while (x < lastPair) {
          //@ for k in 1..2
          const low#k = v128.load(x), high#k = v128.load(x, 16);
          if (width < 6) {
            const v#k = v128.load(w);
            //@ for i in 0..3
            const w#k#i = v128.shuffle<f32>(v#k, v#k, #i, #i, #i, #i);
            s#i = multiplyAdd(w#k#i, low#k, s#i);
            t#i = multiplyAdd(w#k#i, high#k, t#i);
            //@ end i
            if (width == 5) {
              const w#k4 = v128.load32_splat(w, 16);
              s4 = multiplyAdd(w#k4, low#k, s4);
              t4 = multiplyAdd(w#k4, high#k, t4);
            }
            w += width * 4;
          } else {
            //@ for i in 0..5
            const w#k#i = v128.load32_splat(w);
            w += 4;
            s#i = multiplyAdd(w#k#i, low#k, s#i);
            t#i = multiplyAdd(w#k#i, high#k, t#i);
            //@ end i
          }
          x += ELEMENT_BYTES;
          //@ end k
        }
        if (x == end) {
          x += inputSkip;
          w += weightSkip;
          continue;
        }
      }
      do {
        const low = v128.load(x), high = v128.load(x, 16);
        if (width == 4 || width == 5) {
          const w0123 = v128.load(w);
          //@ for i in 0..3
          const w#i = v128.shuffle<f32>(w0123, w0123, #i, #i, #i, #i);
          s#i = multiplyAdd(w#i, low, s#i);
          t#i = multiplyAdd(w#i, high, t#i);
          //@ end i
          if (width == 5) {
            const w4 = v128.load32_splat(w, 16);
            s4 = multiplyAdd(w4, low, s4);
            t4 = multiplyAdd(w4, high, t4);
          }
          w += width * 4;
        } else {
          const w0 = v128.load32_splat(w);
          w += 4;
          s0 = multiplyAdd(w0, low, s0);
          t0 = multiplyAdd(w0, high, t0);
          //@ for i in 1..5
          if (width > #i) {
            const w#i = v128.load32_splat(w);
            w += 4;
            s#i = multiplyAdd(w#i, low, s#i);
            t#i = multiplyAdd(w#i, high, t#i);
          }
          //@ end i
        }
        x += ELEMENT_BYTES;
      } while (x != end);
      x += inputSkip;
      w += weightSkip;
    }
    v128.store(output, s0);
    v128.store(output, t0, 16);
    //@ for i in 1..5
    if (width > #i) {
      v128.store(output, s#i, #(32 * i));
      v128.store(output, t#i, #(32 * i + 16));
    }
    //@ end i
    input += inputStep;
    output += outputStep;
  }
}

//@ for n in 1..6
function dot#n(
  input: usize, inputStep: usize, inputSkip: usize, count: i32, runs: i32, runBytes: usize,
  weight: usize, weightSkip: usize, bias: usize, output: usize, outputStep: usize,
): void {
  dotOf(
    #n, input, inputStep, inputSkip, count, runs, runBytes, weight, weightSkip, bias, output,
    outputStep,
  );
}
//@ end n
