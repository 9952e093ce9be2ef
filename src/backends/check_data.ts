/** Checks that every session makes before it believes its caller. */

import {
  checkArray,
  checkFunction,
  checkModelArgument,
  checkName,
  checkNumber,
  checkObject,
  checkSeed,
  showKind,
} from "../check.ts";
import { completeAugmentation } from "../data/augment.ts";
import { lossTargets } from "../nn/loss.ts";
import { coreCount } from "../platform.ts";
import { completeOptimizer, slotCount } from "../nn/optimizers.ts";
import { wholeBatchOf } from "../nn/layers/table.ts";
import { type Model, showShape } from "../nn/sequential.ts";
import type {
  OptimizerSpec,
  SessionOptions,
  TrainingState,
  TrainRequest,
  Unlabeled,
} from "./backend.ts";
import type { EngineOptions } from "./engine.ts";

/** More would take long to start, and none is faster for it. */
const MAX_THREADS = Math.max(16, 4 * coreCount());

/** Largest batch that indices of 32 bits can name. */
const MAX_BATCH_SIZE = 2 ** 32 - 1;

/** Checks what a session is opened with, and fills its gaps.
 *
 * @throws {TypeError} If the model, or an option, is not one.
 * @throws {RangeError} If a number is out of range.
 */
export function checkOptions(model: Model, options: SessionOptions = {}): EngineOptions {
  checkModelArgument(model);
  checkObject("options", options);
  const { batchSize = 256, threads, adapter, shard, seed = 0, clipNorm, exact = false } = options;
  checkSeed(seed);
  const augmentation = completeAugmentation(options.augmentation, model.inputShape);
  checkNumber("batchSize", batchSize, { whole: true, min: 1, max: MAX_BATCH_SIZE });
  if (threads !== undefined) {
    checkNumber("threads", threads, { whole: true, min: 1, max: MAX_THREADS });
  }
  if (typeof exact !== "boolean") {
    throw new TypeError(`Invalid exact: expected true or false, found ${showKind(exact)}`);
  }
  if (clipNorm !== undefined) checkNumber("clipNorm", clipNorm, { above: 0 });
  if (adapter !== undefined) {
    checkObject("adapter", adapter);
    const { powerPreference, deviceIndex } = adapter;
    if (powerPreference !== undefined) {
      checkName("powerPreference", powerPreference, ["high-performance", "low-power"]);
    }
    if (deviceIndex !== undefined) checkNumber("deviceIndex", deviceIndex, { whole: true, min: 0 });
  }
  if (shard !== undefined) {
    checkNumber("shard.count", shard.count, { whole: true, min: 1 });
    checkNumber("shard.index", shard.index, { whole: true, min: 0, max: shard.count - 1 });
  }
  const targets = lossTargets(options.loss, model.classCount);
  const optimizer = completeOptimizer(options.optimizer);
  return { ...options, optimizer, targets, batchSize, seed, augmentation };
}

/** Checks that images fit a model.
 *
 * @param labelled Whether their labels matter.
 * @throws {TypeError} If the images' shape is not the model's, an array is not one of bytes, or arrays
 * and count disagree.
 * @throws {RangeError} If there is no image, or a label is not a class of the model.
 */
export function checkImages(
  model: Model,
  data: Unlabeled,
  labelled = true,
): void {
  checkObject("images", data, "an object with images, labels, count and shape");
  const { images, labels, count, shape } = data;
  const advice = /^a Float/.test(showKind(images))
    ? "; multiply pixels in [0, 1] by 255 and round"
    : "";
  checkArray("images", images, Uint8Array, " of pixels 0..255", advice);
  if (labelled) checkArray("labels", labels, Uint8Array, " of classes, one an image");
  checkNumber("count", count, { whole: true, min: 1 });
  const expected = model.inputShape;
  if (
    !Array.isArray(shape) || shape.length !== 3 ||
    shape.some((size, axis) => size !== expected[axis])
  ) {
    throw new TypeError(
      `Cannot run model "${model.name}": its images must be ${showShape(expected)}, ` +
        `found ${Array.isArray(shape) ? showShape(shape) : showKind(shape)}`,
    );
  }
  const pixels = count * expected[0] * expected[1] * expected[2];
  if (images.length !== pixels || (labelled && labels!.length !== count)) {
    throw new TypeError(
      `Cannot use ${count} images: expected ${pixels} pixels and ${count} labels, ` +
        `found ${images.length} and ${labels?.length ?? "none"}`,
    );
  }
  if (!labelled) return;
  const wrong = labels!.findIndex((label) => label >= model.classCount);
  if (wrong >= 0) {
    throw new RangeError(
      `Cannot use label ${labels![wrong]} of image ${wrong}: model "${model.name}" has ` +
        `${model.classCount} classes`,
    );
  }
}

/** Checks that a state fits a model and an optimiser.
 *
 * @throws {TypeError} If a vector is not one of float32, has another length than the model's
 * parameters or statistics, statistics are missing, or there are too many slots.
 * @throws {RangeError} If a running variance is below 0.
 */
export function checkState(model: Model, optimizer: OptimizerSpec, state: TrainingState): void {
  checkObject("state", state, "an object with parameters, slots and step");
  const { parameters, slots, step } = state;
  if (!Array.isArray(slots)) {
    throw new TypeError(
      `Invalid slots: expected an array of the optimiser's vectors, found ${showKind(slots)}`,
    );
  }
  checkNumber("step", step, { whole: true, min: 0 });
  for (const vector of [parameters, ...slots]) {
    checkArray(vector === parameters ? "parameters" : "slots", vector, Float32Array);
    if (vector.length !== model.parameterCount) {
      throw new TypeError(
        `Cannot load parameters into model "${model.name}": expected ${model.parameterCount} ` +
          `numbers, found ${vector.length}`,
      );
    }
  }
  checkStatistics(model, state.statistics);
  const kept = slotCount(optimizer);
  if (slots.length > kept) {
    throw new TypeError(
      `Cannot load the optimiser's state: ${optimizer.type} keeps ${kept} vectors, ` +
        `found ${slots.length}`,
    );
  }
}

function checkStatistics(model: Model, statistics: Float32Array | undefined): void {
  const { name, statisticCount } = model;
  if (statistics !== undefined) checkArray("statistics", statistics, Float32Array);
  if ((statistics?.length ?? 0) !== statisticCount) {
    throw new TypeError(
      `Cannot load statistics into model "${name}": expected ${statisticCount} numbers, found ` +
        `${statistics?.length ?? "none"}; take those that were trained with its parameters, or ` +
        `initialStatistics(model) before a training`,
    );
  }
  for (const { name: tensor, initial, offset, size } of model.statistics) {
    const values = statistics!.subarray(offset, offset + size);
    // What begins as 1 is a variance.
    if (initial === 0 || values.every((value) => !(value < 0))) continue;
    throw new RangeError(
      `Cannot load statistics into model "${name}": "${tensor}" has one below 0`,
    );
  }
}

/** Checks that no batch is too small for a layer that normalises by it.
 *
 * @throws {RangeError} If one is.
 */
export function checkSmallestBatch(model: Model, count: number, batchSize: number): void {
  const smallestOf = (size: number) => count % size || Math.min(size, count);
  const smallest = smallestOf(batchSize);
  const layer = model.layers.find((layer) => wholeBatchOf(layer) > smallest);
  if (layer === undefined || count === 0) return;
  const needed = wholeBatchOf(layer);
  const sizes = Array.from({ length: count }, (_, n) => n + 1).filter((n) =>
    smallestOf(n) >= needed
  );
  const fitting = sizes.findLast((size) => size <= batchSize) ?? sizes[0];
  throw new RangeError(
    `Cannot train on a batch of ${smallest} image: ${layer.type} "${layer.name}" needs ${needed} or ` +
      `more, a batch size of ${batchSize} leaves ${smallest} of ${count}; ` +
      (fitting === undefined ? `give it ${needed} images` : `choose --batch-size ${fitting}`),
  );
}

/** Checks a request.
 *
 * @throws {TypeError} If an array or a function is of another kind.
 * @throws {RangeError} If the batch is larger than the session's, an index is not an image, or the
 * learning rates are not one a step.
 */
export function checkRequest(
  request: TrainRequest,
  { model, count, maxBatchSize }: { model: Model; count: number; maxBatchSize: number },
): void {
  checkObject("request", request, "an object with order, batchSize and learningRates");
  const { order, batchSize, learningRates, signal, onProgress } = request;
  if (!Number.isInteger(batchSize) || batchSize < 1 || batchSize > maxBatchSize) {
    throw new RangeError(
      `Cannot train with batch size ${showKind(batchSize)}: the session was opened for ` +
        `1..${maxBatchSize}`,
    );
  }
  checkArray("order", order, Uint32Array, " of indices of images");
  checkArray("learningRates", learningRates, Float32Array, ", one number a step");
  checkFunction("onProgress", onProgress);
  if (signal !== undefined) checkObject("signal", signal, "an AbortSignal");
  const steps = Math.ceil(order.length / batchSize);
  if (learningRates.length !== steps) {
    throw new RangeError(
      `Cannot train ${steps} steps: expected as many learning rates, found ${learningRates.length}`,
    );
  }
  checkSmallestBatch(model, order.length, batchSize);
  const missing = learningRates.findIndex(Number.isNaN);
  if (missing >= 0) throw new RangeError(`Invalid learning rate of step ${missing}: found NaN`);
  if (order.length > 0) checkIndices(order, count);
}

/** Checks that every index names an image, and that there is one.
 *
 * @throws {TypeError} If they are not in an array of 32-bit integers.
 * @throws {RangeError} If one does not.
 */
export function checkIndices(indices: Uint32Array, count: number): void {
  checkArray("indices", indices, Uint32Array, " of indices of images");
  if (indices.length === 0) {
    throw new RangeError("Invalid indices: expected one or more, found none");
  }
  const wrong = indices.find((index) => index >= count);
  if (wrong !== undefined) {
    throw new RangeError(`Cannot use image ${wrong}: the data set has ${count}`);
  }
}

/** What a call with images that must be attached says where they are not. */
export function notAttached(): TypeError {
  return new TypeError("Cannot use images that are not attached: call session.attach(data) first");
}
