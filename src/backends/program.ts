/** Who reads what in a model, and what must wait for whom: from this engines tell which memory may be used again, which layers one
 * kernel may carry out together, and which gradients are needed, and are sums.
 */

import { wholeBatchOf } from "../nn/layers/table.ts";
import { IMAGE, type Layer, type Model } from "../nn/sequential.ts";

/** Some of a row, from `start` to before `end`. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** Cuts the layers of a training step into phases, that is layers which a block of images can pass without
 * knowing the rest of the batch, in the order of the forward pass; going backward they are taken in
 * reverse.
 *
 * Between two phases the whole batch meets: a layer that must know all of its input begins a phase, with
 * others of that kind whose inputs are made before it. Going backward, such a layer is the last of its
 * phase, and what it gives waits for all of the batch as well. The image is made by the first phase, which
 * may have no layer. A model without such layers is one phase, and so is every model outside training.
 */
export function phasesOf(layers: readonly Layer[]): readonly Range[] {
  const starts = [0];
  let isBeginning = false;
  for (const [index, layer] of layers.entries()) {
    const isWhole = wholeBatchOf(layer) > 0;
    const start = starts[starts.length - 1];
    // The image is made by the phase before the second.
    const isReady = layer.inputs.every((input) => input < start && starts.length > 1);
    if (isWhole && !(isBeginning && isReady)) starts.push(index);
    isBeginning = isWhole;
  }
  return starts.map((start, phase) => ({ start, end: starts[phase + 1] ?? layers.length }));
}

/** Parts of the flat parameter vector that training changes, from `start` to before `end`, as few as there
 * can be: what is frozen lies between. */
export function trainedRanges({ parameters }: Pick<Model, "parameters">): readonly Range[] {
  const ranges: { start: number; end: number }[] = [];
  for (const { trained, offset, size } of parameters) {
    const last = ranges.at(-1);
    if (!trained) continue;
    if (last?.end === offset) last.end += size;
    else ranges.push({ start: offset, end: offset + size });
  }
  return ranges;
}

/** Layers, or an engine's operations, seen from their tensors: tensor `index` is the output of number
 * `index`, IMAGE the image. */
export class Program {
  readonly #readers = new Map<number, number[]>();
  readonly #trained: boolean[] = [];

  /** Walks them in order. */
  constructor(layers: readonly Pick<Layer, "inputs" | "parameters">[]) {
    for (const [index, { inputs, parameters }] of layers.entries()) {
      for (const input of inputs) {
        const readers = this.#readers.get(input);
        if (readers === undefined) this.#readers.set(input, [index]);
        else readers.push(index);
      }
      this.#trained.push(
        parameters.some(({ trained }) => trained) ||
          inputs.some((input) => this.needsGradient(input)),
      );
    }
  }

  /** The layers that read a tensor, in order. */
  readersOf(tensor: number): readonly number[] {
    return this.#readers.get(tensor) ?? [];
  }

  /** Whether a layer alone reads a tensor, so that it may do with it what it likes. */
  isOnlyReader(layer: number, tensor: number): boolean {
    const readers = this.readersOf(tensor);
    return readers.length === 1 && readers[0] === layer;
  }

  /** Whether a tensor's gradient is needed: there are parameters at or before the layer that makes it. */
  needsGradient(tensor: number): boolean {
    return tensor !== IMAGE && this.#trained[tensor];
  }

  /** Whether a layer is the first, going backward, to give a tensor a gradient; others add to it. */
  givesFirst(layer: number, tensor: number): boolean {
    return this.readersOf(tensor).at(-1) === layer;
  }
}
