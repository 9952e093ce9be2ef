/** What a layer kind says of itself, and what all kinds share: shapes, tensors, fields and windows. */

import { checkNumber } from "../../check.ts";

/** Height and width of a kernel, stride or padding. */
export type Pair = readonly [height: number, width: number];

/** One number for both directions, or a pair. */
export type PairLike = number | Pair;

/** Shape of one sample: [channels, height, width], or [features] after flatten. */
export type Shape = readonly number[];

/** Shape of an image or of feature maps. */
export type ImageShape = readonly [channels: number, height: number, width: number];

/** One tensor of a layer: its PyTorch name and its place in one of the model's flat vectors. */
export interface PlacedTensor {
  /** `conv1.weight`, or the layer's index for an unnamed layer: `0.weight`. */
  readonly name: string;
  /** conv2d weight [outChannels, inChannels / groups, height, width], linear weight [out, in], bias
   * [out], scale, shift and statistics of batch norm [channels]. */
  readonly shape: Shape;
  /** First element in the flat vector. */
  readonly offset: number;
  /** Number of elements. */
  readonly size: number;
}

/** A tensor that training changes by its gradient. */
export interface Parameter extends PlacedTensor {
  /** Weights are drawn by the model's initialiser, biases by PyTorch's default; scales begin as 1 and
   * shifts as 0. */
  readonly kind: "weight" | "bias" | "scale" | "shift";
  /** Whether weight decay takes it. */
  readonly decays: boolean;
  /** False if it is frozen: it has no gradient, and no step changes it. */
  readonly trained: boolean;
  /** Inputs that feed one output of the layer: inChannels * kernel area, or inFeatures. */
  readonly fanIn: number;
  /** outChannels * kernel area, or outFeatures. */
  readonly fanOut: number;
}

/** A tensor that training changes by what passes through its layer: a running statistic. */
export interface Statistic extends PlacedTensor {
  /** What each of its numbers begins as. */
  readonly initial: 0 | 1;
}

/** What every spec has. */
export interface Named<Kind> {
  /** Which layer this is. */
  readonly type: Kind;
  /** Name of the layer and prefix of its parameters; default: its index. */
  readonly name?: string;
}

/** What every layer that knows its input has. */
export interface Placed<In extends Shape, Out extends Shape> {
  /** Name of the layer and prefix of its parameters; inside a residual block `3.body.0`. */
  readonly name: string;
  /** The layers whose outputs it reads, by their place in `model.layers`; -1 is the image. */
  readonly inputs: readonly number[];
  /** Shape of one sample's input. */
  readonly inputShape: In;
  /** Shape of one sample's output. */
  readonly outputShape: Out;
  /** Its tensors, in the order of the flat vector. */
  readonly parameters: readonly Parameter[];
  /** Its running statistics, if it has any. */
  readonly statistics?: readonly Statistic[];
}

/** The tensors of a layer that multiplies. */
export interface Weighted {
  /** Where the weights are in the flat vector. */
  readonly weight: Parameter;
  /** Where the biases are in the flat vector; left out of a layer without. */
  readonly bias?: Parameter;
}

/** What a field of a spec may hold. */
export interface Field {
  /** A whole number, a pair of them, any number, true or false, or a list of layers. */
  readonly type: "whole" | "pair" | "number" | "flag" | "layers";
  /** Smallest value of each number, which "number" must exceed if `open`; fewest layers. */
  readonly minimum: number;
  /** Largest value of a "number". */
  readonly maximum?: number;
  /** Whether the minimum itself is not allowed. */
  readonly open?: boolean;
  /** Whether it may be left out. */
  readonly optional?: boolean;
}

/** What placing a layer starts from, and what it may add to the model. */
export interface Placing {
  readonly name: string;
  readonly inputs: readonly number[];
  readonly inputShape: Shape;
  /** Adds a parameter of the layer behind all there are. */
  parameter(part: string, tensor: Omit<Parameter, keyof Placement>): Parameter;
  /** Adds a running statistic behind all there are. */
  statistic(part: string, tensor: Omit<Statistic, keyof Placement>): Statistic;
  /** Places layers in a row that begins with this layer's input; where it ends, and its shape. */
  branch(part: string, specs: readonly unknown[]): { readonly end: number; readonly shape: Shape };
}

/** What a tensor gets from its model, not from its layer. */
export type Placement = Pick<Parameter, "name" | "offset" | "size" | "trained">;

/** A window that moves over an image. */
export interface Window {
  readonly size: Pair;
  readonly stride: Pair;
  readonly padding: Pair;
}

/** What a layer costs and sees. */
export interface Cost {
  /** Multiply-accumulates of one image's forward pass. */
  readonly macs: number;
  /** Inputs that one output sees; default: the one at its place. */
  readonly sees?: Window | "everything";
}

/** What a layer does to values outside of training:
 *
 * - `multiplies`: sums of weights times values, so that a factor behind it can go into its weights
 * - `scales`: a factor and a shift for each channel
 * - `averages`: its outputs are means of its inputs
 * - `picks`: its outputs are some of its inputs, as they are
 * - `passes`: its outputs are its inputs
 * - `clamps`: what is below 0 becomes 0
 * - `squashes`: 1 / (1 + e^-x), the probability of one of two classes
 */
export type Effect =
  | "multiplies"
  | "scales"
  | "averages"
  | "picks"
  | "passes"
  | "clamps"
  | "squashes";

/** One kind of layer: everything that is known of it apart from how engines compute it. */
export interface LayerDefinition<Spec, Layer> {
  /** What each field of its specs may hold, apart from type and name. */
  readonly fields: { readonly [Key in Exclude<keyof Spec, "type" | "name">]-?: Field };
  /** The field that says how many outputs or channels there are; left out of a kind that gives as many as it
   * takes. */
  readonly outputs?: "outChannels" | "outFeatures";
  /** Whether it is a function of each number by itself that follows a layer with parameters. */
  readonly isActivation?: true;
  /** Works out shapes and tensors.
   *
   * @throws {TypeError} If the layer cannot take its input.
   * @throws {RangeError} If a window does not fit.
   */
  place(spec: Spec, at: Placing): Layer;
  /** What one image costs. */
  cost(layer: Layer): Cost;
  /** What it is where a model is used rather than trained, if that makes it simpler there. */
  readonly effect?: Effect;
  /** Fewest images that a batch in training must have, of a layer that must know the whole batch before
   * it can give any of its output; 0, or left out: images pass one by one. */
  wholeBatch?(layer: Layer): number;
}

/** Weight [outputs, ...] and, unless it has none, bias [outputs] of a layer that multiplies. */
export function weightAndBias(
  at: Placing,
  shape: Shape,
  hasBias = true,
): Weighted & { readonly parameters: readonly Parameter[] } {
  const [outputs, inputs, ...kernel] = shape;
  const area = volume(kernel);
  const fan = { fanIn: inputs * area, fanOut: outputs * area };
  const weight = at.parameter("weight", { shape, kind: "weight", decays: true, ...fan });
  if (!hasBias) return { weight, parameters: [weight] };
  const bias = at.parameter("bias", { shape: [outputs], kind: "bias", decays: false, ...fan });
  return { weight, bias, parameters: [weight, bias] };
}

/** The shape as an image's.
 *
 * @throws {TypeError} If it is none.
 */
export function requireImage(shape: Shape, what: string): ImageShape {
  if (shape.length === 3) return [shape[0], shape[1], shape[2]];
  throw new TypeError(
    `Cannot add ${what}: its input must be [channels, height, width], found ${showShape(shape)}`,
  );
}

/** Rows and columns of windows that fit an image.
 *
 * @throws {RangeError} If none does.
 */
export function countWindows(input: ImageShape, window: Window, what: string): Pair {
  const { size, stride, padding } = window;
  const [height, width] = [0, 1].map((axis) =>
    outputSize(input[axis + 1], size[axis], stride[axis], padding[axis])
  );
  if (height >= 1 && width >= 1) return [height, width];
  throw new RangeError(
    `Cannot add ${what}: a window of ${size.join("x")} does not fit the input ` +
      `${showShape(input)} with padding ${padding.join("x")}`,
  );
}

/** Number of windows along one direction: floor((size + 2 padding - kernel) / stride) + 1.
 *
 * @throws {RangeError} If a number is not whole, or out of range.
 * @example A kernel of 5 with padding 2 keeps 28
 * ```ts
 * import { outputSize } from "@lenet/lenet";
 *
 * if (outputSize(28, 5, 1, 2) !== 28) throw new Error("expected 28");
 * ```
 */
export function outputSize(size: number, kernel: number, stride: number, padding: number): number {
  checkNumber("size", size, { whole: true, min: 1 });
  checkNumber("kernel", kernel, { whole: true, min: 1 });
  checkNumber("stride", stride, { whole: true, min: 1 });
  checkNumber("padding", padding, { whole: true, min: 0 });
  return Math.floor((size + 2 * padding - kernel) / stride) + 1;
}

/** "[16, 5, 5]".
 *
 * @example As messages show it
 * ```ts
 * import { showShape } from "@lenet/lenet";
 *
 * if (showShape([16, 5, 5]) !== "[16, 5, 5]") throw new Error("expected [16, 5, 5]");
 * ```
 */
export function showShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

/** Number of elements of a shape. */
export function volume(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** A pair from one number or two. */
export function toPair(value: PairLike): Pair {
  return typeof value === "number" ? [value, value] : value;
}
