/** Where images enter the network, and where [y][x][channel] becomes a vector, channel first. */

import { BLOCK, ELEMENT_BYTES } from "./simd";

/** Gathers one channel of eight images of bytes [channel][y][x] into output [y][x][channel][8
 * images], each as byte * scale + offset.
 *
 * `indices` names `count` images, 1 to 8; the last is repeated up to eight, so that idle lanes hold
 * real numbers. Equals the reference's (pixel / 255 - mean) / std to 2.4e-7 of the larger of its terms.
 */
export function loadImages(
  images: usize, indices: usize, count: i32, channels: i32, height: i32, width: i32, channel: i32,
  scale: f32, offset: f32, output: usize, outputRowBytes: usize,
): void {
  const imageBytes = channels * height * width;
  const i0 = imageOf(images, indices, 0, count, imageBytes);
  const i1 = imageOf(images, indices, 1, count, imageBytes);
  const i2 = imageOf(images, indices, 2, count, imageBytes);
  const i3 = imageOf(images, indices, 3, count, imageBytes);
  const i4 = imageOf(images, indices, 4, count, imageBytes);
  const i5 = imageOf(images, indices, 5, count, imageBytes);
  const i6 = imageOf(images, indices, 6, count, imageBytes);
  const i7 = imageOf(images, indices, 7, count, imageBytes);
  const pixelStep = channels * ELEMENT_BYTES;
  const scales = f32x4.splat(scale), offsets = f32x4.splat(offset);
  let pixel = channel * height * width;
  for (let y = 0; y < height; y++) {
    let to = output + y * outputRowBytes + channel * ELEMENT_BYTES;
    const rowEnd = pixel + width;
    for (; pixel + 4 <= rowEnd; pixel += 4) {
      storeFour(to, pixelStep, scales, offsets, i0 + pixel, i1 + pixel, i2 + pixel, i3 + pixel);
      storeFour(to + 16, pixelStep, scales, offsets, i4 + pixel, i5 + pixel, i6 + pixel, i7 + pixel);
      to += 4 * pixelStep;
    }
    for (; pixel < rowEnd; pixel++) {
      store<f32>(to, <f32> load<u8>(i0 + pixel) * scale + offset);
      store<f32>(to, <f32> load<u8>(i1 + pixel) * scale + offset, 4);
      store<f32>(to, <f32> load<u8>(i2 + pixel) * scale + offset, 8);
      store<f32>(to, <f32> load<u8>(i3 + pixel) * scale + offset, 12);
      store<f32>(to, <f32> load<u8>(i4 + pixel) * scale + offset, 16);
      store<f32>(to, <f32> load<u8>(i5 + pixel) * scale + offset, 20);
      store<f32>(to, <f32> load<u8>(i6 + pixel) * scale + offset, 24);
      store<f32>(to, <f32> load<u8>(i7 + pixel) * scale + offset, 28);
      to += pixelStep;
    }
  }
}

// @ts-ignore: decorator
@inline
export function imageOf(images: usize, indices: usize, lane: i32, count: i32, imageBytes: i32): usize {
  return images + load<u32>(indices + min(lane, count - 1) * 4) * imageBytes;
}

/** Four neighbouring pixels of four images: a 4x4 transposition of bytes, widened to floats. */
// @ts-ignore: decorator
@inline
export function storeFour(
  to: usize, step: usize, scales: v128, offsets: v128, a: usize, b: usize, c: usize, d: usize,
): void {
  const ab = v128.shuffle<i8>(
    v128.load32_zero(a), v128.load32_zero(b), 0, 16, 1, 17, 2, 18, 3, 19, 8, 8, 8, 8, 8, 8, 8, 8,
  );
  const cd = v128.shuffle<i8>(
    v128.load32_zero(c), v128.load32_zero(d), 0, 16, 1, 17, 2, 18, 3, 19, 8, 8, 8, 8, 8, 8, 8, 8,
  );
  const bytes = v128.shuffle<i8>(
    ab, cd, 0, 1, 16, 17, 2, 3, 18, 19, 4, 5, 20, 21, 6, 7, 22, 23,
  );
  const low = i16x8.extend_low_i8x16_u(bytes), high = i16x8.extend_high_i8x16_u(bytes);
  store4(to, i32x4.extend_low_i16x8_u(low), scales, offsets);
  store4(to + step, i32x4.extend_high_i16x8_u(low), scales, offsets);
  to += 2 * step;
  store4(to, i32x4.extend_low_i16x8_u(high), scales, offsets);
  store4(to + step, i32x4.extend_high_i16x8_u(high), scales, offsets);
}

/** Multiplies and adds in two roundings, as pixels beyond the last four are, on either build. */
// @ts-ignore: decorator
@inline
function store4(to: usize, bytes: v128, scales: v128, offsets: v128): void {
  v128.store(to, f32x4.add(f32x4.mul(f32x4.convert_i32x4_u(bytes), scales), offsets));
}

/** [y][x][channel] with rows of inputRowBytes -> [channel][y][x]; eight images an element. */
export function flattenForward(
  input: usize, inputRowBytes: usize, channels: i32, height: i32, width: i32, output: usize,
): void {
  for (let channel = 0; channel < channels; channel++) {
    for (let y = 0; y < height; y++) {
      let from = input + y * inputRowBytes + channel * ELEMENT_BYTES;
      for (let x = 0; x < width; x++) {
        copyElement(output, from);
        output += ELEMENT_BYTES;
        from += channels * ELEMENT_BYTES;
      }
    }
  }
}

/** [channel][y][x] -> [y][x][channel] without borders; the gradient of flattenForward. */
export function flattenBackward(
  gradOutput: usize, channels: i32, height: i32, width: i32, gradInput: usize,
): void {
  for (let channel = 0; channel < channels; channel++) {
    let to = gradInput + channel * ELEMENT_BYTES;
    for (let pixel = height * width; pixel > 0; pixel--) {
      copyElement(to, gradOutput);
      gradOutput += ELEMENT_BYTES;
      to += channels * ELEMENT_BYTES;
    }
  }
}

// @ts-ignore: decorator
@inline
function copyElement(to: usize, from: usize): void {
  v128.store(to, v128.load(from));
  v128.store(to, v128.load(from, 16), 16);
}

/** Logits [class][8 images] -> rows [image][class] of the first `count` images. */
export function storeLogits(logits: usize, classes: i32, count: i32, output: usize): void {
  for (let image = 0; image < min(count, BLOCK); image++) {
    for (let c = 0; c < classes; c++) {
      store<f32>(output, load<f32>(logits + c * ELEMENT_BYTES + image * 4));
      output += 4;
    }
  }
}
