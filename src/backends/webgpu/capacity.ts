/** How much fits: images of a chunk, copies of gradients, rounds of loops. */

import type { Model } from "../../nn/sequential.ts";
import { wholeBatchOf } from "../../nn/layers/table.ts";
import type { Gpu } from "./gpu.ts";
import type { PartialsPlace } from "./kernels/conv2d_weight_gradient.ts";
import type { UpdateRange } from "./kernels/update_parameters.ts";
import { copiesOf, operationsOf } from "./layers/table.ts";
import { Program } from "../program.ts";
import type { Mode, Operation } from "./operations.ts";
import type { ParameterLayout } from "./parameter_layout.ts";
import { largestTensor } from "./placement.ts";
import { roundUp } from "./tensors.ts";
import { MOST_ROUNDS, type Tuning } from "./tuning.ts";

/** Images of a chunk outside training, and most of any, as far as bindings allow. */
const EVALUATED = 256;
const LARGEST_CAPACITY = 1024;

/** Refuses layers whose loops a software adapter would not finish; see MOST_ROUNDS.
 *
 * @throws {RangeError} If there is one.
 */
export function checkRounds({ software, name }: Gpu, model: Model): void {
  for (const operation of software ? operationsOf(model, "train") : []) {
    if (operation.rounds > 2 * MOST_ROUNDS) {
      throw new RangeError(
        `Cannot train model "${model.name}": layer ${operation.layer.name} is too large for ` +
          `${name}; use the wasm backend`,
      );
    }
  }
}

/** The most images that every tensor can hold within what can be bound: in training a batch, outside it
 * at least 256, and at most 1024, unless a layer must know the whole batch.
 *
 * @throws {RangeError} If that is not even one group, or if the parameters are too many.
 */
export function chooseCapacity(
  { device, name }: Gpu,
  model: Model,
  { mode, layout, batchSize, tuning }: {
    readonly mode: Mode;
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
  const operations = operationsOf(model, mode);
  const sums = operations.map(({ imageSums }) => imageSums(tuning));
  const largest = Math.max(largestTensor(operations, new Program(operations)), ...sums);
  const fitting = Math.min(maxStorageBufferBindingSize, maxBufferSize) / (4 * largest);
  const isWhole = mode === "train" && knowsBatch(model);
  const wanted = mode === "train" ? batchSize : Math.max(batchSize, EVALUATED);
  const most = isWhole ? Infinity : LARGEST_CAPACITY;
  let capacity = Math.min(
    roundUp(Math.min(wanted, most), group),
    Math.floor(fitting / group) * group,
  );
  const partialBytes = () => {
    const ends = layPartials(operations, layout, { tuning, capacity }).map(({ end }) => end);
    return 4 * Math.max(...ends);
  };
  while (mode === "train" && capacity > group && partialBytes() > maxStorageBufferBindingSize) {
    capacity = roundUp(capacity / 2, group);
  }
  if (capacity > 0) return capacity;
  throw new RangeError(
    `Cannot train model "${model.name}": ${group} images of its largest layer must fit the ` +
      `${maxStorageBufferBindingSize} bytes that ${name} can bind`,
  );
}

/** Whether a layer must know a whole batch, in training. */
export function knowsBatch({ layers }: Model): boolean {
  return layers.some((layer) => wholeBatchOf(layer) > 0);
}

/** An operation's partial gradients, and the parameters that they are of. */
export interface Partials {
  readonly operation: Operation;
  readonly range: UpdateRange;
  readonly place: Omit<PartialsPlace, "buffer">;
  /** Where the next one of its buffer may start. */
  readonly end: number;
}

/** Lays out the copies of the partial gradients of every operation that is trained.
 *
 * They take turns in several buffers, so that kernels that fill them need not wait for each other; what one
 * kernel fills, of the joined operations at the end, is in one.
 */
export function layPartials(
  operations: readonly Operation[],
  { places }: ParameterLayout,
  { buffers = 1, joinedCount = 0, ...context }: {
    readonly tuning: Tuning;
    readonly capacity: number;
    readonly buffers?: number;
    readonly joinedCount?: number;
  },
): Partials[] {
  const starts = Array.from({ length: buffers }, () => 0);
  const isTrained = ({ parameters }: Operation) => parameters.some(({ trained }) => trained);
  const alone = operations.slice(0, operations.length - joinedCount).filter(isTrained).length;
  return operations.filter(isTrained).map((operation, index) => {
    const { parameters } = operation;
    const buffer = Math.min(index, alone) % buffers;
    const start = starts[buffer];
    const [weight, bias] = parameters.map((parameter) => places.get(parameter)!);
    const { end } = bias ?? weight;
    const stride = end - weight.offset;
    const { wgsl, most } = copiesOf(operation, context);
    const decaying = parameters.filter(({ decays }) => decays).length;
    const place = { start, stride, bias: weight.end - weight.offset };
    const range: UpdateRange = {
      start: weight.offset / 4,
      bias: [weight.offset, weight.end, end][decaying] / 4,
      end: end / 4,
      buffer,
      partials: start / 4,
      copies: wgsl,
    };
    starts[buffer] += most * stride;
    return { operation, range, place, end: starts[buffer] };
  });
}
