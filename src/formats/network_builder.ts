/** A model put together step by step from a foreign file, with every tensor checked. */

import { checkSpec } from "../nn/check_spec.ts";
import { volume } from "../nn/layers/layer.ts";
import type { LayerSpec, Pair } from "../nn/layers.ts";
import {
  type ImageShape,
  outputShapeOf,
  sequential,
  type Shape,
  showShape,
  type Tensor as Placed,
} from "../nn/sequential.ts";
import {
  channelOf,
  checkStandardization,
  joinChannels,
  NORMALIZED,
  type Standardization,
} from "../nn/standardization.ts";
import { quote } from "../quote.ts";
import { evenSides, NO_PADDING, type Padding, type Sides, sidesOf } from "./padding.ts";
import type { Tensor } from "./safetensors/file.ts";
import { decimalOf } from "./tensors.ts";
import type { TrainedModel } from "./trained_model.ts";

/** Orders of an image's axes: 0 is channels, 1 rows, 2 columns. */
export const [CHANNELS_LAST, CHANNELS_FIRST] = [[1, 2, 0], [0, 1, 2]];

/** The parameters of a layer: weight OIHW or [out, in]; left out, there is no bias. */
interface Weights {
  readonly weight: Tensor;
  readonly bias?: Float32Array;
}

/** What a batch norm has learned, one number of each for a channel or feature, in the file's order. */
export interface BatchNormWeights {
  /** Left out: ones. */
  readonly gamma?: Float32Array;
  /** Left out: zeros. */
  readonly beta?: Float32Array;
  readonly mean: Float32Array;
  readonly variance: Float32Array;
  readonly epsilon: number;
  /** Share of a batch's statistics in the running ones. */
  readonly momentum: number;
}

/** Windows over an image. */
interface Windows {
  readonly stride: Pair;
  readonly padding: Padding;
}

type Convolution = Windows & Weights & {
  readonly name: string;
  readonly kernelSize: Pair;
  readonly groups?: number;
};

/** A layer, or a residual block of several, with its parameters in the model's order. */
interface Step {
  readonly spec: LayerSpec;
  readonly tensors: readonly Float32Array[];
  /** Running statistics, likewise. */
  readonly statistics: readonly Float32Array[];
  /** Layers in it. */
  readonly size: number;
  /** What a flatten layer started from. */
  readonly before?: State;
}

/** All that is known of a value. */
interface State {
  readonly steps: readonly Step[];
  /** [channels, height, width] or [features]. */
  readonly shape: Shape;
  /** For each axis behind the batch in the file, which one of the shape it is; -1 for none, of length 1. */
  readonly axes: readonly number[];
  /** Zeros around rows and columns, which the next convolution or pooling must take. */
  readonly padding: readonly [Sides, Sides];
  /** The image that the file's vector was, where its features are in another order than here. */
  readonly flattened?: { readonly shape: Shape; readonly axes: readonly number[] };
  readonly standardization: Standardization;
  /** Whether a softmax was the last. */
  readonly isEnded: boolean;
}

/** Largest vector or number of channels that gets a layer of its own for a multiplication of each. */
const MAX_SCALED = 4_096;
/** Most of its values that a dropout may drop. */
const MAX_DROPOUT = 0.99;
/** Layers of a value; more than any model may have. */
const MAX_STEPS = 4_000;

/** One computed value of a foreign network: how it comes from the image, and how its axes lie.
 *
 * In the file the axes may lie otherwise than here, as in TensorFlow, and axes of length 1 may come and
 * go. What is no layer here becomes one or disappears, and `notes` of the model say so: multiplications
 * and additions for each channel go into the layer before ({@linkcode scaleOutputs}); a softmax at the
 * end is left out ({@linkcode softmax}); one output z with a sigmoid at the end, which is how Keras
 * tells two classes apart, becomes the logits [0, z], whose softmax is the same, and one output
 * without a sigmoid is refused ({@linkcode finish}).
 */
export class NetworkBuilder {
  readonly #inputShape: ImageShape;
  #notes = new Set<string>();
  #state: State;

  /** Starts with an image: its sizes without the batch, and which axes they are. */
  constructor(sizes: readonly number[], axes: readonly number[]) {
    const sizeOf = (axis: number) => sizes[axes.indexOf(axis)] ?? 1;
    this.#inputShape = [sizeOf(0), sizeOf(1), sizeOf(2)];
    const start = { steps: [], shape: this.#inputShape, axes, padding: NO_PADDING };
    this.#state = { ...start, standardization: NORMALIZED, isEnded: false };
  }

  /** Starts at a network's input: an image, one without channels, or the pixels of a square.
   *
   * @returns Nothing for other sizes.
   */
  static start(sizes: readonly number[], order: readonly number[]): NetworkBuilder | undefined {
    if (sizes.length === 3) return new NetworkBuilder(sizes, order);
    if (sizes.length === 2) return new NetworkBuilder(sizes, [1, 2]);
    const [count] = sizes;
    const side = Math.sqrt(count);
    if (sizes.length !== 1 || !Number.isInteger(side)) return undefined;
    const network = new NetworkBuilder([side, side], [1, 2]);
    network.note(`its input of ${count} numbers is taken for ${side}x${side} pixels, row by row`);
    network.flatten();
    return network;
  }

  /** The same value, for another reader of it. */
  copy(): NetworkBuilder {
    const copy = new NetworkBuilder(this.#inputShape, CHANNELS_FIRST);
    [copy.#state, copy.#notes] = [this.#state, this.#notes];
    return copy;
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
    const { shape, axes, padding } = this.#state;
    const added = (axis: number) => axis > 0 ? padding[axis - 1][0] + padding[axis - 1][1] : 0;
    return axes.map((axis) => axis < 0 ? 1 : shape[axis] + added(axis));
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
    const { shape, axes } = this.#state;
    const { sizes } = this;
    if (shape.length !== 3 || axes.length !== 3) {
      throw new TypeError(`its input must be [channels, height, width], found ${showShape(sizes)}`);
    }
    if (axes.some((axis, place) => axis !== order[place] && sizes[place] !== 1)) {
      const found = axes.map((axis) => ["channels", "height", "width"][axis]).join(", ");
      const expected = order === CHANNELS_FIRST ? "first" : "last";
      throw new TypeError(`its input must be channels ${expected}, found [${found}]`);
    }
    this.#change({ axes: order });
    return [shape[0], shape[1], shape[2]];
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
    this.#change({ axes: places.map((place) => axes[place]) });
  }

  /** Adds a flatten layer: the value becomes a vector.
   *
   * @param axes The order in which the file does it. Where it is not channels first, the columns of
   * the linear layer behind are put into that order.
   */
  flatten(axes: readonly number[] = this.#state.axes): void {
    const before = this.#state;
    const { shape } = before;
    this.add({ type: "flatten" });
    const steps = [...this.#state.steps];
    steps.push({ ...steps.pop()!, before });
    const longer = axes.filter((axis) => axis >= 0 && shape[axis] > 1);
    const isInOrder = shape.length === 1 ||
      longer.every((axis, n) => n === 0 || axis > longer[n - 1]);
    const flattened = isInOrder ? before.flattened : { shape, axes: longer };
    this.#change({ steps, axes: [0], flattened });
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
      const axes = axesOf(from, target);
      if (axes !== undefined) {
        this.#state = from;
        return this.#change({ axes });
      }
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
    this.#change({ padding: [[top, bottom], [left, right]] });
  }

  /** Adds a layer.
   *
   * @param spec Its name is kept if this project's models can have it and no other layer has.
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
    this.#requireOpen();
    const outputShape = outputShapeOf(named, shape);
    const [outputs] = outputShape;
    const tensors = weight ? [this.#inOrder(weight.data), ...(bias ? [bias] : [])] : [];
    if (bias && bias.length !== outputs) {
      throw new TypeError(
        `the bias of ${named.type} ${quote(name ?? "")} must be [${outputs}], ` +
          `found ${bias.length} numbers`,
      );
    }
    if (weight) this.#change({ flattened: undefined });
    const step = { spec: named, tensors, statistics, size: 1 };
    this.#change({ steps: [...steps, step], shape: outputShape });
  }

  /** Adds a convolution, which takes zeros that are there already and its own at each side. */
  conv2d({ name, kernelSize, stride, padding, groups = 1, weight, bias }: Convolution): void {
    const { shape: [outChannels, groupIn, height, width], data } = weight;
    const inChannels = groupIn * groups;
    const windowSize: Pair = [height, width];
    if (showShape(kernelSize) !== showShape(windowSize)) {
      throw new TypeError(`its kernel size is not that of its weight, ${showShape(weight.shape)}`);
    }
    this.pad(sidesOf(padding, { size: this.#paddedSize, windowSize, stride }));
    const even = evenSides(data, { windowSize, sides: this.#state.padding });
    if (showShape(even.kernelSize) !== showShape(windowSize)) {
      this.note(
        `${quote(name)} has a kernel of ${even.kernelSize.join("x")} instead of ` +
          `${windowSize.join("x")}, with zeros at one side, since one side is padded more`,
      );
    }
    this.#change({ padding: NO_PADDING });
    const geometry = { kernelSize: even.kernelSize, stride, padding: even.padding };
    this.add(
      {
        ...{ type: "conv2d", name, inChannels, outChannels, ...geometry },
        ...(groups > 1 && { groups }),
        ...(!bias && { bias: false }),
      },
      { weight: { ...weight, data: even.weight }, bias },
    );
  }

  /** Adds a pooling layer; without windows, one of the whole image.
   *
   * @param windows Padding must be alike at both sides. Averages must count its zeros: `isCounted`.
   * Maxima do not know them: zeros that are there already must be no more than what ReLU gives.
   */
  pool2d(
    type: "avgPool2d" | "maxPool2d",
    windows?: Windows & { readonly poolSize: Pair; readonly isCounted?: boolean },
  ): void {
    const [, height, width] = this.#state.shape;
    if (windows === undefined) {
      const size: Pair = [height, width];
      const whole = { type: "maxPool2d", poolSize: size, stride: size } as const;
      return this.add(type === "avgPool2d" ? { type: "globalAvgPool2d" } : whole);
    }
    const { poolSize, stride, padding, isCounted } = windows;
    const zeros = this.#state.padding;
    const own = sidesOf(padding, { size: this.#paddedSize, windowSize: poolSize, stride });
    const [hasZeros, isPadded] = [zeros, own].map((sides) => sides.flat().some((rows) => rows > 0));
    if (!hasZeros && !isPadded) return this.add({ type, poolSize, stride });
    const shown = `windows of ${poolSize.join("x")} with stride ${stride.join("x")} over ` +
      `${height}x${width}`;
    this.pad(own);
    const [rows, columns] = this.#state.padding;
    if (rows[0] !== rows[1] || columns[0] !== columns[1]) {
      throw new TypeError(`padding of a pooling layer must be alike at both sides: ${shown}`);
    }
    if (type === "avgPool2d" && isPadded && !isCounted) {
      throw new TypeError(`padding of averages must count as zeros, here it does not: ${shown}`);
    }
    const isPositive = /^(relu|sigmoid)$/.test(this.#state.steps.at(-1)?.spec.type ?? "");
    if (type === "maxPool2d" && hasZeros && !isPositive) {
      throw new TypeError(`zeros before maxima are supported behind relu and sigmoid: ${shown}`);
    }
    this.#change({ padding: NO_PADDING });
    this.add({ type, poolSize, stride, padding: [rows[0], columns[0]] });
  }

  /** Adds a dropout, which changes no answer, but matters to who trains the model further. */
  dropout(rate: number): void {
    const p = decimalOf(rate);
    if (p > MAX_DROPOUT) this.note(`its dropout of ${p} is taken as one of ${MAX_DROPOUT}`);
    this.add({ type: "dropout", p: Math.min(p, MAX_DROPOUT) });
  }

  /** Adds a linear layer. */
  linear({ name, weight, bias }: Weights & { readonly name: string }): void {
    const { shape, axes } = this.#state;
    if (shape.length !== 1 || axes.length !== 1) {
      const found = showShape(this.sizes);
      throw new TypeError(
        `its input must be a vector, found ${found}; it must be flattened before`,
      );
    }
    const [outFeatures, inFeatures] = weight.shape;
    const sizes = { inFeatures, outFeatures, ...(!bias && { bias: false }) };
    this.add({ type: "linear", name, ...sizes }, { weight, bias });
  }

  /** Multiplies each channel, or each number of a vector, and adds to it.
   *
   * Goes into the convolution or linear layer before; where there is none, a layer that does it is
   * added: a convolution of 1x1, or a linear one. Of the pixels it is part of what becomes of them.
   *
   * @param scale One number for all, or one for each channel or feature, in the file's order.
   * @throws {TypeError} If a number is not finite, or the vector too long for a layer of its own.
   */
  scaleOutputs(scale: ArrayLike<number>, offset: ArrayLike<number>): void {
    this.#requireOpen();
    const { steps, shape: [count, ...area], flattened } = this.#state;
    for (const { length } of [scale, offset]) {
      if (length === 1 || length === count) continue;
      throw new TypeError(`it must have ${count} numbers, or one for all, found ${length}`);
    }
    const values = [...Array.from(scale), ...Array.from(offset)];
    if (!values.every(Number.isFinite)) throw new TypeError("its constants must be finite numbers");
    if (this.#isOfPixels) return this.#rescale(scale, offset);
    const order = flattened && orderOf(flattened);
    const { type } = steps.at(-1)!.spec;
    const hasWeights = /^(conv2d|linear|batchNorm.d)$/.test(type);
    if (!hasWeights) this.#addIdentity(count, area.length === 0);
    const step = this.#state.steps.at(-1)!;
    const { spec: { bias: _, ...spec }, tensors: [weight, bias = new Float32Array(count)] } =
      step as Step & { readonly spec: { readonly bias?: boolean } };
    const [scales, offsets] = [scale, offset].map((list) =>
      Float64Array.from({ length: count }, (_, n) => list[list.length === 1 ? 0 : order?.(n) ?? n])
    );
    const inputs = weight.length / count;
    const scaled = [
      weight.map((value, n) => value * scales[Math.floor(n / inputs)] + 0), // of -0 makes 0
      bias.map((value, n) => value * scales[n] + offsets[n]),
    ];
    // Zeros that are added are a bias, as a file may hold it before training.
    const isWithout = step.tensors.length === 1 && scaled[1].every((value) => value === 0) &&
      scales.some((value) => value !== 1);
    const last: Step = isWithout
      ? { ...step, tensors: scaled.slice(0, 1) }
      : { ...step, spec: spec as LayerSpec, tensors: scaled };
    this.#change({ steps: this.#state.steps.with(-1, last), flattened });
    if (!hasWeights) this.note("arithmetic between layers has become a layer of its own");
  }

  /** Adds a batch norm. Pixels with a mean or variance above 1 were bytes, and are taken so.
   *
   * @throws {TypeError} If there are not as many numbers as channels, or a variance is below 0.
   */
  batchNorm(name: string, { epsilon: eps, momentum, ...learned }: BatchNormWeights): void {
    const { shape: [count, ...area], flattened } = this.#state;
    const ones = new Float32Array(count).fill(1);
    const { gamma = ones, beta = new Float32Array(count), mean, variance } = learned;
    const order = flattened && orderOf(flattened);
    const [weight, bias, ...statistics] = [gamma, beta, mean, variance].map((values) => {
      if (values.length !== count) {
        throw new TypeError(`it must have ${count} numbers of each kind, found ${values.length}`);
      }
      return order ? values.map((_, n) => values[order(n)]) : values;
    });
    if (variance.some((value) => !(value >= 0))) {
      throw new TypeError("its variances must be numbers of 0 or more");
    }
    const isPlain = this.#state.standardization === NORMALIZED;
    if (this.#isOfPixels && isPlain && [...mean, ...variance].some((value) => value > 1)) {
      this.#rescale([255], [0]);
      this.note("its first step is made for bytes: pixels are taken as 0 to 255");
    }
    const isMomentum = momentum > 0 && momentum <= 1;
    if (!isMomentum) this.note(`${quote(name)} has a momentum out of range: it is taken as 0.1`);
    const type = area.length > 0 ? "batchNorm2d" : "batchNorm1d";
    // As files hold 1 - momentum, which is not exact.
    const meant = Number((isMomentum ? momentum : 0.1).toPrecision(12));
    this.#change({ flattened: undefined }); // in order already
    this.add({ type, name, momentum: meant, eps: decimalOf(eps) }, {
      weight: { shape: [count], data: weight },
      bias,
      statistics: [...statistics, new Float32Array(1)],
    });
    this.#change({ flattened });
  }

  /** Adds another value, which comes from the same one: what lies between becomes a residual block.
   *
   * @throws {TypeError} If they are not alike, or have no value in common.
   */
  sum(other: NetworkBuilder): void {
    this.#requireOpen();
    other.#requireOpen();
    const [one, two] = [this.#state, other.#state];
    const isAlike = showShape(this.sizes) === showShape(other.sizes) &&
      JSON.stringify([one.shape, one.axes, one.flattened]) ===
        JSON.stringify([two.shape, two.axes, two.flattened]);
    if (!isAlike) {
      const [left, right] = [this, other].map(({ sizes }) => showShape(sizes));
      throw new TypeError(
        `it adds ${left} and ${right}: both must have the same sizes, in one order`,
      );
    }
    if (one.standardization !== two.standardization) {
      throw new TypeError("it adds pixels of which one were rescaled");
    }
    const differs = one.steps.findIndex((step, n) => step !== two.steps[n]);
    const shared = differs < 0 ? one.steps.length : differs;
    const ways = [one, two].map(({ steps }) => steps.slice(shared));
    if (ways[0].length === 0) ways.reverse();
    const [body, shortcut] = ways;
    if (body.length === 0) return this.scaleOutputs([2], [0]);
    const all = [...body, ...shortcut];
    const size = all.reduce((sum, step) => sum + step.size, 1);
    if (size > MAX_STEPS) throw new TypeError(`it would need more than ${MAX_STEPS} layers`);
    const [specs, around] = ways.map((way) => way.map(({ spec }) => spec));
    const spec: LayerSpec = {
      ...{ type: "residual", body: specs },
      ...(around.length > 0 && { shortcut: around }),
    };
    const block: Step = {
      spec,
      tensors: all.flatMap(({ tensors }) => tensors),
      statistics: all.flatMap(({ statistics }) => statistics),
      size,
    };
    this.#change({ steps: [...one.steps.slice(0, shared), block] });
  }

  /** Ends the network with a softmax, which is left out: what it takes are the logits.
   *
   * @throws {TypeError} If there is one already, or its input is no vector.
   */
  softmax(): void {
    this.#requireOpen();
    const { shape, axes } = this.#state;
    if (shape.length !== 1 || axes.length !== 1) {
      throw new TypeError("it must be over the logits, at the end");
    }
    this.#change({ isEnded: true });
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
    this.#noteCopies(specs);
    const fit = /^\P{C}{1,100}$/u.test(name) ? name : "imported";
    const options = { name: fit, inputShape: this.#inputShape, standardization };
    const model = sequential(specs, options);
    const parameters = flat(model.parameters, steps.flatMap(({ tensors }) => tensors));
    const statistics = flat(model.statistics, steps.flatMap(({ statistics }) => statistics));
    const notes = [...this.#notes];
    return { model, parameters, ...(statistics.length > 0 && { statistics }), notes };
  }

  #change(changes: Partial<State>): void {
    this.#state = { ...this.#state, ...changes };
  }

  #requireOpen(): void {
    if (this.#state.isEnded) throw new TypeError("nothing may follow a softmax");
    this.#requireNoPadding();
  }

  #requireNoPadding(): void {
    if (this.#state.padding.flat().every((size) => size === 0)) return;
    throw new TypeError("only a convolution or pooling may follow zero padding");
  }

  /** Whether it is the image, or what pooling and flattening make of it. */
  get #isOfPixels(): boolean {
    return this.#state.steps.every(({ spec: { type } }) =>
      type === "flatten" || type.endsWith("Pool2d")
    );
  }

  /** Rows and columns with the zeros around them. */
  get #paddedSize(): number[] {
    const { shape, padding } = this.#state;
    return shape.slice(1).map((length, n) => length + padding[n][0] + padding[n][1]);
  }

  /** Adds a layer that changes nothing, whose weights others may become. */
  #addIdentity(count: number, isVector: boolean): void {
    if (count > MAX_SCALED) {
      throw new TypeError(
        `it would need a layer of its own of ${count}x${count} numbers: supported are up to ` +
          `${MAX_SCALED}, or directly behind a convolution or linear layer`,
      );
    }
    const data = new Float32Array(count * count);
    for (let n = 0; n < count; n++) data[n * (count + 1)] = 1;
    const weights = { weight: { shape: [count, count], data } };
    this.#change({ flattened: undefined }); // its columns are in this project's order already
    const kernel = { kernelSize: [1, 1], stride: [1, 1], padding: [0, 0] } as const;
    const bias = false;
    if (isVector) this.add({ type: "linear", outFeatures: count, bias }, weights);
    else this.add({ type: "conv2d", outChannels: count, ...kernel, bias }, weights);
  }

  /** Multiplication and addition of each channel's pixels, as part of what becomes of them. */
  #rescale(scales: ArrayLike<number>, offsets: ArrayLike<number>): void {
    const { shape, standardization: before } = this.#state;
    const lists = [scales, offsets].map((list) => Array.from(list));
    const areAlike = lists.every((list) => list.every((value) => value === list[0]));
    if (!areAlike && shape.length === 1) {
      throw new TypeError(
        "arithmetic on pixels is supported where all pixels of a channel are treated alike",
      );
    }
    const dark = lists[0].find((scale) => !(scale > 0));
    if (dark !== undefined) {
      throw new TypeError(
        `its factor ${dark} turns light into dark: that is supported behind the first layer only`,
      );
    }
    const [channels] = this.#inputShape;
    const standardization = joinChannels(Array.from({ length: channels }, (_, channel) => {
      const { mean, std } = channelOf(before, channel);
      const [scale, offset] = lists.map((list) => list[areAlike ? 0 : channel] ?? list[0]);
      return { mean: mean - offset * std / scale, std: std / scale };
    }));
    checkStandardization(standardization, channels);
    this.#change({ standardization });
  }

  /** One output with a sigmoid as two classes: softmax([0, z])[1] is sigmoid(z). */
  #tellApart(): void {
    const { steps, isEnded } = this.#state;
    const place = steps.findLastIndex(({ spec }) => spec.type !== "flatten");
    if (isEnded || steps[place]?.spec.type !== "sigmoid") {
      throw new TypeError(
        "its one output has no sigmoid, so that it is no probability: supported are two logits " +
          "or more, or one output with a sigmoid at the end",
      );
    }
    this.#change({ steps: steps.toSpliced(place, 1) });
    const weight = { shape: [2, 1], data: Float32Array.of(0, 1) };
    this.add({ type: "linear", outFeatures: 2, bias: false }, { weight });
    this.note("its one output with a sigmoid is read as two classes: 1 where it is above a half");
  }

  /** Says which layers stand in the model several times, since several others read them. */
  #noteCopies(specs: readonly LayerSpec[]): void {
    const seen = new Set<LayerSpec>();
    const visit = (spec: LayerSpec) => {
      if (spec.type === "residual") [...spec.body, ...spec.shortcut ?? []].forEach(visit);
      else if (!seen.has(spec)) seen.add(spec);
      else {this.note(
          `${spec.type} ${quote(spec.name ?? "")} is read by several, and has become several`,
        );}
    };
    specs.forEach(visit);
  }

  /** A weight [out, in] with its columns in channels-first order. */
  #inOrder(weight: Float32Array): Float32Array {
    const { flattened } = this.#state;
    if (flattened === undefined) return weight;
    const order = orderOf(flattened);
    const length = volume(flattened.shape);
    return weight.map((_, n) => weight[n - n % length + order(n % length)]);
  }
}

/** Tensors in a row, each checked to be as long as its place. */
function flat(layout: readonly Placed[], tensors: readonly Float32Array[]): Float32Array {
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

/** The axes of a value with other lengths, where only lengths of 1 come and go. */
function axesOf({ shape, axes }: State, target: readonly number[]): number[] | undefined {
  const longer = axes.filter((axis) => axis >= 0 && shape[axis] > 1);
  const kept = target.filter((size) => size !== 1);
  if (kept.join() !== longer.map((axis) => shape[axis]).join()) return undefined;
  const ones = [...shape.keys()].filter((axis) => shape[axis] === 1);
  return target.map((size) => (size === 1 ? ones.shift() : longer.shift()) ?? -1);
}

/** Where in the file's vector each feature is. */
function orderOf({ shape, axes }: NonNullable<State["flattened"]>): (feature: number) => number {
  const steps = [0, 0, 0];
  axes.toReversed().reduce((step, axis) => (steps[axis] = step) * shape[axis], 1);
  const [, height, width] = shape;
  return (n) =>
    Math.floor(n / (height * width)) * steps[0] +
    Math.floor(n / width) % height * steps[1] + n % width * steps[2];
}
