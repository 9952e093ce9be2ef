/** How much fits: images of a chunk, copies of gradients, rounds of loops. */

import type { Model } from "../../nn/sequential.ts";
import type { Gpu } from "./gpu.ts";
import { MOST_ROUNDS } from "./kernel.ts";
import { type PartialsPlace, weightGradientTiles } from "./kernels/conv2d_weight_gradient.ts";
import { linearGradientImages } from "./kernels/linear_weight_gradient.ts";
import type { UpdateRange } from "./kernels/update_parameters.ts";
import { Program } from "../program.ts";
import type { Operation } from "./operations.ts";
import type { ParameterLayout } from "./parameter_layout.ts";
import { largestTensor } from "./placement.ts";
import { roundUp } from "./tensors.ts";
import type { Tuning } from "./tuning.ts";

/** Chunks hold at least and at most this many images, as far as bindings allow. */
const SMALLEST_CAPACITY = 256;
const LARGEST_CAPACITY = 1024;

/** Refuses layers whose loops a software adapter would not finish; see MOST_ROUNDS.
 *
 * @throws {RangeError} If there is one.
 */
export function checkRounds(
  { software, name }: Gpu,
  model: Model,
  operations: readonly Operation[],
): void {
  for (const operation of operations) {
    if (!software || operation.type !== "convolve") continue;
    const { layer, input: [inChannels], maps: [outChannels], kernelSize } = operation;
    const forward = inChannels * (kernelSize[0] + 1);
    const backward = outChannels / 4 * (kernelSize[0] + 1) * (kernelSize[1] + 1);
    if (Math.max(forward, backward) > 2 * MOST_ROUNDS) {
      throw new RangeError(
        `Cannot train model "${model.name}": layer ${layer.name} is too large for ${name}; ` +
          `use the wasm backend`,
      );
    }
  }
}

/** The most images that every tensor can hold within what can be bound.
 *
 * @throws {RangeError} If that is not even one group, or if the parameters are too many.
 */
export function chooseCapacity(
  { device, name }: Gpu,
  model: Model,
  { operations, layout, batchSize, tuning }: {
    readonly operations: readonly Operation[];
    readonly layout: ParameterLayout;
    readonly batchSize: number;
    readonly tuning: Tuning;
  },
): number {
  const group = tuning.imagesPerInvocation * tuning.invocations;
  const { maxStorageBufferBindingSize, maxBufferSize } = device.limits;
  if (4 * layout.length > maxStorageBufferBindingSize) {
    throw new RangeError(
      `Cannot train model "${model.name}": its parameters take ${4 * layout.length} bytes, and ` +
        `${name} can bind ${maxStorageBufferBindingSize}; use a smaller model or the wasm backend`,
    );
  }
  const fitting = Math.min(maxStorageBufferBindingSize, maxBufferSize) /
    (4 * largestTensor(operations, new Program(operations)));
  const wanted = Math.min(Math.max(batchSize, SMALLEST_CAPACITY), LARGEST_CAPACITY);
  let capacity = Math.min(roundUp(wanted, group), Math.floor(fitting / group) * group);
  const partialBytes = () =>
    4 * Math.max(...layPartials(operations, layout, { tuning, capacity }).map(({ end }) => end));
  while (capacity > group && partialBytes() > maxStorageBufferBindingSize) {
    capacity = roundUp(capacity / 2, group);
  }
  if (capacity > 0) return capacity;
  throw new RangeError(
    `Cannot train model "${model.name}": ${group} images of its largest layer must fit the ` +
      `${maxStorageBufferBindingSize} bytes that ${name} can bind`,
  );
}

/** Lays out the copies of every layer's partial gradients. */
export function layPartials(
  operations: readonly Operation[],
  layout: ParameterLayout,
  { tuning, capacity }: { readonly tuning: Tuning; readonly capacity: number },
): { readonly range: UpdateRange; readonly place: PartialsPlace; readonly end: number }[] {
  const group = tuning.imagesPerInvocation * tuning.invocations;
  let start = 0;
  return operations.filter((operation) => operation.type === "convolve").map((operation) => {
    const { weightOffset, biasOffset, end } = layout.places.get(operation.layer)!;
    const stride = end - weightOffset;
    const images = linearGradientImages(capacity, tuning);
    const { rowSplits } = weightGradientTiles(operation, tuning);
    const { isLinear } = operation;
    const copies = isLinear
      ? `(chunk.groups * ${group}u + ${images - 1}u) / ${images}u`
      : `chunk.groups * ${rowSplits}u`;
    const mostCopies = isLinear
      ? Math.ceil(capacity / images)
      : Math.ceil(capacity / group) * rowSplits;
    const place: PartialsPlace = { start, stride, bias: biasOffset - weightOffset };
    const range: UpdateRange = {
      start: weightOffset / 4,
      bias: biasOffset / 4,
      end: end / 4,
      partials: start / 4,
      copies,
    };
    start += mostCopies * stride;
    return { range, place, end: start };
  });
}
