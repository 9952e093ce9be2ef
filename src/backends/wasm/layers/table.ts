/** All kinds of layers as this engine computes them. */

import type { LayerOf } from "../../../nn/layers/table.ts";
import type { Layer, LayerKind } from "../../../nn/sequential.ts";
import { activation } from "./activation.ts";
import { conv2d } from "./conv2d.ts";
import { flatten } from "./flatten.ts";
import type { LayerCode } from "./layer.ts";
import { linear } from "./linear.ts";
import { avgPool2d, maxPool2d } from "./pool2d.ts";
import { residual } from "./residual.ts";

const MISSING = new Proxy({}, {
  get() {
    throw new TypeError("not yet");
  },
}) as never;

const TABLE: { readonly [Kind in LayerKind]: LayerCode<LayerOf<Kind>> } = {
  leakyRelu: MISSING,
  batchNorm2d: MISSING,
  batchNorm1d: MISSING,
  dropout: MISSING,
  globalAvgPool2d: MISSING,
  conv2d,
  avgPool2d,
  maxPool2d,
  sigmoid: activation,
  tanh: activation,
  relu: activation,
  flatten,
  linear,
  residual,
};

/** What the engine knows of a layer's kind. */
export function codeOf({ type }: Layer): LayerCode<Layer> {
  return TABLE[type];
}
