/** A model put together step by step from a foreign file, with every tensor checked. */

import { checkSpec } from "../nn/check_spec.ts";
import { definitionOf } from "../nn/layers/table.ts";
import type { LayerSpec } from "../nn/layers.ts";
import {
  type ImageShape,
  outputShapeOf,
  sequential,
  type Shape,
  showShape,
} from "../nn/sequential.ts";
import { NORMALIZED } from "../nn/standardization.ts";
import { quote } from "../quote.ts";
import {
  asImage,
  axesFor,
  CHANNELS_FIRST,
  copiedIn,
  flat,
  flattenedFrom,
  isPadded,
  NO_PADDING,
  type Sides,
  sizesOf,
  type State,
  type Step,
} from "./value.ts";
import type { Tensor } from "./safetensors/file.ts";
import { decimalOf } from "./tensors.ts";
import type { TrainedModel } from "./trained_model.ts";

/** The parameters of a layer: weight OIHW or [out, in]; left out, there is no bias. */
export interface Weights {
  readonly weight: Tensor;
  readonly bias?: Float32Array;
}

/** Most of its values that a dropout may drop. */
const MAX_DROPOUT = 0.99;

/** One computed value of a foreign network: how it comes from the image, and how its axes lie.
 *
 * In the file the axes may lie otherwise than here, as in TensorFlow, and axes of length 1 may come and
 * go. What is no layer here becomes one or disappears, and `notes` of the model say so: a softmax at the
 * end is left out ({@linkcode softmax}); one output z with a sigmoid at the end, which is how Keras
 * tells two classes apart, becomes the logits [0, z], whose softmax is the same, and one output
 * without a sigmoid is refused ({@linkcode finish}).
 */
export class NetworkBuilder {
  /** Shape of the image that it started with. */
  readonly inputShape: ImageShape;
  readonly #notes: Set<string>;
  #state: State;

  private constructor(inputShape: ImageShape, state: State, notes: Set<string>) {
    this.inputShape = inputShape;
    this.#state = state;
    this.#notes = notes;
  }

  /** Starts at a network's input: an image, one without channels, or the pixels of a square.
   *
   * @param sizes Its lengths without the batch.
   * @param order Which axes they are, if they are three.
   * @returns Nothing for other sizes.
   */
  static start(sizes: readonly number[], order: readonly number[]): NetworkBuilder | undefined {
    const side = Math.sqrt(sizes[0]);
    const isSquare = sizes.length === 1 && Number.isInteger(side);
    const lengths = isSquare ? [side, side] : sizes;
    const axes = lengths.length === 2 ? [1, 2] : order;
    if (lengths.length !== axes.length) return undefined;
    const sizeOf = (axis: number) => lengths[axes.indexOf(axis)] ?? 1;
    const shape: ImageShape = [sizeOf(0), sizeOf(1), sizeOf(2)];
    const state = { steps: [], shape, axes, padding: NO_PADDING, isEnded: false };
    const network = new NetworkBuilder(shape, { ...state, standardization: NORMALIZED }, new Set());
    if (!isSquare) return network;
    network.note(
      `its input of ${sizes[0]} numbers is taken for ${side}x${side} pixels, row by row`,
    );
    network.flatten();
    return network;
  }

  /** The same value, for another reader of it. */
  copy(): NetworkBuilder {
    return new NetworkBuilder(this.inputShape, this.#state, this.#notes);
  }

  /** All that is known of it. */
  get state(): State {
    return this.#state;
  }

  /** Says otherwise of some of it. */
  change(changes: Partial<State>): void {
    this.#state = { ...this.#state, ...changes };
  }

  /** Shape of one sample. */
  get shape(): Shape {
    return this.#state.shape;
  }

  /** For each axis behind the batch in the file, which one of the shape it is; -1 for none. */
  get axes(): readonly number[] {
    return this.#state.axes;
  }

  /** Lengths of the axes behind the batch, as the file sees them. */
  get sizes(): readonly number[] {
    return sizesOf(this.#state);
  }

  /** Says what reading the file assumed, left out or changed: a sentence without a period. */
  note(sentence: string): void {
    this.#notes.add(sentence);
  }

  /** Shape of the value as an image.
   *
   * @throws {TypeError} If it is none, or its axes lie otherwise than in this order.
   */
  image(order: readonly number[] = CHANNELS_FIRST): ImageShape {
    const image = asImage(this.#state, order);
    this.change(image);
    return image.shape;
  }

  /** Whether an axis of the file, counted without the batch, is that of the channels or features. */
  isChannels(place: number): boolean {
    const { shape, axes } = this.#state;
    return axes[place] === 0 || shape[0] === 1 && this.sizes[place] === 1;
  }

  /** Reorders the axes: each becomes the one that is at this place now. */
  transpose(places: readonly number[]): void {
    const { axes } = this.#state;
    if (places.toSorted().join() !== [...axes.keys()].join()) {
      throw new TypeError(`it must order ${axes.length} axes behind the batch`);
    }
    this.change({ axes: places.map((place) => axes[place]) });
  }

  /** Adds a flatten layer: the value becomes a vector.
   *
   * @param axes The order in which the file does it. Where it is not channels first, the columns of
   * the linear layer behind are put into that order.
   */
  flatten(axes: readonly number[] = this.#state.axes): void {
    const before = this.#state;
    this.add({ type: "flatten" });
    const { steps } = this.#state;
    const step = { ...steps.at(-1)!, before };
    this.change({ ...flattenedFrom(before, axes), steps: steps.with(-1, step) });
  }

  /** Gives the value other lengths behind the batch: a vector, axes of length 1 more or fewer, or those
   * of the image that has just been flattened.
   */
  reshape(target: readonly number[]): void {
    this.#requireNoPadding();
    const { shape, steps, standardization } = this.#state;
    if (target.length === 1 && shape.length === 3) return this.flatten();
    const before = target.length > 1 ? steps.at(-1)?.before : undefined;
    for (const from of [...before ? [{ ...before, standardization }] : [], this.#state]) {
      const axes = axesFor(from, target);
      if (axes === undefined) continue;
      this.#state = { ...from, axes };
      return;
    }
    const [from, to] = [showShape(this.sizes), showShape(target)];
    throw new TypeError(
      `it makes ${to} of ${from}: supported are vectors, and axes of length 1 more or fewer`,
    );
  }

  /** Adds zeros around rows and columns, which the convolution or pooling behind takes as its own. */
  pad([rows, columns]: readonly [Sides, Sides]): void {
    const [above, beside] = this.#state.padding;
    const [top, bottom] = [above[0] + rows[0], above[1] + rows[1]];
    const [left, right] = [beside[0] + columns[0], beside[1] + columns[1]];
    this.change({ padding: [[top, bottom], [left, right]] });
  }

  /** Adds a layer.
   *
   * @param spec Its name is kept if this project's models can have it and no other layer has.
   * @param numbers Its parameters and statistics, in this project's order.
   * @throws {TypeError} If the layer cannot take its input.
   * @throws {RangeError} If a size is not in range.
   */
  add(
    spec: LayerSpec,
    { weight, bias, statistics = [] }: Partial<Weights> & Partial<Pick<Step, "statistics">> = {},
  ): void {
    const { steps, shape } = this.#state;
    const { name, ...unnamed } = spec;
    const candidate = name?.replaceAll(/[./:-]/g, "_") ?? "";
    const isTaken = steps.some((other) => other.spec.name === candidate);
    const isName = /^[A-Za-z_]\w{0,63}$/.test(candidate) && !isTaken;
    const named = isName ? { ...unnamed, name: candidate } : unnamed;
    checkSpec(named, steps.length);
    this.requireOpen();
    const outputShape = outputShapeOf(named, shape);
    const [outputs] = outputShape;
    if (bias && bias.length !== outputs) {
      throw new TypeError(
        `the bias of ${named.type} ${quote(name ?? "")} must be [${outputs}], ` +
          `found ${bias.length} numbers`,
      );
    }
    const tensors = [...weight ? [weight.data] : [], ...bias ? [bias] : []];
    const step = { spec: named, tensors, statistics, size: 1 };
    this.change({ steps: [...steps, step], shape: outputShape });
  }

  /** Adds a dropout, which changes no answer, but matters to who trains the model further. */
  dropout(rate: number): void {
    const p = decimalOf(rate);
    if (p > MAX_DROPOUT) this.note(`its dropout of ${p} is taken as one of ${MAX_DROPOUT}`);
    this.add({ type: "dropout", p: Math.min(p, MAX_DROPOUT) });
  }

  /** Ends the network with a softmax, which is left out: what it takes are the logits.
   *
   * @throws {TypeError} If there is one already, or its input is no vector.
   */
  softmax(): void {
    this.requireOpen();
    const { shape, axes } = this.#state;
    if (shape.length !== 1 || axes.length !== 1) {
      throw new TypeError("it must be over the logits, at the end");
    }
    this.change({ isEnded: true });
  }

  /** Builds the model and lays out its parameters.
   *
   * @throws {TypeError} If its output is no vector of logits, or one number without a sigmoid.
   */
  finish(name: string): TrainedModel {
    const { shape, flattened, standardization } = this.#state;
    if (flattened !== undefined) {
      throw new TypeError(
        "its logits are pixels in channels-last order: a linear layer must follow",
      );
    }
    this.#requireNoPadding();
    if (shape.length === 1 && shape[0] === 1) this.#tellApart();
    const { steps } = this.#state;
    const specs = steps.map(({ spec }) => spec);
    for (const { type, name } of copiedIn(specs)) {
      this.note(`${type} ${quote(name ?? "")} is read by several, and has become several`);
    }
    const fit = /^\P{C}{1,100}$/u.test(name) ? name : "imported";
    const model = sequential(specs, { name: fit, inputShape: this.inputShape, standardization });
    const parameters = flat(model.parameters, steps.flatMap(({ tensors }) => tensors));
    const statistics = flat(model.statistics, steps.flatMap(({ statistics }) => statistics));
    const notes = [...this.#notes];
    return { model, parameters, ...(statistics.length > 0 && { statistics }), notes };
  }

  /** Demands that a layer may follow that knows nothing of zeros around its input.
   *
   * @throws {TypeError} If a softmax or zeros around it were the last.
   */
  requireOpen(): void {
    if (this.#state.isEnded) throw new TypeError("nothing may follow a softmax");
    this.#requireNoPadding();
  }

  #requireNoPadding(): void {
    if (isPadded(this.#state)) {
      throw new TypeError("only a convolution or pooling may follow zero padding");
    }
  }

  /** One output with a sigmoid as two classes: softmax([0, z])[1] is sigmoid(z). */
  #tellApart(): void {
    const { steps, isEnded } = this.#state;
    const effects = steps.map(({ spec }) => definitionOf(spec).effect);
    const place = effects.findLastIndex((effect) => effect !== "picks");
    if (isEnded || effects[place] !== "squashes") {
      throw new TypeError(
        "its one output has no sigmoid, so that it is no probability: supported are two logits " +
          "or more, or one output with a sigmoid at the end",
      );
    }
    this.change({ steps: steps.toSpliced(place, 1) });
    const weight = { shape: [2, 1], data: Float32Array.of(0, 1) };
    this.add({ type: "linear", outFeatures: 2, bias: false }, { weight });
    this.note("its one output with a sigmoid is read as two classes: 1 where it is above a half");
  }
}
