/** How a single number inside a network comes about, and what of the picture it depends on. */

import type { Window } from "../nn/layers/layer.ts";
import { definitionOf } from "../nn/layers/table.ts";
import { IMAGE, type Layer, type Model, type Parameter, type Shape } from "../nn/sequential.ts";

/** A part of an image or map, its ends included; it may reach beyond the border. */
export interface Box {
  readonly top: number;
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
}

/** What a layer's output depends on. */
interface Sight {
  readonly box: Box;
  /** The number itself, where it is one. */
  readonly place?: number;
}

/** The pixels of the image that a number depends on.
 *
 * @param index The layer, by its place in the model.
 * @param place The number, by its place in the layer's output.
 */
export function receptiveField(model: Model, index: number, place: number): Box {
  const sights = new Map<number, Sight>([[index, sightAt(shapeOf(model, index), place)]]);
  for (let n = index; n >= 0; n--) {
    const sight = sights.get(n);
    if (sight === undefined) continue;
    const layer = model.layers[n];
    const { sees } = definitionOf(layer).cost(layer);
    if (sees === "everything") return wholeOf(model.inputShape);
    for (const input of layer.inputs) {
      const seen = seenBy(sees, shapeOf(model, input), sight);
      sights.set(input, join(sights.get(input), seen));
    }
  }
  return sights.get(IMAGE)!.box;
}

function seenBy(sees: Window | undefined, shape: Shape, { box, place }: Sight): Sight {
  if (sees !== undefined) return { box: windowOf(box, sees) };
  return place === undefined ? { box } : sightAt(shape, place);
}

/** What of its input a box of a layer's output is made from. */
function windowOf({ top, left, bottom, right }: Box, { size, stride, padding }: Window): Box {
  return {
    top: top * stride[0] - padding[0],
    left: left * stride[1] - padding[1],
    bottom: bottom * stride[0] - padding[0] + size[0] - 1,
    right: right * stride[1] - padding[1] + size[1] - 1,
  };
}

/** Rows and columns of a shape: a vector is one row. */
export function sizeOf(shape: Shape): { channels: number; height: number; width: number } {
  const [channels, height, width] = shape.length === 3 ? shape : [1, 1, shape[0]];
  return { channels, height, width };
}

/** Where a number is. */
export function positionOf(shape: Shape, place: number) {
  const { height, width } = sizeOf(shape);
  const channel = Math.floor(place / (height * width));
  return { channel, y: Math.floor(place / width) % height, x: place % width };
}

function sightAt(shape: Shape, place: number): Sight {
  const { y, x } = positionOf(shape, place);
  return { box: { top: y, left: x, bottom: y, right: x }, place };
}

function wholeOf(shape: Shape): Box {
  const { height, width } = sizeOf(shape);
  return { top: 0, left: 0, bottom: height - 1, right: width - 1 };
}

function join(one: Sight | undefined, other: Sight): Sight {
  if (one === undefined) return other;
  const box = {
    top: Math.min(one.box.top, other.box.top),
    left: Math.min(one.box.left, other.box.left),
    bottom: Math.max(one.box.bottom, other.box.bottom),
    right: Math.max(one.box.right, other.box.right),
  };
  return one.place === other.place ? { box, place: one.place } : { box };
}

/** Shape of a layer's output, or of the image. */
export function shapeOf({ inputShape, layers }: Model, index: number): Shape {
  return index === IMAGE ? inputShape : layers[index].outputShape;
}

/** A number that another is made from. */
export interface Term {
  /** Which of the layer's inputs it is of, and where it is there; undefined for padding. */
  readonly place?: number;
  readonly value: number;
  /** The weight that it is multiplied by, where there are weights. */
  readonly weight?: number;
}

/** How the terms become the number. */
export type Rule = "products" | "mean" | "max" | "add" | "apply" | "copy";

/** How a number comes about. */
export interface Explanation {
  readonly rule: Rule;
  /** One list for each of the layer's inputs that are read, channel by channel of a window. */
  readonly terms: readonly Term[];
  /** The window: its size, and where it lies on the layer's input. */
  readonly window?: Window & { readonly box: Box };
  /** Channels that the window reads: the terms hold a window of each. */
  readonly channels: readonly number[];
  readonly bias?: number;
  readonly result: number;
}

/** How kinds without weights make a number of what they read; others apply something to it. */
const RULES: Readonly<Record<string, Rule>> = {
  avgPool2d: "mean",
  globalAvgPool2d: "mean",
  maxPool2d: "max",
  flatten: "copy",
  residual: "add",
};

/** Explains one number of a layer's output.
 *
 * @param inputs What the layer reads, [channels, height, width] or [features] each.
 * @param parameters The model's, flat.
 * @param output What the layer gave.
 */
export function explain(
  layer: Layer,
  place: number,
  { inputs, parameters, output }: {
    readonly inputs: readonly ArrayLike<number>[];
    readonly parameters: ArrayLike<number>;
    readonly output: ArrayLike<number>;
  },
): Explanation {
  const { sees } = definitionOf(layer).cost(layer);
  const { weight, bias } = layer as { readonly weight?: Parameter; readonly bias?: Parameter };
  const { channel, y, x } = positionOf(layer.outputShape, place);
  const result = output[place];
  const [values] = inputs;
  if (weight !== undefined && (sees !== undefined)) {
    const unit = sees === "everything" ? place : channel;
    const perUnit = weight.size / weight.shape[0];
    const weightAt = (n: number) => parameters[weight.offset + unit * perUnit + n];
    const added = bias === undefined ? undefined : parameters[bias.offset + unit];
    const rest = { rule: "products", ...(added !== undefined && { bias: added }), result } as const;
    if (sees === "everything") {
      const terms = Array.from({ length: perUnit }, (_, n) => (
        { place: n, value: values[n], weight: weightAt(n) }
      ));
      return { ...rest, terms, channels: [] };
    }
    // Of a convolution in groups, a channel reads those of its own group alone.
    const group = Math.floor(unit / (weight.shape[0] * weight.shape[1] / layer.inputShape[0]));
    const channels = Array.from({ length: weight.shape[1] }, (_, n) => group * weight.shape[1] + n);
    const seen = readWindow(layer.inputShape, { window: sees, y, x, channels, values });
    const terms = seen.terms.map((term, n) => ({ ...term, weight: weightAt(n) }));
    return { ...rest, terms, channels, window: seen.window };
  }
  const rule = RULES[layer.type] ?? "apply";
  if (sees !== undefined && sees !== "everything") {
    const channels = [channel];
    const seen = readWindow(layer.inputShape, { window: sees, y, x, channels, values });
    return { rule, ...seen, channels, result };
  }
  const terms = sees === "everything"
    ? []
    : inputs.map((input) => ({ place, value: input[place] }));
  return { rule, terms, channels: [channel], result };
}

function readWindow(
  shape: Shape,
  { window, y, x, channels, values }: {
    readonly window: Window;
    readonly y: number;
    readonly x: number;
    readonly channels: readonly number[];
    readonly values: ArrayLike<number>;
  },
) {
  const box = windowOf({ top: y, left: x, bottom: y, right: x }, window);
  const { height, width } = sizeOf(shape);
  const terms: Term[] = [];
  for (const channel of channels) {
    for (let row = box.top; row <= box.bottom; row++) {
      for (let column = box.left; column <= box.right; column++) {
        const isInside = row >= 0 && row < height && column >= 0 && column < width;
        const place = (channel * height + row) * width + column;
        terms.push(isInside ? { place, value: values[place] } : { value: 0 });
      }
    }
  }
  return { terms, window: { ...window, box } };
}
