/** A model as TensorFlow.js operations, channels last: one entry a kind of layer. */

import * as tf from "./tfjs.ts";
import { dropoutRule } from "../../nn/layers/dropout.ts";
import type { Pair } from "../../nn/layers/layer.ts";
import type { LayerOf } from "../../nn/layers/table.ts";
import type {
  BatchNormLayer,
  Conv2dLayer,
  DropoutLayer,
  Layer,
  LayerKind,
  Pool2dLayer,
} from "../../nn/sequential.ts";
import { drawAt, streamKey } from "../../random.ts";

/** How a batch passes, beside its images. */
export interface BatchContext {
  /** Training by the batch's own statistics and with dropout, or by running ones and without. */
  readonly training: boolean;
  /** Whether running statistics move. */
  readonly isStep: boolean;
  /** What dropout follows from, with the images' indices. */
  readonly seed: number;
  readonly step: number;
  readonly indices: Uint32Array;
}

/** What a layer reads. */
export interface LayerTensors {
  readonly inputs: readonly tf.Tensor[];
  /** Its own. */
  readonly parameters: readonly tf.Variable[];
  readonly statistics: readonly tf.Variable[];
  readonly batch: BatchContext;
  /** Its place in the model. */
  readonly index: number;
}

/** A kind of layer in operations whose gradients TensorFlow.js knows. */
interface LayerOperations<Kind extends Layer> {
  apply(layer: Kind, tensors: LayerTensors): tf.Tensor;
}

const TABLE: { readonly [Kind in LayerKind]: LayerOperations<LayerOf<Kind>> } = {
  conv2d: { apply: convolve },
  avgPool2d: { apply: average },
  maxPool2d: {
    apply: ({ poolSize, stride, padding }, { inputs: [input] }) =>
      tf.maxPool(pad(input, padding, LOWEST), pair(poolSize), pair(stride), "valid"),
  },
  globalAvgPool2d: { apply: average },
  sigmoid: { apply: (_layer, { inputs: [input] }) => input.sigmoid() },
  tanh: { apply: (_layer, { inputs: [input] }) => input.tanh() },
  relu: { apply: (_layer, { inputs: [input] }) => input.relu() },
  leakyRelu: { apply: ({ negativeSlope }, { inputs: [input] }) => input.leakyRelu(negativeSlope) },
  batchNorm2d: { apply: normalize },
  batchNorm1d: { apply: normalize },
  dropout: { apply: drop },
  flatten: {
    apply({ outputShape: [features] }, { inputs: [input] }) {
      const channelsFirst = input.rank === 4 ? input.transpose([0, 3, 1, 2]) : input;
      return channelsFirst.reshape([-1, features]);
    },
  },
  linear: {
    apply: (_layer, { inputs: [input], parameters: [weight, bias] }) =>
      tf.fused.matMul({ a: input as tf.Tensor2D, b: weight as tf.Tensor as tf.Tensor2D, bias }),
  },
  residual: { apply: (_layer, { inputs: [body, shortcut] }) => body.add(shortcut) },
};

/** What no maximum takes; a GPU may not know infinity. */
const LOWEST = -3.4028234663852886e38;

function pair([height, width]: Pair): [number, number] {
  return [height, width];
}

function pad(input: tf.Tensor, [rows, columns]: Pair, value = 0): tf.Tensor4D {
  const x = input as tf.Tensor4D;
  return rows + columns === 0
    ? x
    : x.pad([[0, 0], [rows, rows], [columns, columns], [0, 0]], value);
}

function average({ poolSize, stride, padding }: Pool2dLayer, { inputs: [input] }: LayerTensors) {
  return tf.avgPool(pad(input, padding), pair(poolSize), pair(stride), "valid");
}

function convolve(
  { kernelSize, stride, padding, groups }: Conv2dLayer,
  { inputs: [input], parameters: [filter, bias] }: LayerTensors,
): tf.Tensor {
  const weights = filter as tf.Tensor as tf.Tensor4D;
  const strides = pair(stride);
  if (groups === 1) {
    const isSame = stride.every((step) => step === 1) &&
      kernelSize.every((size, axis) => size === 2 * padding[axis] + 1);
    const x = isSame ? input as tf.Tensor4D : pad(input, padding);
    return tf.fused.conv2d({ x, filter: weights, bias, strides, pad: isSame ? "same" : "valid" });
  }
  const x = pad(input, padding);
  const [height, width, groupIn, outChannels] = weights.shape;
  const multiplier = outChannels / groups;
  // Strides that differ have no depthwise operation.
  const output = groupIn === 1 && strides[0] === strides[1]
    ? tf.depthwiseConv2d(x, weights.reshape([height, width, groups, multiplier]), strides, "valid")
    : tf.concat(
      tf.split(x, groups, 3).map((part, group) =>
        tf.conv2d(
          part as tf.Tensor4D,
          weights.slice([0, 0, 0, group * multiplier], [-1, -1, -1, multiplier]),
          strides,
          "valid",
        )
      ),
      3,
    );
  return bias ? output.add(bias) : output;
}

/** Channels come last, so that statistics are over all other axes. */
function normalize(
  layer: BatchNormLayer,
  { inputs: [input], parameters: [weight, bias], statistics, batch }: LayerTensors,
): tf.Tensor {
  const [runningMean, runningVar, batches] = statistics;
  const isMeasured = batch.training && !layer.frozen;
  const { mean, variance } = isMeasured
    ? tf.moments(input, [...input.shape.keys()].slice(0, -1))
    : { mean: runningMean, variance: runningVar };
  if (isMeasured && batch.isStep) {
    const count = input.size / mean.size;
    const moved = (running: tf.Tensor, value: tf.Tensor) =>
      running.add(value.sub(running).mul(layer.momentum));
    runningMean.assign(moved(runningMean, mean));
    runningVar.assign(moved(runningVar, variance.mul(count / (count - 1))));
    batches.assign(batches.add(1));
  }
  return input.sub(mean).mul(variance.add(layer.eps).rsqrt()).mul(weight).add(bias);
}

function drop(
  layer: DropoutLayer,
  { inputs: [input], batch: { training, seed, step, indices }, index }: LayerTensors,
): tf.Tensor {
  if (!training) return input;
  const { stream, threshold, scale } = dropoutRule(layer, index);
  const key = streamKey(seed, stream);
  const [channels, height = 1, width = 1] = layer.inputShape;
  const area = height * width;
  const size = channels * area;
  const mask = new Float32Array(input.size);
  for (const [n, image] of indices.entries()) {
    for (let unit = 0; unit < size; unit++) {
      const place = (unit % area) * channels + Math.floor(unit / area);
      const isKept = drawAt(key, { step, image, unit }) >= threshold;
      mask[n * size + place] = isKept ? scale : 0;
    }
  }
  return input.mul(tf.tensor(mask, input.shape));
}

/** A layer's operations. */
export function operationsOf({ type }: Layer): LayerOperations<Layer> {
  return TABLE[type];
}
