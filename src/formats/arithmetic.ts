/** Arithmetic on the values of foreign networks: linear layers, factors, shifts, batch norms and sums. */

import { showShape } from "../nn/layers/layer.ts";
import {
  channelsOf,
  checkStandardization,
  joinChannels,
  NORMALIZED,
} from "../nn/standardization.ts";
import { quote } from "../quote.ts";
import type { NetworkBuilder, Weights } from "./network_builder.ts";
import { blockOf, isScalable, keepsPixels, placesIn, scaledStep } from "./value.ts";
import { decimalOf } from "./tensors.ts";

/** What a batch norm has learned, one number of each for a channel or feature, in the file's order. */
interface BatchNormWeights {
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

/** Largest vector or number of channels that gets a layer of its own for a multiplication of each. */
const MAX_SCALED = 4_096;

/** Adds a linear layer, its columns in the order of the file's vector. */
export function addLinear(
  network: NetworkBuilder,
  { name, weight, bias }: Weights & { readonly name: string },
): void {
  const { shape, axes, flattened } = network.state;
  if (shape.length !== 1 || axes.length !== 1) {
    const found = showShape(network.sizes);
    throw new TypeError(`its input must be a vector, found ${found}; it must be flattened before`);
  }
  const [outFeatures, inFeatures] = weight.shape;
  const placeOf = placesIn(network.state);
  const [length] = shape;
  const data = flattened
    ? weight.data.map((_, n) => weight.data[n - n % length + placeOf(n % length)])
    : weight.data;
  const sizes = { inFeatures, outFeatures, ...(!bias && { bias: false }) };
  network.add({ type: "linear", name, ...sizes }, { weight: { ...weight, data }, bias });
  network.change({ flattened: undefined });
}

/** Multiplies each channel, or each number of a vector, and adds to it.
 *
 * Goes into the convolution or linear layer before; where there is none, a layer that does it is
 * added: a convolution of 1x1, or a linear one. Of the pixels it is part of what becomes of them.
 *
 * @param scale One number for all, or one for each channel or feature, in the file's order.
 * @throws {TypeError} If a number is not finite, or the vector too long for a layer of its own.
 */
export function scaleOutputs(
  network: NetworkBuilder,
  scale: ArrayLike<number>,
  offset: ArrayLike<number>,
): void {
  network.requireOpen();
  const [count] = network.shape;
  for (const { length } of [scale, offset]) {
    if (length === 1 || length === count) continue;
    throw new TypeError(`it must have ${count} numbers, or one for all, found ${length}`);
  }
  const values = [...Array.from(scale), ...Array.from(offset)];
  if (!values.every(Number.isFinite)) throw new TypeError("its constants must be finite numbers");
  if (isOfPixels(network)) return rescale(network, scale, offset);
  if (!isScalable(network.state.steps.at(-1)!)) {
    addIdentity(network);
    network.note("arithmetic between layers has become a layer of its own");
  }
  const { steps } = network.state;
  const [scales, offsets] = [scale, offset].map((list) => perFeature(network, list));
  network.change({ steps: steps.with(-1, scaledStep(steps.at(-1)!, scales, offsets)) });
}

/** Adds a batch norm. Pixels with a mean or variance above 1 were bytes, and are taken so.
 *
 * @throws {TypeError} If there are not as many numbers as channels, or a variance is below 0.
 */
export function addBatchNorm(
  network: NetworkBuilder,
  name: string,
  { epsilon: eps, momentum, ...learned }: BatchNormWeights,
): void {
  const { shape: [count, ...area], standardization } = network.state;
  const ones = new Float32Array(count).fill(1);
  const { gamma = ones, beta = new Float32Array(count), mean, variance } = learned;
  const [data, bias, ...statistics] = [gamma, beta, mean, variance].map((values) => {
    if (values.length === count) return Float32Array.from(perFeature(network, values));
    throw new TypeError(`it must have ${count} numbers of each kind, found ${values.length}`);
  });
  if (variance.some((value) => !(value >= 0))) {
    throw new TypeError("its variances must be numbers of 0 or more");
  }
  const isPlain = isOfPixels(network) && standardization === NORMALIZED;
  if (isPlain && [...mean, ...variance].some((value) => value > 1)) {
    rescale(network, [255], [0]);
    network.note("its first step is made for bytes: pixels are taken as 0 to 255");
  }
  const isMomentum = momentum > 0 && momentum <= 1;
  if (!isMomentum) network.note(`${quote(name)} has a momentum out of range: it is taken as 0.1`);
  const type = area.length > 0 ? "batchNorm2d" : "batchNorm1d";
  // As files hold 1 - momentum, which is not exact.
  const meant = Number((isMomentum ? momentum : 0.1).toPrecision(12));
  network.add({ type, name, momentum: meant, eps: decimalOf(eps) }, {
    weight: { shape: [count], data },
    bias,
    statistics: [...statistics, new Float32Array(1)],
  });
}

/** Adds another value, which comes from the same one: what lies between becomes a residual block.
 *
 * @throws {TypeError} If they are not alike, or have no value in common.
 */
export function addSum(network: NetworkBuilder, other: NetworkBuilder): void {
  network.requireOpen();
  other.requireOpen();
  const [one, two] = [network.state, other.state];
  const [left, right] = [network, other].map(({ sizes }) => showShape(sizes));
  const [layout, otherLayout] = [one, two].map(({ shape, axes, flattened }) =>
    JSON.stringify([shape, axes, flattened])
  );
  if (left !== right || layout !== otherLayout) {
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
  if (body.length === 0) return scaleOutputs(network, [2], [0]);
  network.change({ steps: [...one.steps.slice(0, shared), blockOf(body, shortcut)] });
}

/** Whether it is the image, or what pooling and flattening make of it. */
function isOfPixels({ state: { steps } }: NetworkBuilder): boolean {
  return steps.every(keepsPixels);
}

/** Adds a layer that changes nothing, whose weights others may become. */
function addIdentity(network: NetworkBuilder): void {
  const [count, ...area] = network.shape;
  if (count > MAX_SCALED) {
    throw new TypeError(
      `it would need a layer of its own of ${count}x${count} numbers: supported are up to ` +
        `${MAX_SCALED}, or directly behind a convolution or linear layer`,
    );
  }
  const data = new Float32Array(count * count);
  for (let n = 0; n < count; n++) data[n * (count + 1)] = 1;
  const kernel = { kernelSize: [1, 1], stride: [1, 1], padding: [0, 0] } as const;
  network.add(
    area.length === 0
      ? { type: "linear", outFeatures: count, bias: false }
      : { type: "conv2d", outChannels: count, ...kernel, bias: false },
    { weight: { shape: [count, count], data } },
  );
}

/** Multiplication and addition of each channel's pixels, as part of what becomes of them. */
function rescale(
  network: NetworkBuilder,
  scales: ArrayLike<number>,
  offsets: ArrayLike<number>,
): void {
  const { shape, standardization: before } = network.state;
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
  const [channels] = network.inputShape;
  const rescaled = channelsOf(before, channels).map(({ mean, std }, channel) => {
    const [scale, offset] = lists.map((list) => list[areAlike ? 0 : channel] ?? list[0]);
    return { mean: mean - offset * std / scale, std: std / scale };
  });
  const standardization = joinChannels(rescaled);
  checkStandardization(standardization, channels);
  network.change({ standardization });
}

/** One number for each channel or feature, in this project's order; of a single one, that for all. */
function perFeature({ state }: NetworkBuilder, values: ArrayLike<number>): Float64Array {
  const { shape: [length] } = state;
  const placeOf = placesIn(state);
  return Float64Array.from({ length }, (_, n) => values[values.length === 1 ? 0 : placeOf(n)]);
}
