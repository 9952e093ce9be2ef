/** Batches as TensorFlow.js tensors. */

import * as tf from "@tensorflow/tfjs";
import type { LabeledImages } from "../../data/dataset.ts";
import type { Model } from "../../nn/sequential.ts";

/** One batch on the device; the caller disposes its tensors. */
export interface BatchTensors {
  /** [count, height, width, channels], pixels in [0, 1]. */
  readonly images: tf.Tensor4D;
  /** [count, classCount], one-hot. */
  readonly labels: tf.Tensor2D;
  readonly count: number;
}

/** Copies the chosen images and labels to the active backend, channels last. */
export function batchTensors(
  model: Model,
  data: LabeledImages,
  indices: Uint32Array,
): BatchTensors {
  const [channels, height, width] = model.inputShape;
  const area = height * width;
  const volume = channels * area;
  const count = indices.length;
  const pixels = new Float32Array(count * volume);
  const oneHot = new Float32Array(count * model.classCount);
  for (let n = 0; n < count; n++) {
    const source = indices[n] * volume;
    for (let channel = 0; channel < channels; channel++) {
      for (let position = 0; position < area; position++) {
        pixels[n * volume + position * channels + channel] =
          data.images[source + channel * area + position] / 255;
      }
    }
    oneHot[n * model.classCount + data.labels[indices[n]]] = 1;
  }
  return {
    images: tf.tensor4d(pixels, [count, height, width, channels]),
    labels: tf.tensor2d(oneHot, [count, model.classCount]),
    count,
  };
}
