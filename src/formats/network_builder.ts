/** A model put together layer by layer from a foreign file, with every tensor checked. */

import { checkSpec } from "../nn/check_spec.ts";
import type { LayerSpec, Pair } from "../nn/layers.ts";
import {
  type ImageShape,
  outputShapeOf,
  sequential,
  type Shape,
  showShape,
} from "../nn/sequential.ts";
import { checkStandardization, NORMALIZED, type Standardization } from "../nn/standardization.ts";
import { quote } from "../quote.ts";
import type { TrainedModel } from "./trained_model.ts";

/** Parameters of a layer, in this project's layout. */
export interface LayerTensors {
  /** OIHW or [out, in], row by row. */
  readonly weight: Float32Array;
  /** One number an output; zeros where the file has none. */
  readonly bias?: Float32Array;
}

/** Largest vector that gets a layer of its own for a multiplication of each number. */
const MAX_SCALED = 4_096;

/** Collects layers and parameters in the order of computation.
 *
 * What is no layer here becomes one or disappears, and `notes` say so: multiplications and additions
 * for each channel, such as a batch norm at inference, go into the layer before
 * ({@linkcode scaleOutputs}); a softmax at the end is left out ({@linkcode softmax}); one output z
 * with a sigmoid at the end, which is how Keras tells two classes apart, becomes the logits [0, z],
 * whose softmax is the same, and one output without a sigmoid is refused ({@linkcode finish}).
 */
export class NetworkBuilder {
  readonly #inputShape: ImageShape;
  readonly #specs: LayerSpec[] = [];
  readonly #tensors: Float32Array[] = [];
  readonly #notes = new Set<string>();
  #shape: Shape;
  #standardization: Standardization = NORMALIZED;
  /** Where in the file's vector each feature is, if the file flattens in another order. */
  #order: readonly number[] | undefined;
  #ended = false;

  /** Starts with the shape of one image. */
  constructor(inputShape: ImageShape) {
    this.#inputShape = inputShape;
    this.#shape = inputShape;
  }

  /** Shape of one sample after the layers so far. */
  get shape(): Shape {
    return this.#shape;
  }

  /** Says what reading the file assumed, left out or changed: a sentence without a period. */
  note(sentence: string): void {
    this.#notes.add(sentence);
  }

  /** Adds a multiplication and an addition to the pixels, which comes before all layers but those
   * that could as well come behind it: flattening and pooling.
   *
   * @throws {TypeError} If there are other layers already, or the factor is not above 0.
   * @throws {RangeError} If nothing of the pixels is left.
   */
  rescale(scale: number, offset: number): void {
    if (!this.#isOnPixels()) throw new TypeError("it is supported before the first layer only");
    if (!(scale > 0)) {
      throw new TypeError(
        `its factor ${scale} turns light into dark: that is supported behind the first layer only`,
      );
    }
    const { mean, std } = this.#standardization;
    const rescaled = { mean: mean - offset * std / scale, std: std / scale };
    checkStandardization(rescaled);
    this.#standardization = rescaled;
  }

  /** Adds a layer.
   *
   * @param spec Its name is kept if this project's models can have it and no other layer has.
   * @throws {TypeError} If the layer cannot take its input.
   * @throws {RangeError} If a size is not in range.
   */
  add(spec: LayerSpec, tensors?: LayerTensors): void {
    if (this.#ended) throw new TypeError("nothing may follow a softmax");
    const { name, ...unnamed } = spec;
    const candidate = name?.replaceAll(/[./:-]/g, "_") ?? "";
    const isTaken = this.#specs.some((other) => other.name === candidate);
    const usable = /^[A-Za-z_]\w{0,63}$/.test(candidate) && !isTaken;
    const named = usable ? { ...unnamed, name: candidate } : unnamed;
    checkSpec(named, this.#specs.length);
    this.#shape = outputShapeOf(named, this.#shape);
    this.#specs.push(named);
    if (tensors === undefined) return;
    const [outputs] = this.#shape;
    const { weight, bias = new Float32Array(outputs) } = tensors;
    if (bias.length !== outputs) {
      throw new TypeError(
        `the bias of ${named.type} ${quote(name ?? "")} must be [${outputs}], ` +
          `found ${bias.length} numbers`,
      );
    }
    this.#tensors.push(this.#inOrder(weight), bias);
    this.#order = undefined;
  }

  /** Adds a flatten layer.
   *
   * @param axes Order of channels, rows and columns in which the file does it: channels last is
   * [1, 2, 0]. The columns of the linear layer behind are then put into channels-first order.
   */
  flatten(axes: readonly number[] = [0, 1, 2]): void {
    const shape = this.#shape;
    this.add({ type: "flatten" });
    const longer = axes.filter((axis) => shape[axis] > 1);
    if (shape.length === 1 || longer.every((axis, n) => n === 0 || axis > longer[n - 1])) return;
    const steps = [0, 0, 0];
    axes.toReversed().reduce((step, axis) => (steps[axis] = step) * shape[axis], 1);
    const [, height, width] = shape;
    this.#order = Array.from(
      { length: this.#shape[0] },
      (_, n) =>
        Math.floor(n / (height * width)) * steps[0] +
        Math.floor(n / width) % height * steps[1] + n % width * steps[2],
    );
  }

  /** Multiplies each channel, or each number of a vector, and adds to it.
   *
   * Goes into the convolution or linear layer before; where there is none, a layer that does it is
   * added: a convolution of 1x1, or a linear one. On the pixels, all channels must be treated alike.
   *
   * @param scale One number for each channel or feature, in the file's order; offset likewise.
   * @param what Names an operation that a note should tell of.
   * @throws {TypeError} If a number is not finite, or the vector too long for a layer of its own.
   */
  scaleOutputs(scale: ArrayLike<number>, offset: ArrayLike<number>, what?: string): void {
    if (this.#ended) throw new TypeError("nothing may follow a softmax");
    const [count] = this.#shape;
    const place = (n: number) => this.#order?.[n] ?? n;
    const [scales, offsets] = [scale, offset].map((values) =>
      Float64Array.from({ length: count }, (_, n) => values[place(n)])
    );
    if (![...scales, ...offsets].every(Number.isFinite)) {
      throw new TypeError("its constants must be finite numbers");
    }
    if (this.#isOnPixels()) {
      if (scales.some((value, n) => value !== scales[0] || offsets[n] !== offsets[0])) {
        throw new TypeError(
          "arithmetic on pixels is supported where all channels are treated alike",
        );
      }
      return this.rescale(scales[0], offsets[0]);
    }
    const last = this.#specs.at(-1)!;
    if (last.type === "conv2d" || last.type === "linear") {
      const [weight, bias] = this.#tensors.splice(-2);
      const inputs = weight.length / count;
      this.#tensors.push(
        weight.map((value, n) => value * scales[Math.floor(n / inputs)]),
        bias.map((value, n) => value * scales[n] + offsets[n]),
      );
      if (what !== undefined) this.note(`${what} is folded into the layer before it`);
      return;
    }
    if (this.#shape.length === 1 && count > MAX_SCALED) {
      throw new TypeError(
        `it would need a layer of its own of ${count}x${count} numbers: supported are up to ` +
          `${MAX_SCALED}, or directly behind a convolution or linear layer`,
      );
    }
    const weight = new Float32Array(count * count);
    scales.forEach((value, n) => weight[n * (count + 1)] = value);
    const bias = Float32Array.from(offsets);
    const kernel = { kernelSize: [1, 1], stride: [1, 1], padding: [0, 0] } as const;
    const order = this.#order;
    this.#order = undefined; // the constants are in this project's order already
    if (this.#shape.length === 1) {
      this.add({ type: "linear", outFeatures: count }, { weight, bias });
    } else this.add({ type: "conv2d", outChannels: count, ...kernel }, { weight, bias });
    this.#order = order;
    this.note(`${what ?? "arithmetic between layers"} has become a layer of its own`);
  }

  /** Ends the network with a softmax, which is left out: what it takes are the logits.
   *
   * @throws {TypeError} If there is one already, or its input is no vector.
   */
  softmax(): void {
    if (this.#ended) throw new TypeError("nothing may follow a softmax");
    if (this.#shape.length !== 1) throw new TypeError("it must be over the logits, at the end");
    this.#ended = true;
  }

  /** Builds the model and lays out its parameters.
   *
   * @throws {TypeError} If its output is no vector of logits, or one number without a sigmoid.
   */
  finish(name: string): TrainedModel {
    if (this.#order !== undefined) {
      throw new TypeError(
        "its logits are pixels in channels-last order: a linear layer must follow",
      );
    }
    if (this.#shape.length === 1 && this.#shape[0] === 1) this.#tellApart();
    const fit = /^\P{C}{1,100}$/u.test(name) ? name : "imported";
    const model = sequential(this.#specs, {
      name: fit,
      inputShape: this.#inputShape,
      standardization: this.#standardization,
    });
    const parameters = new Float32Array(model.parameterCount);
    model.parameters.forEach(({ name, shape, offset, size }, index) => {
      const { length } = this.#tensors[index];
      if (length !== size) {
        throw new TypeError(`${quote(name)} must be ${showShape(shape)}, found ${length} numbers`);
      }
      parameters.set(this.#tensors[index], offset);
    });
    return { model, parameters, notes: [...this.#notes] };
  }

  /** Whether the pixels are at hand still, at most in other places or the mean or largest of some. */
  #isOnPixels(): boolean {
    return this.#specs.every(({ type }) => type === "flatten" || type.endsWith("Pool2d"));
  }

  /** One output with a sigmoid as two classes: softmax([0, z])[1] is sigmoid(z). */
  #tellApart(): void {
    const place = this.#specs.findLastIndex(({ type }) => type !== "flatten");
    if (this.#ended || this.#specs[place]?.type !== "sigmoid") {
      throw new TypeError(
        "its one output has no sigmoid, so that it is no probability: supported are two logits " +
          "or more, or one output with a sigmoid at the end",
      );
    }
    this.#specs.splice(place, 1);
    this.add({ type: "linear", outFeatures: 2 }, { weight: Float32Array.of(0, 1) });
    this.note("its one output with a sigmoid is read as two classes: 1 where it is above a half");
  }

  /** A weight [out, in] with its columns in channels-first order. */
  #inOrder(weight: Float32Array): Float32Array {
    const order = this.#order;
    if (order === undefined) return weight;
    const { length } = order;
    return weight.map((_, n) => weight[n - n % length + order[n % length]]);
  }
}

/** Rows or columns of zeros before and after. */
export type Sides = readonly [before: number, after: number];

/** What 'same' padding means for one direction: a window for every stride, ceil(size / stride) of
 * them. Where the zeros do not divide by two, one more comes after.
 */
export function sidesOfSame(size: number, kernel: number, stride: number): Sides {
  const total = Math.max(0, (Math.ceil(size / stride) - 1) * stride + kernel - size);
  return [Math.floor(total / 2), Math.ceil(total / 2)];
}

/** As {@linkcode sidesOfSame}, where both sides are alike.
 *
 * @throws {TypeError} If they are not.
 */
export function samePadding(size: number, kernel: number, stride: number): number {
  const [before, after] = sidesOfSame(size, kernel, stride);
  if (before === after) return before;
  throw new TypeError(
    `'same' padding of a window of ${kernel} with stride ${stride} over ${size} is ` +
      `${before} before and ${after} after: both sides must be alike`,
  );
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
  const grown = new Float32Array(weight.length / (height * width) * kernelSize[0] * kernelSize[1]);
  for (let row = 0; row < weight.length / width; row++) {
    const start = Math.floor(row / height) * kernelSize[0] + before[0] + row % height;
    const taps = weight.subarray(row * width, (row + 1) * width);
    grown.set(taps, start * kernelSize[1] + before[1]);
  }
  return { weight: grown, kernelSize, padding };
}
