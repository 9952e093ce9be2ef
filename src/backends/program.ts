/** Who reads what in a model: from this engines tell which memory may be used again, which layers one
 * kernel may carry out together, and which gradients are needed, and are sums.
 */

import { IMAGE, type Layer } from "../nn/sequential.ts";

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
        parameters.length > 0 || inputs.some((input) => this.needsGradient(input)),
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
