/** Batch normalisation of one block of eight images, between whose passes the whole batch meets. */

import { BLOCK, ELEMENT_BYTES, multiplyAdd, VECTOR_BYTES } from "./simd";

/** Bytes of what is measured of a channel: two numbers of each of the eight images. */
const MEASURE_BYTES: i32 = 2 * ELEMENT_BYTES;

/** What a channel is normalised by; one of each channel, in a row. */
@unmanaged
class Coefficients {
  mean: f32;
  /** weight / sqrt(variance + eps). */
  scale: f32;
  bias: f32;
  /** Mean over the batch of the output's gradient, and of that times (x - mean), over the variance. */
  gradMean: f32;
  gradSlope: f32;
  unused0: f32;
  unused1: f32;
  unused2: f32;
}

/** measures[channel] = mean of each image's pixels, and sum of the squares of their distances from it.
 *
 * A row's are made in two passes over the row, and put together with those of the rows before it, so
 * that no digits are lost where the mean is large (Chan et al. 1979).
 */
export function batchNormMeasure(
  input: usize, inputStride: usize, channels: i32, height: i32, width: i32, measures: usize,
): void {
  const step = channels * ELEMENT_BYTES;
  const inverse = f32x4.splat(<f32> 1 / <f32> width);
  for (let y = 0; y < height; y++) {
    // Shares of this row in the mean, and of the distance of the means in the squares.
    const share = f32x4.splat(<f32> 1 / <f32> (y + 1));
    const apart = f32x4.splat(<f32> y * <f32> width / <f32> (y + 1));
    for (let i = 0; i < step; i += VECTOR_BYTES) {
      const to = measures + (i / ELEMENT_BYTES) * MEASURE_BYTES + i % ELEMENT_BYTES;
      let sum = f32x4.splat(0);
      for (let x = 0; x < width; x++) sum = f32x4.add(sum, v128.load(input + i + x * step));
      const mean = f32x4.mul(sum, inverse);
      let squares = f32x4.splat(0);
      for (let x = 0; x < width; x++) {
        const distance = f32x4.sub(v128.load(input + i + x * step), mean);
        squares = multiplyAdd(distance, distance, squares);
      }
      if (y > 0) {
        const before = v128.load(to), distance = f32x4.sub(mean, before);
        v128.store(to, multiplyAdd(distance, share, before));
        squares = f32x4.add(squares, v128.load(to, ELEMENT_BYTES));
        squares = multiplyAdd(f32x4.mul(distance, distance), apart, squares);
      } else {
        v128.store(to, mean);
      }
      v128.store(to, squares, ELEMENT_BYTES);
    }
    input += inputStride;
  }
}

/** totals[channel] = sum over the batch's images of the first number that was measured of each, or, with
 * `second`, of the second; in double precision, in the order of images.
 */
export function sumMeasures(
  measures: usize, images: i32, channels: i32, second: bool, totals: usize,
): void {
  memory.fill(totals, 0, channels * 8);
  measures += second ? ELEMENT_BYTES : 0;
  for (; images > 0; images -= BLOCK) {
    for (let channel = 0; channel < channels; channel++) {
      let total = load<f64>(totals + channel * 8);
      for (let lane = 0; lane < min(BLOCK, images); lane++) {
        total += <f64> load<f32>(measures + lane * 4);
      }
      store<f64>(totals + channel * 8, total);
      measures += MEASURE_BYTES;
    }
  }
}

/** totals[channel] = sum over the batch's images of the squares of the distances of their `area` pixels from
 * the channel's mean: from each image's own mean as measured, and of that one from the channel's.
 */
export function sumSquares(
  measures: usize, images: i32, channels: i32, area: f64, means: usize, totals: usize,
): void {
  memory.fill(totals, 0, channels * 8);
  for (; images > 0; images -= BLOCK) {
    for (let channel = 0; channel < channels; channel++) {
      const mean = load<f64>(means + channel * 8);
      let total = load<f64>(totals + channel * 8);
      for (let lane = 0; lane < min(BLOCK, images); lane++) {
        const apart = <f64> load<f32>(measures + lane * 4) - mean;
        total += <f64> load<f32>(measures + lane * 4, ELEMENT_BYTES) + area * (apart * apart);
      }
      store<f64>(totals + channel * 8, total);
      measures += MEASURE_BYTES;
    }
  }
}

/** output = (input - mean) * scale + bias, or 0 where that is less and the layer `rectifies`; equals the
 * reference's `batchNorm`, and `relu` behind it, to 1e-5.
 *
 * Here and below two channels, a line of the cache, go together; a lone one goes twice.
 */
export function batchNormForward(
  input: usize, inputStride: usize, output: usize, outputStride: usize, channels: i32, height: i32,
  width: i32, coefficients: usize, rectifies: bool,
): void {
  const step = channels * ELEMENT_BYTES;
  const least = f32x4.splat(rectifies ? 0 : -Infinity);
  for (; height > 0; height--) {
    for (let channel = 0; channel < channels; channel += 2) {
      const first = channel * ELEMENT_BYTES, next = channel + 1 < channels ? ELEMENT_BYTES : 0;
      //@ for c in 0..1
      const its#c = changetype<Coefficients>(coefficients + first + #c * next);
      const mean#c = f32x4.splat(its#c.mean), scale#c = f32x4.splat(its#c.scale);
      const bias#c = f32x4.splat(its#c.bias);
      //@ end c
      let from = input + first, to = output + first;
      for (let x = 0; x < width; x++) {
        //@ for c in 0..1
        const x#c = from + #c * next;
        const a#c = f32x4.sub(v128.load(x#c), mean#c), b#c = f32x4.sub(v128.load(x#c, 16), mean#c);
        //@ end c
        //@ for c in 0..1
        const y#c = to + #c * next;
        v128.store(y#c, f32x4.pmax(multiplyAdd(a#c, scale#c, bias#c), least));
        v128.store(y#c, f32x4.pmax(multiplyAdd(b#c, scale#c, bias#c), least), 16);
        //@ end c
        from += step;
        to += step;
      }
    }
    input += inputStride;
    output += outputStride;
  }
}

/** The gradient of a layer that may rectify, where its input is `distance` from the mean. */
// @ts-ignore: decorator
@inline
function passed(gradient: v128, distance: v128, scale: v128, bias: v128, all: v128): v128 {
  const above = f32x4.gt(multiplyAdd(distance, scale, bias), f32x4.splat(0));
  return v128.and(gradient, v128.or(above, all));
}

/** measures[channel] = sums over each image's pixels of gradOutput, and of gradOutput * (input - mean), as far
 * as the output is above 0 if the layer `rectifies`.
 */
export function batchNormGradientSums(
  input: usize, inputStride: usize, gradOutput: usize, channels: i32, height: i32, width: i32,
  coefficients: usize, rectifies: bool, measures: usize,
): void {
  const step = channels * ELEMENT_BYTES;
  const all = i32x4.splat(rectifies ? 0 : -1), zero = f32x4.splat(0);
  memory.fill(measures, 0, channels * MEASURE_BYTES);
  for (; height > 0; height--) {
    for (let channel = 0; channel < channels; channel += 2) {
      const first = channel * ELEMENT_BYTES, next = channel + 1 < channels ? ELEMENT_BYTES : 0;
      //@ for c in 0..1
      const its#c = changetype<Coefficients>(coefficients + first + #c * next);
      const mean#c = f32x4.splat(its#c.mean), scale#c = f32x4.splat(its#c.scale);
      const bias#c = f32x4.splat(its#c.bias);
      let sum#c0 = zero, sum#c1 = zero, products#c0 = zero, products#c1 = zero;
      //@ end c
      let from = input + first, gradient = gradOutput + first;
      for (let x = 0; x < width; x++) {
        //@ for c in 0..1
        const x#c = from + #c * next, g#c = gradient + #c * next;
        //@ for h in 0..1
        const distance#c#h = f32x4.sub(v128.load(x#c, #(16 * h)), mean#c);
        const g#c#h = passed(v128.load(g#c, #(16 * h)), distance#c#h, scale#c, bias#c, all);
        sum#c#h = f32x4.add(sum#c#h, g#c#h);
        products#c#h = multiplyAdd(g#c#h, distance#c#h, products#c#h);
        //@ end h
        //@ end c
        from += step;
        gradient += step;
      }
      const to0 = measures + channel * MEASURE_BYTES, to1 = to0 + 2 * next;
      //@ for c in 0..1
      sum#c0 = f32x4.add(sum#c0, v128.load(to#c));
      sum#c1 = f32x4.add(sum#c1, v128.load(to#c, 16));
      products#c0 = f32x4.add(products#c0, v128.load(to#c, 32));
      products#c1 = f32x4.add(products#c1, v128.load(to#c, 48));
      //@ end c
      //@ for c in 0..1
      v128.store(to#c, sum#c0);
      v128.store(to#c, sum#c1, 16);
      v128.store(to#c, products#c0, 32);
      v128.store(to#c, products#c1, 48);
      //@ end c
    }
    input += inputStride;
    gradOutput += width * step;
  }
}

/** gradInput = scale * (gradOutput - gradMean - (input - mean) * gradSlope), 0 in lanes whose mask is 0, with
 * gradOutput as far as the output is above 0 if the layer `rectifies`; equals the reference's `batchNorm` to
 * 1e-5. Both gradients are without borders, and may be one.
 */
export function batchNormBackward(
  input: usize, inputStride: usize, gradOutput: usize, gradInput: usize, channels: i32, height: i32,
  width: i32, coefficients: usize, rectifies: bool, mask: usize,
): void {
  const step = channels * ELEMENT_BYTES, gradients = gradInput - gradOutput;
  const mask0 = v128.load(mask), mask1 = v128.load(mask, 16);
  const all = i32x4.splat(rectifies ? 0 : -1);
  for (; height > 0; height--) {
    for (let channel = 0; channel < channels; channel++) {
      const first = channel * ELEMENT_BYTES;
      const its = changetype<Coefficients>(coefficients + first);
      const mean = f32x4.splat(its.mean), scale = f32x4.splat(its.scale);
      const bias = f32x4.splat(its.bias);
      const gradMean = f32x4.splat(its.gradMean), gradSlope = f32x4.splat(-its.gradSlope);
      //@ for h in 0..1
      const scale#h = f32x4.mul(scale, mask#h);
      //@ end h
      let from = input + first, gradient = gradOutput + first;
      for (let x = 0; x < width; x++) {
        //@ for h in 0..1
        const distance#h = f32x4.sub(v128.load(from, #(16 * h)), mean);
        const g#h = passed(v128.load(gradient, #(16 * h)), distance#h, scale, bias, all);
        const centred#h = multiplyAdd(distance#h, gradSlope, f32x4.sub(g#h, gradMean));
        v128.store(gradient + gradients, f32x4.mul(centred#h, scale#h), #(16 * h));
        //@ end h
        from += step;
        gradient += step;
      }
    }
    input += inputStride;
    gradOutput += width * step;
  }
}
