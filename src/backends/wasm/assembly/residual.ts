/** Sums of activations, and of gradients. */

import { VECTOR_BYTES } from "./simd";

/** output = body + shortcut for `rows` rows of rowBytes each; equals the reference's `residual`. */
export function residualForward(
  body: usize, bodyStride: usize, shortcut: usize, shortcutStride: usize, output: usize,
  outputStride: usize, rows: i32, rowBytes: usize,
): void {
  for (; rows > 0; rows--) {
    for (let i: usize = 0; i < rowBytes; i += VECTOR_BYTES) {
      v128.store(output + i, f32x4.add(v128.load(body + i), v128.load(shortcut + i)));
    }
    body += bodyStride;
    shortcut += shortcutStride;
    output += outputStride;
  }
}

/** Adds a gradient to a sum of gradients, or begins the sum with it. */
export function sumGradients(gradient: usize, sum: usize, byteLength: usize, adds: bool): void {
  for (let i: usize = 0; i < byteLength; i += VECTOR_BYTES) {
    const g = v128.load(gradient + i);
    v128.store(sum + i, adds ? f32x4.add(v128.load(sum + i), g) : g);
  }
}

/** Writes zeros. */
export function fillZeros(address: usize, byteLength: usize): void {
  memory.fill(address, 0, byteLength);
}
