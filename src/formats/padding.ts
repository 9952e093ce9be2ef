/** Zeros around images, as foreign files have them: more at one side than at the other. */

import type { Pair } from "../nn/layers.ts";

/** Rows or columns of zeros before and after. */
export type Sides = readonly [before: number, after: number];

/** Zeros at each side of rows and columns, or as many as a window for every stride needs, where one that
 * does not divide by two comes after, or with `sameLower` before.
 */
export type Padding = "same" | "sameLower" | readonly [rows: Sides, columns: Sides];

/** Numbers of a kernel: 1 GiB, as in any model of this project. */
const MAX_KERNEL = 2 ** 28;

/** None at all. */
export const NO_PADDING: readonly [Sides, Sides] = [[0, 0], [0, 0]];

/** Works out zeros for an image's rows and columns: with 'same', there are ceil(size / stride) windows. */
export function sidesOf(
  padding: Padding,
  { size, windowSize, stride }: {
    readonly size: readonly number[];
    readonly windowSize: Pair;
    readonly stride: Pair;
  },
): readonly [Sides, Sides] {
  if (typeof padding !== "string") return padding;
  const sides = (n: 0 | 1): Sides => {
    const covered = (Math.ceil(size[n] / stride[n]) - 1) * stride[n] + windowSize[n];
    const total = Math.max(0, covered - size[n]);
    const [less, more] = [Math.floor(total / 2), Math.ceil(total / 2)];
    return padding === "same" ? [less, more] : [more, less];
  };
  return [sides(0), sides(1)];
}

/** A convolution that is padded more at one side, as one that is padded alike at both.
 *
 * Its kernel grows by zeros where the padding does, so that it computes the same.
 *
 * @param weight OIHW.
 */
export function evenSides(
  weight: Float32Array,
  { windowSize, sides }: { readonly windowSize: Pair; readonly sides: readonly [Sides, Sides] },
): { readonly weight: Float32Array; readonly kernelSize: Pair; readonly padding: Pair } {
  const [padding, before, kernelSize] = [
    ([first, last]: Sides) => Math.max(first, last),
    ([first, last]: Sides) => Math.max(0, last - first),
    ([first, last]: Sides, axis: number) => windowSize[axis] + Math.abs(first - last),
  ].map((sizeOf) => [sizeOf(sides[0], 0), sizeOf(sides[1], 1)] as const);
  const [height, width] = windowSize;
  const length = weight.length / (height * width) * kernelSize[0] * kernelSize[1];
  if (length > MAX_KERNEL) {
    throw new TypeError(`its padding makes its kernel ${kernelSize.join("x")}: it is too large`);
  }
  const grown = new Float32Array(length);
  for (let row = 0; row < weight.length / width; row++) {
    const start = Math.floor(row / height) * kernelSize[0] + before[0] + row % height;
    const taps = weight.subarray(row * width, (row + 1) * width);
    grown.set(taps, start * kernelSize[1] + before[1]);
  }
  return { weight: grown, kernelSize, padding };
}
