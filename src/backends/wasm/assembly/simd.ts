/** Vocabulary of all kernels: the layout of tensors, and the fused multiply-add. */

/** Images that go through the network side by side: one block, two vectors of four lanes. */
export const BLOCK: i32 = 8;

/** Bytes of one element of a tensor: that element of the eight images of a block. */
export const ELEMENT_BYTES: i32 = 32;

/** Bytes of one vector of four 32-bit lanes. */
export const VECTOR_BYTES: i32 = 16;

/** a * b + c; one rounding in the relaxed build, two in the plain one. */
// @ts-ignore: decorator
@inline
export function multiplyAdd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

/** Sum of the four lanes of each of four vectors, as one vector. */
// @ts-ignore: decorator
@inline
export function sumLanes(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(
    v128.shuffle<f32>(a, b, 0, 1, 4, 5),
    v128.shuffle<f32>(a, b, 2, 3, 6, 7),
  );
  const cd = f32x4.add(
    v128.shuffle<f32>(c, d, 0, 1, 4, 5),
    v128.shuffle<f32>(c, d, 2, 3, 6, 7),
  );
  return f32x4.add(
    v128.shuffle<f32>(ab, cd, 0, 2, 4, 6),
    v128.shuffle<f32>(ab, cd, 1, 3, 5, 7),
  );
}
