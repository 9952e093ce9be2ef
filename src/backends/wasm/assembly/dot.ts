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
    case 1:
      return dot1(
        input, inputStep, inputSkip, count, runs, runBytes, weight, weightSkip, bias, output,
        outputStep,
      );
    case 2:
      return dot2(
        input, inputStep, inputSkip, count, runs, runBytes, weight, weightSkip, bias, output,
        outputStep,
      );
    case 3:
      return dot3(
        input, inputStep, inputSkip, count, runs, runBytes, weight, weightSkip, bias, output,
        outputStep,
      );
    case 4:
      return dot4(
        input, inputStep, inputSkip, count, runs, runBytes, weight, weightSkip, bias, output,
        outputStep,
      );
    case 5:
      return dot5(
        input, inputStep, inputSkip, count, runs, runBytes, weight, weightSkip, bias, output,
        outputStep,
      );
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

/** The body of {@linkcode dot}, copied for each width: `width` is a constant there, and what lies
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
    let s1 = s0, t1 = s0;
    if (width > 1) t1 = s1 = v128.load32_splat(bias, 4);
    let s2 = s0, t2 = s0;
    if (width > 2) t2 = s2 = v128.load32_splat(bias, 8);
    let s3 = s0, t3 = s0;
    if (width > 3) t3 = s3 = v128.load32_splat(bias, 12);
    let s4 = s0, t4 = s0;
    if (width > 4) t4 = s4 = v128.load32_splat(bias, 16);
    let s5 = s0, t5 = s0;
    if (width > 5) t5 = s5 = v128.load32_splat(bias, 20);
    for (let run = runs; run > 0; run--) {
      const end = x + runBytes;
      if (width == 6) {
        // Two steps an iteration halve the interrupt checks; 48 -> 53 GFLOP/s.
        const lastPair = end - ELEMENT_BYTES;
        while (x < lastPair) {
          const low = v128.load(x), high = v128.load(x, 16);
          const w0 = v128.load32_splat(w);
          w += 4;
          s0 = multiplyAdd(w0, low, s0);
          t0 = multiplyAdd(w0, high, t0);
          const w1 = v128.load32_splat(w);
          w += 4;
          s1 = multiplyAdd(w1, low, s1);
          t1 = multiplyAdd(w1, high, t1);
          const w2 = v128.load32_splat(w);
          w += 4;
          s2 = multiplyAdd(w2, low, s2);
          t2 = multiplyAdd(w2, high, t2);
          const w3 = v128.load32_splat(w);
          w += 4;
          s3 = multiplyAdd(w3, low, s3);
          t3 = multiplyAdd(w3, high, t3);
          const w4 = v128.load32_splat(w);
          w += 4;
          s4 = multiplyAdd(w4, low, s4);
          t4 = multiplyAdd(w4, high, t4);
          const w5 = v128.load32_splat(w);
          w += 4;
          s5 = multiplyAdd(w5, low, s5);
          t5 = multiplyAdd(w5, high, t5);
          x += ELEMENT_BYTES;
          const low2 = v128.load(x), high2 = v128.load(x, 16);
          const v0 = v128.load32_splat(w);
          w += 4;
          s0 = multiplyAdd(v0, low2, s0);
          t0 = multiplyAdd(v0, high2, t0);
          const v1 = v128.load32_splat(w);
          w += 4;
          s1 = multiplyAdd(v1, low2, s1);
          t1 = multiplyAdd(v1, high2, t1);
          const v2 = v128.load32_splat(w);
          w += 4;
          s2 = multiplyAdd(v2, low2, s2);
          t2 = multiplyAdd(v2, high2, t2);
          const v3 = v128.load32_splat(w);
          w += 4;
          s3 = multiplyAdd(v3, low2, s3);
          t3 = multiplyAdd(v3, high2, t3);
          const v4 = v128.load32_splat(w);
          w += 4;
          s4 = multiplyAdd(v4, low2, s4);
          t4 = multiplyAdd(v4, high2, t4);
          const v5 = v128.load32_splat(w);
          w += 4;
          s5 = multiplyAdd(v5, low2, s5);
          t5 = multiplyAdd(v5, high2, t5);
          x += ELEMENT_BYTES;
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
          const w0 = v128.shuffle<f32>(w0123, w0123, 0, 0, 0, 0);
          s0 = multiplyAdd(w0, low, s0);
          t0 = multiplyAdd(w0, high, t0);
          const w1 = v128.shuffle<f32>(w0123, w0123, 1, 1, 1, 1);
          s1 = multiplyAdd(w1, low, s1);
          t1 = multiplyAdd(w1, high, t1);
          const w2 = v128.shuffle<f32>(w0123, w0123, 2, 2, 2, 2);
          s2 = multiplyAdd(w2, low, s2);
          t2 = multiplyAdd(w2, high, t2);
          const w3 = v128.shuffle<f32>(w0123, w0123, 3, 3, 3, 3);
          s3 = multiplyAdd(w3, low, s3);
          t3 = multiplyAdd(w3, high, t3);
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
          if (width > 1) {
            const w1 = v128.load32_splat(w);
            w += 4;
            s1 = multiplyAdd(w1, low, s1);
            t1 = multiplyAdd(w1, high, t1);
          }
          if (width > 2) {
            const w2 = v128.load32_splat(w);
            w += 4;
            s2 = multiplyAdd(w2, low, s2);
            t2 = multiplyAdd(w2, high, t2);
          }
          if (width > 3) {
            const w3 = v128.load32_splat(w);
            w += 4;
            s3 = multiplyAdd(w3, low, s3);
            t3 = multiplyAdd(w3, high, t3);
          }
          if (width > 4) {
            const w4 = v128.load32_splat(w);
            w += 4;
            s4 = multiplyAdd(w4, low, s4);
            t4 = multiplyAdd(w4, high, t4);
          }
          if (width > 5) {
            const w5 = v128.load32_splat(w);
            w += 4;
            s5 = multiplyAdd(w5, low, s5);
            t5 = multiplyAdd(w5, high, t5);
          }
        }
        x += ELEMENT_BYTES;
      } while (x != end);
      x += inputSkip;
      w += weightSkip;
    }
    v128.store(output, s0);
    v128.store(output, t0, 16);
    if (width > 1) {
      v128.store(output, s1, 32);
      v128.store(output, t1, 48);
    }
    if (width > 2) {
      v128.store(output, s2, 64);
      v128.store(output, t2, 80);
    }
    if (width > 3) {
      v128.store(output, s3, 96);
      v128.store(output, t3, 112);
    }
    if (width > 4) {
      v128.store(output, s4, 128);
      v128.store(output, t4, 144);
    }
    if (width > 5) {
      v128.store(output, s5, 160);
      v128.store(output, t5, 176);
    }
    input += inputStep;
    output += outputStep;
  }
}

function dot1(
  input: usize, inputStep: usize, inputSkip: usize, count: i32, runs: i32, runBytes: usize,
  weight: usize, weightSkip: usize, bias: usize, output: usize, outputStep: usize,
): void {
  dotOf(
    1, input, inputStep, inputSkip, count, runs, runBytes, weight, weightSkip, bias, output,
    outputStep,
  );
}

function dot2(
  input: usize, inputStep: usize, inputSkip: usize, count: i32, runs: i32, runBytes: usize,
  weight: usize, weightSkip: usize, bias: usize, output: usize, outputStep: usize,
): void {
  dotOf(
    2, input, inputStep, inputSkip, count, runs, runBytes, weight, weightSkip, bias, output,
    outputStep,
  );
}

function dot3(
  input: usize, inputStep: usize, inputSkip: usize, count: i32, runs: i32, runBytes: usize,
  weight: usize, weightSkip: usize, bias: usize, output: usize, outputStep: usize,
): void {
  dotOf(
    3, input, inputStep, inputSkip, count, runs, runBytes, weight, weightSkip, bias, output,
    outputStep,
  );
}

function dot4(
  input: usize, inputStep: usize, inputSkip: usize, count: i32, runs: i32, runBytes: usize,
  weight: usize, weightSkip: usize, bias: usize, output: usize, outputStep: usize,
): void {
  dotOf(
    4, input, inputStep, inputSkip, count, runs, runBytes, weight, weightSkip, bias, output,
    outputStep,
  );
}

function dot5(
  input: usize, inputStep: usize, inputSkip: usize, count: i32, runs: i32, runBytes: usize,
  weight: usize, weightSkip: usize, bias: usize, output: usize, outputStep: usize,
): void {
  dotOf(
    5, input, inputStep, inputSkip, count, runs, runBytes, weight, weightSkip, bias, output,
    outputStep,
  );
}

function dot6(
  input: usize, inputStep: usize, inputSkip: usize, count: i32, runs: i32, runBytes: usize,
  weight: usize, weightSkip: usize, bias: usize, output: usize, outputStep: usize,
): void {
  dotOf(
    6, input, inputStep, inputSkip, count, runs, runBytes, weight, weightSkip, bias, output,
    outputStep,
  );
}
