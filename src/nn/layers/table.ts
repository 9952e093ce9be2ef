/** All kinds of layers: a new one is added here, and the compiler names what else must know it. */

import {
  type ActivationLayer,
  type ActivationSpec,
  LEAKY_RELU,
  type LeakyReluLayer,
  type LeakyReluSpec,
  RELU,
  SIGMOID,
  TANH,
} from "./activation.ts";
import { BATCH_NORM, type BatchNormLayer, type BatchNormSpec } from "./batch_norm.ts";
import { CONV2D, type Conv2dLayer, type Conv2dSpec } from "./conv2d.ts";
import { DROPOUT, type DropoutLayer, type DropoutSpec } from "./dropout.ts";
import { FLATTEN, type FlattenLayer, type FlattenSpec } from "./flatten.ts";
import type { LayerDefinition } from "./layer.ts";
import { LINEAR, type LinearLayer, type LinearSpec } from "./linear.ts";
import {
  AVG_POOL2D,
  GLOBAL_AVG_POOL2D,
  type GlobalAvgPool2dSpec,
  MAX_POOL2D,
  type Pool2dLayer,
  type Pool2dSpec,
} from "./pool2d.ts";
import { RESIDUAL, type ResidualLayer, type ResidualSpec } from "./residual.ts";

export type {
  ActivationLayer,
  BatchNormLayer,
  Conv2dLayer,
  DropoutLayer,
  FlattenLayer,
  LeakyReluLayer,
  LinearLayer,
  Pool2dLayer,
  ResidualLayer,
};

/** A layer before it knows its input: plain data that JSON can hold. */
export type LayerSpec =
  | Conv2dSpec
  | Pool2dSpec
  | GlobalAvgPool2dSpec
  | ActivationSpec
  | LeakyReluSpec
  | BatchNormSpec
  | DropoutSpec
  | FlattenSpec
  | LinearSpec
  | ResidualSpec<LayerSpec>;

/** A layer that knows its input: what an engine walks. */
export type Layer =
  | Conv2dLayer
  | Pool2dLayer
  | ActivationLayer
  | LeakyReluLayer
  | BatchNormLayer
  | DropoutLayer
  | FlattenLayer
  | LinearLayer
  | ResidualLayer;

/** What a layer can be. */
export type LayerKind = Layer["type"];

/** A member of a union that can be of some kind. */
export type OfKind<Union, Kind> = Union extends { readonly type: infer Kinds }
  ? Kind extends Kinds ? Union : never
  : never;

/** The layers of a kind. */
export type LayerOf<Kind extends LayerKind> = OfKind<Layer, Kind>;

const TABLE: {
  readonly [Kind in LayerKind]: LayerDefinition<OfKind<LayerSpec, Kind>, LayerOf<Kind>>;
} = {
  conv2d: CONV2D,
  avgPool2d: AVG_POOL2D,
  maxPool2d: MAX_POOL2D,
  globalAvgPool2d: GLOBAL_AVG_POOL2D,
  sigmoid: SIGMOID,
  tanh: TANH,
  relu: RELU,
  leakyRelu: LEAKY_RELU,
  batchNorm2d: BATCH_NORM,
  batchNorm1d: BATCH_NORM,
  dropout: DROPOUT,
  flatten: FLATTEN,
  linear: LINEAR,
  residual: RESIDUAL,
};

/** Names of all kinds. */
export const LAYER_KINDS = Object.keys(TABLE) as readonly LayerKind[];

/** Fewest images of a batch in training for a layer that must know the whole batch before it can give any
 * of its output; 0 for one that images pass one by one. */
export function wholeBatchOf(layer: Layer): number {
  return definitionOf(layer).wholeBatch?.(layer) ?? 0;
}

/** What is known of a layer's kind, or a spec's. */
export function definitionOf({ type }: Pick<Layer, "type">): LayerDefinition<LayerSpec, Layer> {
  return TABLE[type];
}
