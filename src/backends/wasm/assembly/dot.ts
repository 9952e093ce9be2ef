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
    //@ for n in 1..6
    case #n:
      return dot#n(
        input, inputStep, inputSkip, count, runs, runBytes, weight, weightSkip, bias, output,
        outputStep,
      );
    //@ end n
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

// Every load carries a bounds check whose limit depends on its immediate offset, so pointers are bumped and
// offsets few. In each function `width` is a constant, and what lies beyond it falls away.
//@ for n in 1..6
function dot#n(
  input: usize, inputStep: usize, inputSkip: usize, count: i32, runs: i32, runBytes: usize,
  weight: usize, weightSkip: usize, bias: usize, output: usize, outputStep: usize,
): void {
  const width = #n;
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
          //@ include multiply_step k=1 x=x w=w add=multiplyAdd
          //@ include multiply_step k=2 x=x w=w add=multiplyAdd
        }
        if (x == end) {
          x += inputSkip;
          w += weightSkip;
          continue;
        }
      }
      do {
        //@ include multiply_step k=3 x=x w=w add=multiplyAdd
      } while (x != end);
      x += inputSkip;
      w += weightSkip;
    }
    //@ for i in 0..5
    if (width > #i) {
      v128.store(output, s#i, #(32 * i));
      v128.store(output, t#i, #(32 * i + 16));
    }
    //@ end i
    input += inputStep;
    output += outputStep;
  }
}
//@ end n
