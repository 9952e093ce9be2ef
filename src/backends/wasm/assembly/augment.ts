/** Where images enter the network in training, changed: flipped, moved, turned, lit, erased in part. */

import { imageOf, storeFour } from "./images";
import { ELEMENT_BYTES } from "./simd";

/** Bytes of what is to be done with an image; 32-bit words, all whole numbers but the factor. */
const CHANGE_BYTES: i32 = 64;
// Places of the words in it, in bytes.
const FLIP: i32 = 0, DOWN: i32 = 4, RIGHT: i32 = 8, COS: i32 = 12, SIN: i32 = 16, FACTOR: i32 = 20;
const TOP: i32 = 24, LEFT: i32 = 28, BOTTOM: i32 = 32, END: i32 = 36;

/** Gathers one channel of eight images as loadImages does, each changed in its own way.
 *
 * `changes` says how, for each of the eight; `turns` whether any of them may be turned. Equals
 * `gatherImages` of TypeScript in which pixels are taken with which weights. `staging` has room for
 * eight channels. Where nothing is turned, eight images go side by side as in loadImages, each from
 * where its shift points: what that reads of its neighbours is zeroed behind it.
 */
export function loadAugmented(
  images: usize, indices: usize, count: i32, channels: i32, height: i32, width: i32, channel: i32,
  scale: f32, offset: f32, output: usize, outputRowBytes: usize, changes: usize, turns: bool,
  staging: usize,
): void {
  const area = height * width, imageBytes = channels * area, start = channel * area;
  const pixelStep = channels * ELEMENT_BYTES;
  output += channel * ELEMENT_BYTES;
  if (turns) {
    for (let lane = 0; lane < 8; lane++) {
      const image = imageOf(images, indices, lane, count, imageBytes) + start;
      turn(
        planeOf(image, lane, changes, staging, height, width), changes + lane * CHANGE_BYTES, height,
        width, scale, offset, output + lane * 4, outputRowBytes, pixelStep,
      );
    }
  } else {
    const p0 = shifted(images, indices, 0, count, imageBytes, start, changes, staging, height, width);
    const p1 = shifted(images, indices, 1, count, imageBytes, start, changes, staging, height, width);
    const p2 = shifted(images, indices, 2, count, imageBytes, start, changes, staging, height, width);
    const p3 = shifted(images, indices, 3, count, imageBytes, start, changes, staging, height, width);
    const p4 = shifted(images, indices, 4, count, imageBytes, start, changes, staging, height, width);
    const p5 = shifted(images, indices, 5, count, imageBytes, start, changes, staging, height, width);
    const p6 = shifted(images, indices, 6, count, imageBytes, start, changes, staging, height, width);
    const p7 = shifted(images, indices, 7, count, imageBytes, start, changes, staging, height, width);
    const low = scalesOf(changes, scale), high = scalesOf(changes + 4 * CHANGE_BYTES, scale);
    const offsets = f32x4.splat(offset);
    let pixel = 0;
    for (let y = 0; y < height; y++) {
      let to = output + y * outputRowBytes;
      const rowEnd = pixel + width;
      for (; pixel + 4 <= rowEnd; pixel += 4) {
        storeFour(to, pixelStep, low, offsets, p0 + pixel, p1 + pixel, p2 + pixel, p3 + pixel);
        storeFour(to + 16, pixelStep, high, offsets, p4 + pixel, p5 + pixel, p6 + pixel, p7 + pixel);
        to += 4 * pixelStep;
      }
      for (; pixel < rowEnd; pixel++) {
        storeOne(to, low, offsets, p0 + pixel, p1 + pixel, p2 + pixel, p3 + pixel);
        storeOne(to + 16, high, offsets, p4 + pixel, p5 + pixel, p6 + pixel, p7 + pixel);
        to += pixelStep;
      }
    }
  }
  for (let lane = 0; lane < 8; lane++) {
    const change = changes + lane * CHANGE_BYTES, to = output + lane * 4;
    if (!turns) {
      const down = load<i32>(change, DOWN), right = load<i32>(change, RIGHT);
      zero(to, outputRowBytes, pixelStep, 0, 0, down, width);
      zero(to, outputRowBytes, pixelStep, height + min(down, 0), 0, height, width);
      zero(to, outputRowBytes, pixelStep, 0, 0, height, right);
      zero(to, outputRowBytes, pixelStep, 0, width + min(right, 0), height, width);
    }
    zero(
      to, outputRowBytes, pixelStep, load<i32>(change, TOP), load<i32>(change, LEFT),
      load<i32>(change, BOTTOM), load<i32>(change, END),
    );
  }
}

/** The channel of an image, or its mirror image in `staging`. */
function planeOf(
  image: usize, lane: i32, changes: usize, staging: usize, height: i32, width: i32,
): usize {
  if (!load<i32>(changes + lane * CHANGE_BYTES, FLIP)) return image;
  const plane = staging + lane * height * width;
  for (let y = 0; y < height; y++) {
    let x = 0;
    const from = image + y * width, to = plane + y * width;
    for (; x + 8 <= width; x += 8) {
      const bytes = v128.load64_zero(from + width - 8 - x);
      const mirrored = v128.shuffle<i8>(
        bytes, bytes, 7, 6, 5, 4, 3, 2, 1, 0, 7, 6, 5, 4, 3, 2, 1, 0,
      );
      v128.store64_lane(to + x, mirrored, 0);
    }
    for (; x < width; x++) store<u8>(to + x, load<u8>(from + width - 1 - x));
  }
  return plane;
}

/** Where the first pixel of a shifted channel would be. */
// @ts-ignore: decorator
@inline
function shifted(
  images: usize, indices: usize, lane: i32, count: i32, imageBytes: i32, start: i32, changes: usize,
  staging: usize, height: i32, width: i32,
): usize {
  const image = imageOf(images, indices, lane, count, imageBytes) + start;
  const change = changes + lane * CHANGE_BYTES;
  return planeOf(image, lane, changes, staging, height, width) -
    load<i32>(change, DOWN) * width - load<i32>(change, RIGHT);
}

/** The scale of four images, each by its factor. */
// @ts-ignore: decorator
@inline
function scalesOf(changes: usize, scale: f32): v128 {
  return f32x4.mul(
    f32x4.splat(scale),
    f32x4(
      load<f32>(changes, FACTOR), load<f32>(changes + CHANGE_BYTES, FACTOR),
      load<f32>(changes + 2 * CHANGE_BYTES, FACTOR), load<f32>(changes + 3 * CHANGE_BYTES, FACTOR),
    ),
  );
}

/** One pixel of four images. */
// @ts-ignore: decorator
@inline
function storeOne(
  to: usize, scales: v128, offsets: v128, a: usize, b: usize, c: usize, d: usize,
): void {
  const bytes = f32x4(load<u8>(a), load<u8>(b), load<u8>(c), load<u8>(d));
  v128.store(to, f32x4.add(f32x4.mul(bytes, scales), offsets));
}

/** Zeros rows top..bottom and columns left..end of one image; none where they are in no order. */
function zero(
  to: usize, rowBytes: usize, pixelStep: i32, top: i32, left: i32, bottom: i32, end: i32,
): void {
  for (let y = top; y < bottom; y++) {
    const row = to + y * rowBytes;
    for (let x = left; x < end; x++) store<f32>(row + x * pixelStep, 0);
  }
}

/** Turns and shifts one channel of one image, four pixels in a row at a time. Places are whole numbers of
 * 1 / 32768 of a pixel, weights of 1 / 256 each way and 0 outside: their products with a byte add up to
 * less than 2^24, which f32 holds.
 */
function turn(
  plane: usize, change: usize, height: i32, width: i32, scale: f32, offset: f32, output: usize,
  rowBytes: usize, pixelStep: i32,
): void {
  const cos = load<i32>(change, COS), sin = load<i32>(change, SIN);
  const pixelScale = f32x4.splat(scale * load<f32>(change, FACTOR) * <f32> (1.0 / 65536));
  const weightScale = f32x4.splat(offset * <f32> (1.0 / 65536));
  const fromX = -2 * load<i32>(change, RIGHT) - (width - 1);
  const lanes = i32x4(0, 1, 2, 3), low = i32x4.splat(255), one = i32x4.splat(256);
  const acrossX = i32x4.mul(lanes, i32x4.splat(2 * cos));
  const acrossY = i32x4.mul(lanes, i32x4.splat(-2 * sin));
  const heights = i32x4.splat(height), widths = i32x4.splat(width);
  const next = i32x4.splat(1), outside = i32x4.splat(-1);
  for (let y = 0; y < height; y++) {
    const fromY = 2 * (y - load<i32>(change, DOWN)) - (height - 1);
    let startY = cos * fromY - sin * fromX + ((height - 1) << 14);
    let startX = cos * fromX + sin * fromY + ((width - 1) << 14);
    let to = output + y * rowBytes;
    for (let x = 0; x < width; x += 4) {
      const placeY = i32x4.add(i32x4.splat(startY), acrossY);
      const placeX = i32x4.add(i32x4.splat(startX), acrossX);
      const top = i32x4.shr_s(placeY, 15), left = i32x4.shr_s(placeX, 15);
      const restY = v128.and(i32x4.shr_s(placeY, 7), low);
      const restX = v128.and(i32x4.shr_s(placeX, 7), low);
      const above = v128.and(i32x4.sub(one, restY), i32x4.lt_u(top, heights));
      const below = v128.and(restY, i32x4.lt_u(i32x4.add(top, next), heights));
      const before = v128.and(i32x4.sub(one, restX), i32x4.lt_u(left, widths));
      const beside = v128.and(restX, i32x4.lt_u(i32x4.add(left, next), widths));
      // What is read beyond the border counts nothing, and is never far.
      const row = i32x4.max_s(i32x4.min_s(top, heights), outside);
      const column = i32x4.max_s(i32x4.min_s(left, widths), outside);
      const places = i32x4.add(i32x4.mul(row, widths), column);
      const pair = v128.or(i32x4.shl(beside, 16), before);
      const upper = i32x4.dot_i16x8_s(neighbours(plane, places), pair);
      const lower = i32x4.dot_i16x8_s(neighbours(plane + width, places), pair);
      const sums = i32x4.add(i32x4.mul(upper, above), i32x4.mul(lower, below));
      const weights = i32x4.mul(i32x4.add(above, below), i32x4.add(before, beside));
      const values = f32x4.add(
        f32x4.mul(f32x4.convert_i32x4_s(sums), pixelScale),
        f32x4.mul(f32x4.convert_i32x4_s(weights), weightScale),
      );
      v128.store32_lane(to, values, 0);
      if (x + 1 < width) v128.store32_lane(to + pixelStep, values, 1);
      if (x + 2 < width) v128.store32_lane(to + 2 * pixelStep, values, 2);
      if (x + 3 < width) v128.store32_lane(to + 3 * pixelStep, values, 3);
      to += 4 * pixelStep;
      startX += 8 * cos;
      startY -= 8 * sin;
    }
  }
}

/** The bytes at four places, each with the one behind it, as eight 16-bit numbers. */
// @ts-ignore: decorator
@inline
function neighbours(plane: usize, places: v128): v128 {
  let bytes = i32x4.splat(0);
  bytes = v128.load16_lane(plane + i32x4.extract_lane(places, 0), bytes, 0);
  bytes = v128.load16_lane(plane + i32x4.extract_lane(places, 1), bytes, 1);
  bytes = v128.load16_lane(plane + i32x4.extract_lane(places, 2), bytes, 2);
  bytes = v128.load16_lane(plane + i32x4.extract_lane(places, 3), bytes, 3);
  return i16x8.extend_low_i8x16_u(bytes);
}
