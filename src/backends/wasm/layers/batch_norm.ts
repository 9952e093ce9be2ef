/** Batch normalisation: passes over a block, and between them what one thread makes of the whole batch. */

import { volume } from "../../../nn/layers/layer.ts";
import type { BatchNormLayer, Layer, PlacedTensor } from "../../../nn/sequential.ts";
import { BLOCK } from "../arena.ts";
import { locate } from "../tensors.ts";
import { rectifier } from "./activation.ts";
import type { BlockCall, LayerCode, Stage, Thread, WholeBatch, WholeBatchCalls } from "./layer.ts";

/** Numbers of a channel, as `Coefficients` of the kernels has them. */
const MEAN = 0, SCALE = 1, BIAS = 2, GRAD_MEAN = 3, GRAD_SLOPE = 4, COEFFICIENTS = 8;

/** Bytes of a number of double precision, as the kernels sum what has been measured. */
const DOUBLE_BYTES = 8;

/** Numbers that a block measures of a channel: two of each image. */
const MEASURES = 2 * BLOCK;

/** See `batchNorm` of the reference. Its kernels do a ReLU behind it as well. */
export const batchNorm: LayerCode<BatchNormLayer> = {
  ...codeOf({ rectifies: false }),
  join: (next) => next === rectifier ? rectifyingNorm : undefined,
};

const rectifyingNorm = codeOf({ rectifies: true });

function codeOf({ rectifies }: { readonly rectifies: boolean }): LayerCode<BatchNormLayer> {
  return {
    memory: () => ({ rereads: true, remade: true, output: "new", gradient: "new" }),
    batchBytes: ({ inputShape: [channels] }) => ({
      batch: (4 * COEFFICIENTS + 2 * DOUBLE_BYTES) * channels,
      measures: 4 * MEASURES * channels,
    }),
    forward: (thread, stage) => forward(thread, stage, rectifies),
    infer: (thread, stage) => forward(thread, stage, false),
    backward({ kernels, own, mask }, { layer, inputs: [input], gradOutput, gradInputs, batch }) {
      const [target] = gradInputs;
      if (target === undefined) return [];
      const sizes = sizesOf(layer);
      return [(block) =>
        kernels.batchNormBackward(
          locate(input, own, block),
          input.rowBytes,
          locate(gradOutput!, own, block),
          locate(target.tensor, own, block),
          ...sizes,
          batch,
          rectifies,
          mask,
        )];
    },
    /** Its gradients are made between phases. */
    weights: () => ({}),
    prepare: (thread, stage) => () => new WholeBatchNorm(thread, stage, rectifies).takeRunning(),
    withBias: ({ bias }, before) => ({ ...before, bias }) as Layer,
    fold: (thread, stage, before) => () =>
      new WholeBatchNorm(thread, stage, rectifies).foldInto(before.layer),
    wholeBatch: (thread, stage) =>
      stage.layer.frozen ? undefined : new WholeBatchNorm(thread, stage, rectifies),
  };
}

function forward(
  { kernels, own }: Thread,
  { layer, inputs: [input], output, batch }: Stage<BatchNormLayer>,
  rectifies: boolean,
): BlockCall {
  const sizes = sizesOf(layer);
  return (block) =>
    kernels.batchNormForward(
      locate(input, own, block),
      input.rowBytes,
      locate(output, own, block),
      output.rowBytes,
      ...sizes,
      batch,
      rectifies,
    );
}

function sizesOf(
  { inputShape }: BatchNormLayer,
): [channels: number, height: number, width: number] {
  const [channels, height = 1, width = 1] = inputShape;
  return [channels, height, width];
}

/** What is made of all images of a batch, in double precision. */
class WholeBatchNorm implements WholeBatchCalls {
  readonly measure: BlockCall;
  readonly measureGradient: BlockCall;
  readonly #thread: Thread;
  readonly #layer: BatchNormLayer;
  /** Of all blocks. */
  readonly #measures: number;
  readonly #coefficients: Float32Array;
  /** Of each channel, for the kernels: a mean, and a sum over the batch. */
  readonly #means: Float64Array;
  readonly #sums: Float64Array;
  /** 1 / sqrt(variance + eps) of each channel. */
  readonly #inverse: Float64Array;
  /** Values of a channel in one image. */
  readonly #area: number;

  constructor(
    thread: Thread,
    { layer, inputs: [input], gradOutput, batch, measures }: Stage<BatchNormLayer>,
    rectifies: boolean,
  ) {
    const { kernels, own, memory } = thread;
    const sizes = sizesOf(layer);
    const [channels] = sizes;
    const measuresOf = (block: number) => measures + 4 * MEASURES * channels * block;
    this.#thread = thread;
    this.#layer = layer;
    this.#measures = measures;
    this.#coefficients = new Float32Array(memory.buffer, batch, COEFFICIENTS * channels);
    const means = batch + 4 * COEFFICIENTS * channels;
    this.#means = new Float64Array(memory.buffer, means, channels);
    this.#sums = new Float64Array(memory.buffer, means + DOUBLE_BYTES * channels, channels);
    this.#inverse = new Float64Array(channels);
    this.#area = volume(layer.inputShape) / channels;
    this.measure = (block) =>
      kernels.batchNormMeasure(
        locate(input, own, block),
        input.rowBytes,
        ...sizes,
        measuresOf(block),
      );
    this.measureGradient = (block) =>
      kernels.batchNormGradientSums(
        locate(input, own, block),
        input.rowBytes,
        locate(gradOutput!, own, block),
        ...sizes,
        batch,
        rectifies,
        measuresOf(block),
      );
  }

  /** Normalises by the running statistics, which no gradient passes. */
  takeRunning(): void {
    const { runningMean, runningVar } = this.#layer;
    const { statistics } = this.#thread;
    this.#coefficients.fill(0);
    this.#normalizeBy(this.#view(statistics, runningMean), this.#view(statistics, runningVar));
  }

  /** Folds the normalisation by what has been taken into the layer before it. */
  foldInto({ parameters: [weight, bias] }: Layer): void {
    const { parameters, foldedParameters } = this.#thread;
    const weights = this.#view(parameters, weight), scaled = this.#view(foldedParameters, weight);
    const biases = bias && this.#view(parameters, bias);
    const shifts = this.#view(foldedParameters, this.#layer.bias);
    const rowSize = weights.length / shifts.length;
    for (let channel = 0; channel < shifts.length; channel++) {
      const first = channel * COEFFICIENTS;
      const [mean, scale, shift] = [MEAN, SCALE, BIAS]
        .map((place) => this.#coefficients[first + place]);
      for (let at = channel * rowSize; at < (channel + 1) * rowSize; at++) {
        scaled[at] = weights[at] * scale;
      }
      shifts[channel] = ((biases?.[channel] ?? 0) - mean) * scale + shift;
    }
  }

  /** Normalises by the batch's mean and variance. */
  normalize(batch: WholeBatch): void {
    const mean = this.#overShards(batch, this.#sum(batch, { second: false }))
      .map((sum) => sum / batch.batchSize);
    const count = batch.batchSize * this.#area;
    const variance = this.#overShards(batch, this.#sumSquares(batch, mean))
      .map((sum) => sum / count);
    this.#normalizeBy(mean, variance);
    if (!batch.isStep) return;
    const { momentum, runningMean, runningVar, batchesTracked } = this.#layer;
    const [means, variances, batches] = [runningMean, runningVar, batchesTracked].map((tensor) =>
      this.#view(this.#thread.statistics, tensor)
    );
    for (const [channel, value] of mean.entries()) {
      const unbiased = variance[channel] * count / (count - 1);
      means[channel] += momentum * (value - means[channel]);
      variances[channel] += momentum * (unbiased - variances[channel]);
    }
    batches[0]++;
  }

  settle(batch: WholeBatch): void {
    const { weight, bias } = this.#layer;
    const sums = this.#sum(batch, { second: false });
    const products = this.#sum(batch, { second: true })
      .map((sum, channel) => sum * this.#inverse[channel]);
    this.#view(this.#thread.gradients, bias).set(sums);
    this.#view(this.#thread.gradients, weight).set(products);
    const count = batch.batchSize * this.#area;
    const [allSums, allProducts] = [sums, products].map((own) => this.#overShards(batch, own));
    for (const [channel, inverse] of this.#inverse.entries()) {
      const first = channel * COEFFICIENTS;
      this.#coefficients[first + GRAD_MEAN] = allSums[channel] / count;
      this.#coefficients[first + GRAD_SLOPE] = allProducts[channel] * inverse / count;
    }
  }

  #normalizeBy(mean: Iterable<number>, variance: ArrayLike<number>): void {
    const { weight, bias, eps } = this.#layer;
    const [scale, shift] = [weight, bias].map((tensor) =>
      this.#view(this.#thread.parameters, tensor)
    );
    let channel = 0;
    for (const value of mean) {
      const first = channel * COEFFICIENTS;
      const inverse = 1 / Math.sqrt(variance[channel] + eps);
      this.#inverse[channel] = inverse;
      this.#coefficients[first + MEAN] = value;
      this.#coefficients[first + SCALE] = scale[channel] * inverse;
      this.#coefficients[first + BIAS] = shift[channel];
      channel++;
    }
  }

  /** Of each channel, the sum over this session's images of one of the two numbers measured of each. */
  #sum({ images }: WholeBatch, { second }: { readonly second: boolean }): Float64Array {
    const { kernels } = this.#thread;
    kernels.sumMeasures(this.#measures, images, this.#sums.length, second, this.#sums.byteOffset);
    return this.#sums.slice();
  }

  /** Of each channel, the sum over this session's images of the squares of the distances from a mean. */
  #sumSquares({ images }: WholeBatch, mean: Float64Array): Float64Array {
    const { byteOffset, length } = this.#sums;
    const { kernels } = this.#thread;
    this.#means.set(mean);
    const means = this.#means.byteOffset;
    kernels.sumSquares(this.#measures, images, length, this.#area, means, byteOffset);
    return this.#sums.slice();
  }

  #overShards({ shard }: WholeBatch, values: Float64Array): Float64Array {
    if (shard?.sum === undefined) return values;
    const sums = Float32Array.from(values);
    shard.sum(sums);
    return Float64Array.from(sums);
  }

  #view(vector: number, { offset, size }: PlacedTensor): Float32Array {
    return new Float32Array(this.#thread.memory.buffer, vector + 4 * offset, size);
  }
}
