/** All kinds of layers as this engine's operations, and all kinds of operations. */

import type { LayerOf } from "../../../nn/layers/table.ts";
import type { Layer, LayerKind, Model } from "../../../nn/sequential.ts";
import { type LayerPlan, listOperations, type Operation } from "../operations.ts";
import { activation, elementwise } from "./activation.ts";
import { conv2d, convolve, linear } from "./conv2d.ts";
import { flatten } from "./flatten.ts";
import type { OperationKernels } from "./layer.ts";
import { pool, pool2d } from "./pool2d.ts";
import { residual, sum } from "./residual.ts";

const MISSING = new Proxy({}, {
  get() {
    throw new TypeError("not yet");
  },
}) as never;

const PLANS: { readonly [Kind in LayerKind]: LayerPlan<LayerOf<Kind>> } = {
  leakyRelu: MISSING,
  batchNorm2d: MISSING,
  batchNorm1d: MISSING,
  dropout: MISSING,
  globalAvgPool2d: MISSING,
  conv2d,
  avgPool2d: pool2d,
  maxPool2d: pool2d,
  sigmoid: activation,
  tanh: activation,
  relu: activation,
  flatten,
  linear,
  residual,
};

type OperationOf<Type> = Extract<Operation, { readonly type: Type }>;

const KERNELS: { readonly [Type in Operation["type"]]: OperationKernels<OperationOf<Type>> } = {
  convolve,
  pool,
  elementwise,
  sum,
};

/** The operations of a model. */
export function operationsOf(model: Model): Operation[] {
  return listOperations(model, ({ type }: Layer): LayerPlan<Layer> => PLANS[type]);
}

/** The kernels of an operation. */
export function kernelsOf({ type }: Operation): OperationKernels<Operation> {
  return KERNELS[type];
}
