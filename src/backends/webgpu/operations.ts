/** From layers to operations: which layers one kernel carries out together. */

import type { ActivationLayer, LeakyReluLayer } from "../../nn/layers/activation.ts";
import type { BatchNormLayer } from "../../nn/layers/batch_norm.ts";
import type { Conv2dLayer } from "../../nn/layers/conv2d.ts";
import type { DropoutLayer } from "../../nn/layers/dropout.ts";
import type { ImageShape, Pair } from "../../nn/layers/layer.ts";
import type { LinearLayer } from "../../nn/layers/linear.ts";
import type { Pool2dLayer } from "../../nn/layers/pool2d.ts";
import { IMAGE, type Layer, type Model, type Parameter } from "../../nn/sequential.ts";
import { Program } from "../program.ts";
import { imageShape } from "./tensors.ts";
import type { Tuning } from "./tuning.ts";

/** Whether a model is trained: by a batch's own statistics, and with dropout; or only run forward. */
export type Mode = "train" | "eval";

/** A function of each element. */
export type Activation = ActivationLayer | LeakyReluLayer;

/** Windows of a pooling; `none` is a window of one element. */
export interface Window {
  readonly type: "avgPool2d" | "maxPool2d" | "none";
  readonly size: Pair;
  readonly stride: Pair;
}

/** What every operation has: what it reads, and the layers joined to its own. */
export interface OperationBase {
  /** The operations that it reads, by their place; IMAGE is the image. */
  readonly inputs: readonly number[];
  /** The layer that it carries out first, and its place in the model. */
  readonly layer: Layer;
  readonly index: number;
  readonly parameters: readonly Parameter[];
  readonly input: ImageShape;
  /** Before the joined pooling. */
  readonly maps: ImageShape;
  readonly output: ImageShape;
  /** Rows and columns of zeros that it reads around its input, and around its maps' gradient. */
  readonly padding: Pair;
  readonly gradientBorder: Pair;
  /** Rounds of the longest loops of its kernels, where they grow with the model; see `MOST_ROUNDS`. */
  readonly rounds: number;
  /** Floats that it must know of each image of a batch, and of all of it; see `KernelContext`. */
  readonly imageSums: (tuning: Tuning) => number;
  readonly moments: number;
  /** Whether it must know which images a batch has. */
  readonly readsIndices: boolean;
  /** An activation that its kernel carries out as well, and the pooling after that. */
  readonly activation?: Activation;
  readonly pool: Window;
}

/** A layer that multiplies. A linear layer is a 1x1 convolution of maps of one pixel. */
export interface ConvolveOperation extends OperationBase {
  readonly type: "convolve";
  readonly layer: Conv2dLayer | LinearLayer;
  readonly isLinear: boolean;
  readonly kernelSize: Pair;
  readonly stride: Pair;
  readonly groups: number;
  /** A batch norm by running statistics that its kernel carries out as well, before the activation. */
  readonly norm?: BatchNormLayer;
}

/** Multiply-adds of one image, forward; as many again for each of its gradients. */
export function macsOf({ layer: { weight }, maps: [, height, width] }: ConvolveOperation): number {
  return weight.size * height * width;
}

/** How channels of a convolution belong together. */
export interface ChannelGroups {
  /** Input and output channels of a group. */
  readonly inputs: number;
  readonly outputs: number;
  /** Output channels that a kernel takes from one vec4f of weights: four, or one where groups end in it. */
  readonly side: 1 | 4;
  /** How often it takes as many to have a group's. */
  readonly steps: number;
}

/** See {@linkcode ChannelGroups}. */
export function channelGroups({ groups, input, maps }: ConvolveOperation): ChannelGroups {
  const [inputs, outputs] = [input[0] / groups, maps[0] / groups];
  const side = groups === 1 || outputs % 4 === 0 ? 4 : 1;
  return { inputs, outputs, side, steps: Math.ceil(outputs / side) };
}

/** Pooling that could not be joined to a convolution: its windows overlap, or come first. */
export interface PoolOperation extends OperationBase {
  readonly type: "pool";
  readonly layer: Pool2dLayer;
  readonly window: Window;
}

/** The sum of two tensors; of one, it is a copy, or an activation on its own. */
export interface SumOperation extends OperationBase {
  readonly type: "sum";
}

/** Dropout, in training. */
export interface DropoutOperation extends OperationBase {
  readonly type: "dropout";
  readonly layer: DropoutLayer;
}

/** Batch norm by a batch's own statistics, or by running ones. */
export interface NormOperation extends OperationBase {
  readonly type: "norm";
  readonly layer: BatchNormLayer;
  readonly isRunning: boolean;
}

/** One step of the forward pass. */
export type Operation =
  | ConvolveOperation
  | PoolOperation
  | SumOperation
  | DropoutOperation
  | NormOperation;

/** The window of an operation without pooling. */
const NO_POOL: Window = { type: "none", size: [1, 1], stride: [1, 1] };

/** What is to be known of a layer for its plan. */
export interface PlanContext {
  readonly mode: Mode;
  /** Whether others read its input too. */
  readonly isShared: boolean;
}

/** How a kind of layer becomes operations. */
export interface LayerPlan<Kind extends Layer> {
  /** An operation of its own; undefined for a layer that gives what it reads, maybe in another shape. */
  operation(layer: Kind, base: OperationBase, about: PlanContext): Operation | undefined;
  /** The operation before it, which nothing else reads, with the layer joined to it. */
  join?(layer: Kind, before: Operation, mode: Mode): Operation | undefined;
}

/** Walks a model's layers and joins those that one kernel carries out. */
export function listOperations(
  { layers }: Model,
  mode: Mode,
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
      : plan.join?.(layer, operations[before], mode);
    if (joined !== undefined) operations[before] = joined;
    const base = baseOf(layer, index, inputs);
    const added = joined ? undefined : plan.operation(layer, base, { mode, isShared });
    ends.set(index, added ? operations.push(added) - 1 : before);
  }
  return operations;
}

function baseOf(layer: Layer, index: number, inputs: readonly number[]): OperationBase {
  const maps = imageShape(layer.outputShape);
  return {
    inputs,
    layer,
    index,
    parameters: layer.parameters,
    input: imageShape(layer.inputShape),
    maps,
    output: maps,
    padding: [0, 0],
    gradientBorder: [0, 0],
    ...{ rounds: 0, imageSums: () => 0, moments: 0, readsIndices: false },
    pool: NO_POOL,
  };
}
