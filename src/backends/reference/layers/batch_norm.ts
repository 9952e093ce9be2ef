/** Batch normalisation, forward and backward, in float64 plain loops. */

import type { BatchNormLayer } from "../../../nn/sequential.ts";
import { volume } from "../../../nn/layers/layer.ts";
import { type BatchContext, type LayerMath, viewOf } from "./layer.ts";

/** Each channel by its mean and variance, scaled and shifted.
 *
 * Shapes: input [batchSize, channels, height, width] or [batchSize, channels], kept.
 */
export const batchNorm: LayerMath<BatchNormLayer> = {
  forward(layer, { inputs: [input], parameters, batch }) {
    const [weight, bias] = [viewOf(layer.weight, parameters), viewOf(layer.bias, parameters)];
    const moments = momentsOf(layer, input, batch);
    if (moments.count > 0) track(layer, moments, batch.statistics);
    const { mean, variance } = moments;
    return mapChannels(layer, input, (c, x) => {
      const normalized = (x - mean[c]) / Math.sqrt(variance[c] + layer.eps);
      return normalized * weight[c] + bias[c];
    });
  },

  /** With n values a channel and g = gradOutput: gradBias = sum g, gradWeight = sum g normalized,
   * gradInput = weight / deviation (g - gradBias / n - normalized gradWeight / n). */
  backward(layer, { inputs: [input], parameters, gradients, gradOutput, batch }) {
    const weight = viewOf(layer.weight, parameters);
    const { mean, variance, count } = momentsOf(layer, input, batch);
    const { channels, channelOf } = walk(layer);
    const normalized = mapChannels(layer, input, (c, x) => {
      return (x - mean[c]) / Math.sqrt(variance[c] + layer.eps);
    });
    const sums = new Float64Array(2 * channels);
    for (const [index, grad] of gradOutput.entries()) {
      sums[channelOf(index)] += grad;
      sums[channels + channelOf(index)] += grad * normalized[index];
    }
    if (!layer.frozen) {
      const own = [viewOf(layer.bias, gradients), viewOf(layer.weight, gradients)];
      for (const [index, sum] of sums.entries()) {
        own[Math.floor(index / channels)][index % channels] += sum;
      }
    }
    // Running statistics do not depend on the input.
    if (count > 0) batch.sum(sums);
    else sums.fill(0);
    const gradInput = mapChannels(layer, gradOutput, (c, grad, index) => {
      const common = (sums[c] + normalized[index] * sums[channels + c]) / Math.max(count, 1);
      return weight[c] / Math.sqrt(variance[c] + layer.eps) * (grad - common);
    });
    return [gradInput];
  },
};

/** What a channel is normalised by. */
interface Moments {
  readonly mean: Float64Array;
  readonly variance: Float64Array;
  /** Values of a channel in the whole batch; 0 for running statistics, which are of none. */
  readonly count: number;
}

/** The whole batch's mean and variance of each channel in training, else the running ones. */
function momentsOf(layer: BatchNormLayer, input: Float64Array, batch: BatchContext): Moments {
  if (batch.mode === "eval" || layer.frozen) {
    const [mean, variance] = [layer.runningMean, layer.runningVar];
    return {
      mean: viewOf(mean, batch.statistics),
      variance: viewOf(variance, batch.statistics),
      count: 0,
    };
  }
  const { channels, area, channelOf } = walk(layer);
  const count = batch.batchSize * area;
  const average = (value: (c: number, x: number) => number) => {
    const sums = new Float64Array(channels);
    for (const [index, x] of input.entries()) sums[channelOf(index)] += value(channelOf(index), x);
    batch.sum(sums);
    return sums.map((sum) => sum / count);
  };
  const mean = average((_, x) => x);
  return { mean, variance: average((c, x) => (x - mean[c]) ** 2), count };
}

/** Moves the running statistics towards a batch's. */
function track(layer: BatchNormLayer, moments: Moments, statistics: Float64Array): void {
  const { momentum, runningMean, runningVar, batchesTracked } = layer;
  const { mean, variance, count } = moments;
  const [means, variances] = [viewOf(runningMean, statistics), viewOf(runningVar, statistics)];
  for (let c = 0; c < means.length; c++) {
    const unbiased = variance[c] * count / (count - 1);
    means[c] += momentum * (mean[c] - means[c]);
    variances[c] += momentum * (unbiased - variances[c]);
  }
  viewOf(batchesTracked, statistics)[0]++;
}

function walk({ inputShape }: BatchNormLayer) {
  const [channels] = inputShape;
  const area = volume(inputShape) / channels;
  return { channels, area, channelOf: (index: number) => Math.floor(index / area) % channels };
}

function mapChannels(
  layer: BatchNormLayer,
  values: Float64Array,
  change: (channel: number, value: number, index: number) => number,
): Float64Array {
  const { channelOf } = walk(layer);
  return values.map((value, index) => change(channelOf(index), value, index));
}
