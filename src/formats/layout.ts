/** How the numbers of a foreign network's value lie: which axis is which, and what is around them. */

import { type ImageShape, type Shape, showShape, volume } from "../nn/layers/layer.ts";

/** Orders of an image's axes: 0 is channels, 1 rows, 2 columns. */
export const [CHANNELS_LAST, CHANNELS_FIRST] = [[1, 2, 0], [0, 1, 2]];

/** Rows or columns of zeros before and after. */
export type Sides = readonly [before: number, after: number];

/** No zeros at all. */
export const NO_PADDING: readonly [Sides, Sides] = [[0, 0], [0, 0]];

/** An image that became a vector in an order of axes of its own. */
interface Flattened {
  readonly shape: Shape;
  readonly axes: readonly number[];
}

/** Where a value's numbers are in the file, whose axes may lie otherwise than here. */
export interface Layout {
  /** [channels, height, width] or [features]. */
  readonly shape: Shape;
  /** For each axis behind the batch in the file, which one of the shape it is; -1 for none, of length 1. */
  readonly axes: readonly number[];
  /** Zeros around rows and columns, which the next convolution or pooling must take. */
  readonly padding: readonly [Sides, Sides];
  /** The image that the file's vector was, where its features are in another order than here. */
  readonly flattened?: Flattened;
}

/** Lengths of the axes behind the batch, as the file sees them. */
export function sizesOf({ shape, axes, padding }: Layout): readonly number[] {
  const added = (axis: number) => axis > 0 ? padding[axis - 1][0] + padding[axis - 1][1] : 0;
  return axes.map((axis) => axis < 0 ? 1 : shape[axis] + added(axis));
}

/** Whether there are zeros around it. */
export function isPadded({ padding }: Pick<Layout, "padding">): boolean {
  return padding.flat().some((size) => size > 0);
}

/** The layout with its axes in an order, which differ from it in axes of length 1 alone.
 *
 * @throws {TypeError} If it is no image, or its axes lie otherwise.
 */
export function asImage(
  layout: Layout,
  order: readonly number[],
): Layout & { readonly shape: ImageShape } {
  const { shape, axes } = layout;
  const sizes = sizesOf(layout);
  if (shape.length !== 3 || axes.length !== 3) {
    throw new TypeError(`its input must be [channels, height, width], found ${showShape(sizes)}`);
  }
  if (axes.some((axis, place) => axis !== order[place] && sizes[place] !== 1)) {
    const found = axes.map((axis) => ["channels", "height", "width"][axis]).join(", ");
    const expected = order === CHANNELS_FIRST ? "first" : "last";
    throw new TypeError(`its input must be channels ${expected}, found [${found}]`);
  }
  return { ...layout, shape: [shape[0], shape[1], shape[2]], axes: order };
}

/** What flattening makes of it, the file's axes taken in this order. */
export function flattenedFrom(layout: Layout, axes: readonly number[]): Layout {
  const { shape } = layout;
  const longer = axes.filter((axis) => axis >= 0 && shape[axis] > 1);
  const isInOrder = shape.length === 1 ||
    longer.every((axis, n) => n === 0 || axis > longer[n - 1]);
  const flattened = isInOrder ? layout.flattened : { shape, axes: longer };
  return { ...layout, shape: [volume(shape)], axes: [0], flattened };
}

/** The axes of a value with other lengths, where only lengths of 1 come and go. */
export function axesFor(
  { shape, axes }: Layout,
  target: readonly number[],
): number[] | undefined {
  const longer = axes.filter((axis) => axis >= 0 && shape[axis] > 1);
  const kept = target.filter((size) => size !== 1);
  if (kept.join() !== longer.map((axis) => shape[axis]).join()) return undefined;
  const ones = [...shape.keys()].filter((axis) => shape[axis] === 1);
  return target.map((size) => (size === 1 ? ones.shift() : longer.shift()) ?? -1);
}

/** Where in the file's vector each feature is. */
export function placesIn({ flattened }: Layout): (feature: number) => number {
  if (flattened === undefined) return (n) => n;
  const steps = [0, 0, 0];
  const { shape: [, height, width], axes } = flattened;
  axes.toReversed().reduce((step, axis) => (steps[axis] = step) * flattened.shape[axis], 1);
  return (n) =>
    Math.floor(n / (height * width)) * steps[0] +
    Math.floor(n / width) % height * steps[1] + n % width * steps[2];
}
