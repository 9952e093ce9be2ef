/** What the reference computes of a layer. */

import type { Layer, PlacedTensor } from "../../../nn/sequential.ts";

/** How a batch passes, beside its images. */
export interface BatchContext {
  /** Training, by the batch's own statistics and with dropout, or by running ones and without. */
  readonly mode: "train" | "eval";
  /** Images of the whole batch, of all shards. */
  readonly batchSize: number;
  /** Of the whole model; training changes them. */
  readonly statistics: Float64Array;
  /** What dropout follows from, with the images' indices. */
  readonly seed: number;
  readonly step: number;
  readonly indices: Uint32Array;
  /** Replaces numbers by their sums over all shards. */
  sum(values: Float64Array): void;
}

/** What a layer's forward pass reads. */
export interface ForwardTensors {
  /** In the order of `layer.inputs`, each of all images of this shard's part of the batch. */
  readonly inputs: readonly Float64Array[];
  /** Of the whole model. */
  readonly parameters: Float64Array;
  readonly batch: BatchContext;
  /** The layer's place in the model. */
  readonly index: number;
}

/** What a layer's backward pass reads, and adds to. */
export interface BackwardTensors extends ForwardTensors {
  readonly output: Float64Array;
  readonly gradOutput: Float64Array;
  /** Of the whole model's parameters. */
  readonly gradients: Float64Array;
}

/** A kind of layer, forward and backward, for a whole batch. */
export interface LayerMath<Kind extends Layer> {
  forward(layer: Kind, tensors: ForwardTensors): Float64Array;
  /** Adds the gradients of the parameters, and returns the gradient of each input. */
  backward(layer: Kind, tensors: BackwardTensors): Float64Array[];
}

/** A tensor's part of a flat vector. */
export function viewOf({ offset, size }: PlacedTensor, flat: Float64Array): Float64Array {
  return flat.subarray(offset, offset + size);
}
