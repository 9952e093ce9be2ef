/** From layers to operations: which layers one kernel carries out together. */

import type { ActivationLayer } from "../../nn/layers/activation.ts";
import type { Conv2dLayer } from "../../nn/layers/conv2d.ts";
import type { ImageShape, Pair } from "../../nn/layers/layer.ts";
import type { LinearLayer } from "../../nn/layers/linear.ts";
import type { Pool2dLayer } from "../../nn/layers/pool2d.ts";
import { IMAGE, type Layer, type Model, type Parameter } from "../../nn/sequential.ts";
import { Program } from "../program.ts";
import { imageShape } from "./tensors.ts";

/** Kind of an activation, or none. */
export type Activation = ActivationLayer["type"] | "none";

/** Windows of a pooling; `none` is a window of one element. */
export interface Window {
  readonly type: Pool2dLayer["type"] | "none";
  readonly size: Pair;
  readonly stride: Pair;
}

/** What every operation has: what it reads, and the layers joined to its own. */
export interface OperationBase {
  /** The operations that it reads, by their place; IMAGE is the image. */
  readonly inputs: readonly number[];
  /** The layer that it carries out first. */
  readonly layer: Layer;
  readonly parameters: readonly Parameter[];
  readonly input: ImageShape;
  /** Before the joined pooling. */
  readonly maps: ImageShape;
  readonly output: ImageShape;
  /** Rows and columns of zeros that it reads around its input. */
  readonly padding: Pair;
  /** An activation that its kernel carries out as well, and the pooling after that. */
  readonly activation: Activation;
  readonly pool: Window;
}

/** A layer that multiplies. A linear layer is a 1x1 convolution of maps of one pixel. */
export interface ConvolveOperation extends OperationBase {
  readonly type: "convolve";
  readonly layer: Conv2dLayer | LinearLayer;
  readonly isLinear: boolean;
  readonly kernelSize: Pair;
  readonly stride: Pair;
}

/** Pooling that could not be joined to a convolution: its windows overlap, or come first. */
export interface PoolOperation extends OperationBase {
  readonly type: "pool";
  readonly window: Window;
}

/** An activation on its own, or a copy. */
export interface ElementwiseOperation extends OperationBase {
  readonly type: "elementwise";
  readonly function: Activation;
}

/** The sum of two tensors. */
export interface SumOperation extends OperationBase {
  readonly type: "sum";
}

/** One step of the forward pass. */
export type Operation = ConvolveOperation | PoolOperation | ElementwiseOperation | SumOperation;

/** The window of an operation without pooling. */
export const NO_POOL: Window = { type: "none", size: [1, 1], stride: [1, 1] };

/** How a kind of layer becomes operations. */
export interface LayerPlan<Kind extends Layer> {
  /** An operation of its own; undefined for a layer that only sees its input in another shape.
   *
   * @param isShared Whether others read its input too.
   */
  operation(layer: Kind, base: OperationBase, isShared: boolean): Operation | undefined;
  /** The operation before it, which nothing else reads, with the layer joined to it. */
  join?(layer: Kind, before: Operation): Operation | undefined;
}

/** Walks a model's layers and joins those that one kernel carries out. */
export function listOperations(
  { layers }: Model,
  planOf: (layer: Layer) => LayerPlan<Layer>,
): Operation[] {
  const program = new Program(layers);
  const operations: Operation[] = [];
  /** The operation whose output a layer's is. */
  const ends = new Map<number, number>([[IMAGE, IMAGE]]);
  for (const [index, layer] of layers.entries()) {
    const inputs = layer.inputs.map((input) => ends.get(input)!);
    const isShared = !program.isOnlyReader(index, layer.inputs[0]);
    const plan = planOf(layer);
    const [before] = inputs;
    const joined = isShared || before === IMAGE
      ? undefined
      : plan.join?.(layer, operations[before]);
    if (joined !== undefined) operations[before] = joined;
    const added = joined ? undefined : plan.operation(layer, baseOf(layer, inputs), isShared);
    ends.set(index, added ? operations.push(added) - 1 : before);
  }
  return operations;
}

function baseOf(layer: Layer, inputs: readonly number[]): OperationBase {
  const maps = imageShape(layer.outputShape);
  return {
    inputs,
    layer,
    parameters: layer.parameters,
    input: imageShape(layer.inputShape),
    maps,
    output: maps,
    padding: [0, 0],
    activation: "none",
    pool: NO_POOL,
  };
}
