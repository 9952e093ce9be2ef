/** Batch normalisation: the one kind of layer that must know a whole batch. */

import {
  type LayerDefinition,
  type Named,
  type Parameter,
  type Placed,
  requireImage,
  type Shape,
  showShape,
  type Statistic,
} from "./layer.ts";

/** Normalisation by a batch's mean and variance; see {@linkcode batchNorm2d}, {@linkcode batchNorm1d}. */
export interface BatchNormSpec extends Named<"batchNorm2d" | "batchNorm1d"> {
  /** Share of a batch's statistics in the running ones, in (0, 1]. */
  readonly momentum: number;
  /** What is added to the variance, in (0, 1]. */
  readonly eps: number;
}

/** A batch norm that knows its input. */
export interface BatchNormLayer extends Placed<Shape, Shape> {
  /** Of images or of vectors. */
  readonly type: BatchNormSpec["type"];
  /** Share of a batch's statistics in the running ones. */
  readonly momentum: number;
  /** What is added to the variance. */
  readonly eps: number;
  /** What normalised values are multiplied by, and what is added then; [channels]. */
  readonly weight: Parameter;
  /** The latter. */
  readonly bias: Parameter;
  /** What stands for the batch's statistics where a model is not trained; [channels]. */
  readonly runningMean: Statistic;
  /** Of unbiased variances: sums of squares over one less than their number. */
  readonly runningVar: Statistic;
  /** Batches that went into them; one number. */
  readonly batchesTracked: Statistic;
  /** These three. */
  readonly statistics: readonly Statistic[];
  /** Whether it is frozen: it takes its running statistics in training too, and leaves them as they are. */
  readonly frozen: boolean;
}

/** Options of {@linkcode batchNorm2d} and {@linkcode batchNorm1d}. */
export interface BatchNormOptions {
  /** Name of the layer and prefix of its tensors; default: its index in the model. */
  readonly name?: string;
  /** Share of a batch's statistics in the running ones, above 0, at most 1; default 0.1. */
  readonly momentum?: number;
  /** What is added to the variance before its root is taken, above 0, at most 1; default 1e-5. */
  readonly eps?: number;
}

/** Normalises each channel by the mean and variance of all its pixels of all images of the batch, then
 * scales and shifts it: (x - mean) / sqrt(variance + eps) * weight + bias.
 *
 * The variance is the mean of squares; running statistics take the unbiased one, as PyTorch's do, and
 * stand for the batch's own in evaluation and prediction. Shapes: [channels, height, width], kept;
 * weight, bias, running_mean, running_var [channels]. A batch in training must hold two values of a
 * channel.
 * Source: Ioffe and Szegedy 2015; PyTorch `nn.BatchNorm2d`.
 *
 * @example Behind a convolution, which needs no bias then
 * ```ts
 * import { batchNorm2d, conv2d, flatten, linear, relu, sequential } from "@lenet/lenet";
 *
 * const maps = [conv2d({ outChannels: 6, kernelSize: 5, bias: false }), batchNorm2d(), relu()];
 * const model = sequential([...maps, flatten(), linear({ outFeatures: 10 })]);
 * if (model.statistics[0].name !== "1.running_mean") throw new Error("expected 1.running_mean");
 * ```
 */
export function batchNorm2d(options: BatchNormOptions = {}): BatchNormSpec {
  return batchNorm("batchNorm2d", options);
}

/** As {@linkcode batchNorm2d}, of vectors: each feature by its values in all images of the batch.
 *
 * @example Between linear layers
 * ```ts
 * import { batchNorm1d, flatten, linear, relu, sequential } from "@lenet/lenet";
 *
 * const hidden = [flatten(), linear({ outFeatures: 64 }), batchNorm1d(), relu()];
 * const model = sequential([...hidden, linear({ outFeatures: 10 })]);
 * if (model.statisticCount !== 64 + 64 + 1) throw new Error("expected 129 numbers");
 * ```
 */
export function batchNorm1d(options: BatchNormOptions = {}): BatchNormSpec {
  return batchNorm("batchNorm1d", options);
}

function batchNorm(
  type: BatchNormSpec["type"],
  { name, momentum = 0.1, eps = 1e-5 }: BatchNormOptions,
): BatchNormSpec {
  return { type, ...(name !== undefined && { name }), momentum, eps };
}

/** See {@linkcode batchNorm2d} and {@linkcode batchNorm1d}. */
export const BATCH_NORM: LayerDefinition<BatchNormSpec, BatchNormLayer> = {
  fields: {
    momentum: { type: "number", minimum: 0, open: true, maximum: 1 },
    eps: { type: "number", minimum: 0, open: true, maximum: 1 },
  },
  place({ type, momentum, eps }, at) {
    const { name, inputs, inputShape } = at;
    if (type === "batchNorm2d") requireImage(inputShape, `${type} "${name}"`);
    else if (inputShape.length !== 1) {
      throw new TypeError(
        `Cannot add ${type} "${name}": its input must be a vector, found ` +
          `${showShape(inputShape)}; use batchNorm2d, or add flatten() before it`,
      );
    }
    const shape = [inputShape[0]];
    const fan = { fanIn: 1, fanOut: 1, decays: false };
    const weight = at.parameter("weight", { shape, kind: "scale", ...fan });
    const bias = at.parameter("bias", { shape, kind: "shift", ...fan });
    const runningMean = at.statistic("running_mean", { shape, initial: 0 });
    const runningVar = at.statistic("running_var", { shape, initial: 1 });
    const batchesTracked = at.statistic("num_batches_tracked", { shape: [], initial: 0 });
    return {
      type,
      ...{ name, inputs, inputShape, outputShape: inputShape, momentum, eps },
      ...{ weight, bias, parameters: [weight, bias], frozen: !weight.trained },
      ...{ runningMean, runningVar, batchesTracked },
      statistics: [runningMean, runningVar, batchesTracked],
    };
  },
  cost: () => ({ macs: 0 }),
  wholeBatch({ frozen, inputShape: [, height = 1, width = 1] }) {
    if (frozen) return 0;
    return height * width > 1 ? 1 : 2;
  },
};
