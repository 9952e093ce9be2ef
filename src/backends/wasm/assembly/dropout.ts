/** Dropout of one block of eight images. */

import { drawOfImage } from "./random";
import { ELEMENT_BYTES } from "./simd";

/** output = input * scale where the draw of the value's place is `threshold` or more, else 0, for rows of
 * [x][channel]; with a threshold of 0 a copy. May work in place. Equals the reference's `dropout`.
 *
 * @param draws For each of the eight images the hash of key, step and image, as `drawAt` begins it.
 */
export function dropout(
  input: usize, inputStride: usize, output: usize, outputStride: usize, channels: i32, height: i32,
  width: i32, draws: usize, threshold: u32, scale: f32,
): void {
  const firstDraws = v128.load(draws), secondDraws = v128.load(draws, 16);
  const limit = i32x4.splat(threshold), factor = f32x4.splat(scale);
  for (let y = 0; y < height; y++) {
    let offset: usize = 0;
    for (let x = 0; x < width; x++) {
      for (let channel = 0; channel < channels; channel++) {
        let a = v128.load(input + offset), b = v128.load(input + offset, 16);
        if (threshold != 0) {
          const unit = i32x4.splat(((channel * height + y) * width + x + 1) * 0x9e3779b9);
          a = v128.and(f32x4.mul(a, factor), i32x4.ge_u(mix(i32x4.add(firstDraws, unit)), limit));
          b = v128.and(f32x4.mul(b, factor), i32x4.ge_u(mix(i32x4.add(secondDraws, unit)), limit));
        }
        v128.store(output + offset, a);
        v128.store(output + offset, b, 16);
        offset += ELEMENT_BYTES;
      }
    }
    input += inputStride;
    output += outputStride;
  }
}

/** The last step of `drawAt`, four at a time. */
// @ts-ignore: decorator
@inline
function mix(hash: v128): v128 {
  hash = i32x4.mul(v128.xor(hash, i32x4.shr_u(hash, 16)), i32x4.splat(0x85ebca6b));
  hash = i32x4.mul(v128.xor(hash, i32x4.shr_u(hash, 13)), i32x4.splat(0xc2b2ae35));
  return v128.xor(hash, i32x4.shr_u(hash, 16));
}

/** draws[lane] = hash of key, step and the image of each lane; the last of `count` images is repeated. */
export function dropoutDraws(key: u32, step: u32, indices: usize, count: i32, draws: usize): void {
  for (let lane = 0; lane < 8; lane++) {
    const image = load<u32>(indices + min(lane, count - 1) * 4);
    store<u32>(draws + lane * 4, drawOfImage(key, step, image));
  }
}
