/** What is known of a foreign network's value: how its numbers lie in the file, and which layers give it. */

import {
  type ImageShape,
  type PlacedTensor,
  type Shape,
  showShape,
  volume,
} from "../nn/layers/layer.ts";
import { definitionOf, type LayerSpec } from "../nn/layers/table.ts";
import type { Standardization } from "../nn/standardization.ts";
import { quote } from "../quote.ts";

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

/** A layer, or a residual block of several, with its parameters in the model's order. */
export interface Step {
  readonly spec: LayerSpec;
  readonly tensors: readonly Float32Array[];
  /** Running statistics, likewise. */
  readonly statistics: readonly Float32Array[];
  /** Layers in it. */
  readonly size: number;
}

/** Layers of a value; more than any model may have. */
const MAX_STEPS = 4_000;

/** Whether a layer ends in weights or factors for each channel or feature, which can be multiplied. */
export function isScalable({ spec }: Step): boolean {
  const { effect } = definitionOf(spec);
  return effect === "multiplies" || effect === "scales";
}

/** Whether of a pixel that is multiplied and added to before it, it makes what it would after it: zeros
 * around an average would stay as they are. */
export function keepsPixels({ spec }: Step): boolean {
  const { effect } = definitionOf(spec);
  return effect === "picks" || effect === "averages" && !("padding" in spec);
}

/** A layer whose outputs are multiplied, and added to: one number of each for a channel or feature. */
export function scaledStep(
  step: Step,
  scales: Float64Array,
  offsets: Float64Array,
): Step {
  const [weight, bias = new Float32Array(scales.length)] = step.tensors;
  const inputs = weight.length / scales.length;
  const scaled = [
    weight.map((value, n) => value * scales[Math.floor(n / inputs)] + 0), // of -0 makes 0
    bias.map((value, n) => value * scales[n] + offsets[n]),
  ];
  // Zeros that are added are a bias, as a file may hold it before training.
  const isWithout = step.tensors.length === 1 && scaled[1].every((value) => value === 0) &&
    scales.some((value) => value !== 1);
  if (isWithout) return { ...step, tensors: scaled.slice(0, 1) };
  const { bias: _, ...spec } = step.spec as LayerSpec & { readonly bias?: boolean };
  return { ...step, spec: spec as LayerSpec, tensors: scaled };
}

/** A residual block of two ways, of which the second may have no layers. */
export function blockOf(body: readonly Step[], shortcut: readonly Step[]): Step {
  const all = [...body, ...shortcut];
  const size = all.reduce((sum, step) => sum + step.size, 1);
  if (size > MAX_STEPS) throw new TypeError(`it would need more than ${MAX_STEPS} layers`);
  const [specs, around] = [body, shortcut].map((way) => way.map(({ spec }) => spec));
  return {
    spec: { type: "residual", body: specs, ...(around.length > 0 && { shortcut: around }) },
    tensors: all.flatMap(({ tensors }) => tensors),
    statistics: all.flatMap(({ statistics }) => statistics),
    size,
  };
}

/** The layers that stand in a model several times, since several others read them. */
export function copiedIn(specs: readonly LayerSpec[]): LayerSpec[] {
  const seen = new Set<LayerSpec>();
  const visit = (spec: LayerSpec): LayerSpec[] => {
    if ("body" in spec) return [...spec.body, ...spec.shortcut ?? []].flatMap(visit);
    if (seen.has(spec)) return [spec];
    seen.add(spec);
    return [];
  };
  return specs.flatMap(visit);
}

/** Tensors in a row, each checked to be as long as its place. */
export function flat(
  layout: readonly PlacedTensor[],
  tensors: readonly Float32Array[],
): Float32Array<ArrayBuffer> {
  const values = new Float32Array(layout.reduce((sum, { size }) => sum + size, 0));
  layout.forEach(({ name, shape, offset, size }, index) => {
    const { length } = tensors[index];
    if (length !== size) {
      throw new TypeError(`${quote(name)} must be ${showShape(shape)}, found ${length} numbers`);
    }
    values.set(tensors[index], offset);
  });
  return values;
}

/** All that is known of a value: how its numbers lie, and which layers they come from. */
export interface State extends Layout {
  readonly steps: readonly (Step & {
    /** What a flatten layer started from. */
    readonly before?: State;
  })[];
  readonly standardization: Standardization;
  /** Whether a softmax was the last. */
  readonly isEnded: boolean;
}
