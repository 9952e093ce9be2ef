/** All kinds of layers as this engine computes them. */

import type { LayerOf } from "../../../nn/layers/table.ts";
import type { Layer, LayerKind } from "../../../nn/sequential.ts";
import { activation } from "./activation.ts";
import { batchNorm } from "./batch_norm.ts";
import { conv2d } from "./conv2d.ts";
import { dropout } from "./dropout.ts";
import { flatten } from "./flatten.ts";
import type { LayerCode } from "./layer.ts";
import { linear } from "./linear.ts";
import { avgPool2d, maxPool2d } from "./pool2d.ts";
import { residual } from "./residual.ts";
import { winogradVariant } from "./winograd_conv2d.ts";

const TABLE: { readonly [Kind in LayerKind]: LayerCode<LayerOf<Kind>> } = {
  conv2d: { ...conv2d, variant: winogradVariant },
  avgPool2d,
  maxPool2d,
  globalAvgPool2d: avgPool2d,
  sigmoid: activation,
  tanh: activation,
  relu: activation,
  leakyRelu: activation,
  batchNorm2d: batchNorm,
  batchNorm1d: batchNorm,
  dropout,
  flatten,
  linear,
  residual,
};

/** Whether layers are computed as they are defined, or else where that is faster, or wherever it can be. */
export type Variants = "never" | "faster" | "always";

/** How a layer is computed. */
export function codeOf(layer: Layer, variants: Variants): LayerCode<Layer> {
  const code: LayerCode<Layer> = TABLE[layer.type];
  const variant = variants === "never" ? undefined : code.variant?.(layer);
  return variant && (variant.pays || variants === "always") ? variant.code : code;
}
