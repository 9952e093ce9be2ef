/** Checks that every session makes before it believes its caller. */

import type { LabeledImages } from "../data/dataset.ts";
import { type Model, showShape } from "../nn/sequential.ts";
import type { OptimizerSpec, TrainingState, TrainRequest } from "./backend.ts";

/** Number of slots that an optimiser keeps beside the parameters. */
export function slotCount(optimizer: OptimizerSpec): number {
  if (optimizer.type === "adam") return 2;
  return optimizer.momentum === 0 ? 0 : 1;
}

/** Checks that images fit a model.
 *
 * @throws {TypeError} If the images' shape is not the model's, or arrays and count disagree.
 * @throws {RangeError} If a label is not a class of the model.
 */
export function checkImages(model: Model, data: LabeledImages): void {
  const expected = model.inputShape;
  if (data.shape.some((size, axis) => size !== expected[axis])) {
    throw new TypeError(
      `Cannot run model "${model.name}": its images must be ${showShape(expected)}, ` +
        `found ${showShape(data.shape)}`,
    );
  }
  const pixels = data.count * expected[0] * expected[1] * expected[2];
  if (data.images.length !== pixels || data.labels.length !== data.count) {
    throw new TypeError(
      `Cannot use ${data.count} images: expected ${pixels} pixels and ${data.count} labels, ` +
        `found ${data.images.length} and ${data.labels.length}`,
    );
  }
  const wrong = data.labels.findIndex((label) => label >= model.classCount);
  if (wrong >= 0) {
    throw new RangeError(
      `Cannot use label ${data.labels[wrong]} of image ${wrong}: model "${model.name}" has ` +
        `${model.classCount} classes`,
    );
  }
}

/** Checks that a state fits a model and an optimiser.
 *
 * @throws {TypeError} If a vector has another length than the model's parameters, or there are too
 * many slots.
 */
export function checkState(model: Model, optimizer: OptimizerSpec, state: TrainingState): void {
  for (const vector of [state.parameters, ...state.slots]) {
    if (vector.length !== model.parameterCount) {
      throw new TypeError(
        `Cannot load parameters into model "${model.name}": expected ${model.parameterCount} ` +
          `numbers, found ${vector.length}`,
      );
    }
  }
  const slots = slotCount(optimizer);
  if (state.slots.length > slots) {
    throw new TypeError(
      `Cannot load the optimiser's state: ${optimizer.type} keeps ${slots} vectors, ` +
        `found ${state.slots.length}`,
    );
  }
}

/** Checks a request and returns its number of steps.
 *
 * @throws {RangeError} If the batch is larger than the session's, an index is not an image, or the
 * learning rates are not one a step.
 */
export function checkRequest(
  request: TrainRequest,
  { count, maxBatchSize }: { count: number; maxBatchSize: number },
): number {
  const { order, batchSize, learningRates } = request;
  if (!Number.isInteger(batchSize) || batchSize < 1 || batchSize > maxBatchSize) {
    throw new RangeError(
      `Cannot train with batch size ${batchSize}: the session was opened for 1..${maxBatchSize}`,
    );
  }
  const steps = Math.ceil(order.length / batchSize);
  if (learningRates.length !== steps) {
    throw new RangeError(
      `Cannot train ${steps} steps: expected as many learning rates, found ${learningRates.length}`,
    );
  }
  checkIndices(order, count);
  return steps;
}

/** Checks that every index names an image.
 *
 * @throws {RangeError} If one does not.
 */
export function checkIndices(indices: Uint32Array, count: number): void {
  const wrong = indices.find((index) => index >= count);
  if (wrong !== undefined) {
    throw new RangeError(`Cannot use image ${wrong}: the data set has ${count}`);
  }
}

/** Checks that images were attached to the session that is to use them.
 *
 * @throws {TypeError} If they were not.
 */
export function requireAttached(isAttached: boolean): void {
  if (!isAttached) {
    throw new TypeError("Cannot use images that are not attached: call session.attach(data) first");
  }
}
