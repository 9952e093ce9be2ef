/** Batches as TensorFlow.js tensors. */

import * as tf from "./tfjs.ts";
import type { LabeledImages } from "../../data/dataset.ts";
import type { Model } from "../../nn/sequential.ts";
import { gatherImages, type Gathering } from "../gather.ts";

/** One batch on the device; the caller disposes its tensors. */
export interface BatchTensors {
  /** [count, height, width, channels], standardized. */
  readonly images: tf.Tensor4D;
  /** [count, classCount], one-hot. */
  readonly labels: tf.Tensor2D;
  readonly count: number;
}

/** Copies the chosen images and labels to the active backend, channels last, changed or not. */
export function batchTensors(
  model: Model,
  data: LabeledImages,
  indices: Uint32Array,
  changeOf?: Gathering["changeOf"],
): BatchTensors {
  const [channels, height, width] = model.inputShape;
  const count = indices.length;
  const pixels = new Float32Array(count * channels * height * width);
  gatherImages(model, data.images, pixels, { indices, channelsLast: true, changeOf });
  const oneHot = new Float32Array(count * model.classCount);
  for (let n = 0; n < count; n++) {
    oneHot[n * model.classCount + data.labels[indices[n]]] = 1;
  }
  return {
    images: tf.tensor4d(pixels, [count, height, width, channels]),
    labels: tf.tensor2d(oneHot, [count, model.classCount]),
    count,
  };
}
