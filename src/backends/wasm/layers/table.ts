/** All kinds of layers as this engine computes them. */

import type { LayerOf } from "../../../nn/layers/table.ts";
import { IMAGE, type Layer, type LayerKind } from "../../../nn/sequential.ts";
import { Program } from "../../program.ts";
import { activation, rectifier } from "./activation.ts";
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
  relu: rectifier,
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

/** How layers are computed, each by itself or with the one behind it. */
export function codesOf(layers: readonly Layer[], variants: Variants): LayerCode<Layer>[] {
  const program = new Program(layers);
  const codes = layers.map((layer) => codeOf(layer, variants));
  for (const [index, { inputs: [input] }] of layers.entries()) {
    if (input === IMAGE || !program.isOnlyReader(index, input)) continue;
    const joined = codes[input].join?.(codes[index]);
    if (joined === undefined) continue;
    codes[input] = joined;
    codes[index] = codes[index].joined!;
  }
  return codes;
}

function codeOf(layer: Layer, variants: Variants): LayerCode<Layer> {
  const code: LayerCode<Layer> = TABLE[layer.type];
  const variant = variants === "never" ? undefined : code.variant?.(layer);
  return variant && (variant.pays || variants === "always") ? variant.code : code;
}
