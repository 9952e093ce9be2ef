/** All kinds of layers: a new one is added here, and the compiler names what else must know it. */

import { ACTIVATION, type ActivationLayer, type ActivationSpec } from "./activation.ts";
import { CONV2D, type Conv2dLayer, type Conv2dSpec } from "./conv2d.ts";
import { FLATTEN, type FlattenLayer, type FlattenSpec } from "./flatten.ts";
import type { LayerDefinition } from "./layer.ts";
import { LINEAR, type LinearLayer, type LinearSpec } from "./linear.ts";
import { POOL2D, type Pool2dLayer, type Pool2dSpec } from "./pool2d.ts";
import { RESIDUAL, type ResidualLayer, type ResidualSpec } from "./residual.ts";

export type { ActivationLayer, Conv2dLayer, FlattenLayer, LinearLayer, Pool2dLayer, ResidualLayer };

/** A layer before it knows its input: plain data that JSON can hold. */
export type LayerSpec =
  | Conv2dSpec
  | Pool2dSpec
  | ActivationSpec
  | FlattenSpec
  | LinearSpec
  | ResidualSpec<LayerSpec>;

/** A layer that knows its input: what an engine walks. */
export type Layer =
  | Conv2dLayer
  | Pool2dLayer
  | ActivationLayer
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
  avgPool2d: POOL2D,
  maxPool2d: POOL2D,
  sigmoid: ACTIVATION,
  tanh: ACTIVATION,
  relu: ACTIVATION,
  flatten: FLATTEN,
  linear: LINEAR,
  residual: RESIDUAL,
};

/** Names of all kinds. */
export const LAYER_KINDS = Object.keys(TABLE) as readonly LayerKind[];

/** What is known of a layer's kind, or a spec's. */
export function definitionOf({ type }: Pick<Layer, "type">): LayerDefinition<LayerSpec, Layer> {
  return TABLE[type];
}
