/** What the reference computes of a layer. */

import type { Layer, Parameter } from "../../../nn/sequential.ts";

/** What a layer's forward pass reads. */
export interface ForwardTensors {
  /** In the order of `layer.inputs`, each a whole batch. */
  readonly inputs: readonly Float64Array[];
  /** Of the whole model. */
  readonly parameters: Float64Array;
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
export function viewOf({ offset, size }: Parameter, flat: Float64Array): Float64Array {
  return flat.subarray(offset, offset + size);
}
