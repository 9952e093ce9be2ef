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

/** output = (input - mean) * scale + bias; equals the reference's `batchNorm` to 1e-5. */
export function batchNormForward(
  input: usize, inputStride: usize, output: usize, outputStride: usize, channels: i32, height: i32,
  width: i32, coefficients: usize,
): void {
  const step = channels * ELEMENT_BYTES;
  for (let y = 0; y < height; y++) {
    for (let channel = 0; channel < channels; channel++) {
      const its = changetype<Coefficients>(coefficients + channel * ELEMENT_BYTES);
      const mean = f32x4.splat(its.mean), scale = f32x4.splat(its.scale), bias = f32x4.splat(its.bias);
      let from = input + channel * ELEMENT_BYTES, to = output + channel * ELEMENT_BYTES;
      for (let x = 0; x < width; x++) {
        const a = f32x4.sub(v128.load(from), mean), b = f32x4.sub(v128.load(from, 16), mean);
        v128.store(to, multiplyAdd(a, scale, bias));
        v128.store(to, multiplyAdd(b, scale, bias), 16);
        from += step;
        to += step;
      }
    }
    input += inputStride;
    output += outputStride;
  }
}

/** measures[channel] = sums over each image's pixels of gradOutput, and of gradOutput * (input - mean).
 */
export function batchNormGradientSums(
  input: usize, inputStride: usize, gradOutput: usize, channels: i32, height: i32, width: i32,
  coefficients: usize, measures: usize,
): void {
  const step = channels * ELEMENT_BYTES;
  for (let y = 0; y < height; y++) {
    for (let i = 0; i < step; i += VECTOR_BYTES) {
      const channel = i / ELEMENT_BYTES;
      const its = changetype<Coefficients>(coefficients + channel * ELEMENT_BYTES);
      const to = measures + channel * MEASURE_BYTES + i % ELEMENT_BYTES;
      const mean = f32x4.splat(its.mean);
      let sum = f32x4.splat(0), products = f32x4.splat(0);
      for (let x = 0; x < width; x++) {
        const gradient = v128.load(gradOutput + i + x * step);
        sum = f32x4.add(sum, gradient);
        const distance = f32x4.sub(v128.load(input + i + x * step), mean);
        products = multiplyAdd(gradient, distance, products);
      }
      if (y > 0) {
        sum = f32x4.add(sum, v128.load(to));
        products = f32x4.add(products, v128.load(to, ELEMENT_BYTES));
      }
      v128.store(to, sum);
      v128.store(to, products, ELEMENT_BYTES);
    }
    input += inputStride;
    gradOutput += width * step;
  }
}

/** gradInput = scale * (gradOutput - gradMean - (input - mean) * gradSlope), 0 in lanes whose mask is 0;
 * equals the reference's `batchNorm` to 1e-5. Both gradients are without borders, and may be one.
 */
export function batchNormBackward(
  input: usize, inputStride: usize, gradOutput: usize, gradInput: usize, channels: i32, height: i32,
  width: i32, coefficients: usize, mask: usize,
): void {
  const step = channels * ELEMENT_BYTES;
  const first = v128.load(mask), second = v128.load(mask, 16);
  for (let y = 0; y < height; y++) {
    for (let channel = 0; channel < channels; channel++) {
      const its = changetype<Coefficients>(coefficients + channel * ELEMENT_BYTES);
      const mean = f32x4.splat(its.mean), scale = f32x4.splat(its.scale);
      const gradMean = f32x4.splat(its.gradMean), gradSlope = f32x4.splat(-its.gradSlope);
      const scaleA = f32x4.mul(scale, first), scaleB = f32x4.mul(scale, second);
      let at = input + channel * ELEMENT_BYTES, offset = channel * ELEMENT_BYTES;
      for (let x = 0; x < width; x++) {
        let a = f32x4.sub(v128.load(gradOutput + offset), gradMean);
        let b = f32x4.sub(v128.load(gradOutput + offset, 16), gradMean);
        a = multiplyAdd(f32x4.sub(v128.load(at), mean), gradSlope, a);
        b = multiplyAdd(f32x4.sub(v128.load(at, 16), mean), gradSlope, b);
        v128.store(gradInput + offset, f32x4.mul(a, scaleA));
        v128.store(gradInput + offset, f32x4.mul(b, scaleB), 16);
        at += step;
        offset += step;
      }
    }
    input += inputStride;
    gradOutput += width * step;
    gradInput += width * step;
  }
}
