/** All kinds of layers as this engine's operations, and all kinds of operations. */

import type { LayerOf } from "../../../nn/layers/table.ts";
import type { Layer, LayerKind, Model } from "../../../nn/sequential.ts";
import { type LayerPlan, listOperations, type Mode, type Operation } from "../operations.ts";
import { batchNorm, norm } from "./batch_norm.ts";
import { conv2d, convolve, linear } from "./conv2d.ts";
import { drop, dropout } from "./dropout.ts";
import type { Copies, KernelContext, OperationKernels } from "./layer.ts";
import { pool, pool2d } from "./pool2d.ts";
import { activation, flatten, residual, sum } from "./sum.ts";

const PLANS: { readonly [Kind in LayerKind]: LayerPlan<LayerOf<Kind>> } = {
  conv2d,
  avgPool2d: pool2d,
  maxPool2d: pool2d,
  globalAvgPool2d: pool2d,
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

type OperationOf<Type> = Extract<Operation, { readonly type: Type }>;

const KERNELS: { readonly [Type in Operation["type"]]: OperationKernels<OperationOf<Type>> } = {
  convolve,
  pool,
  sum,
  dropout: drop,
  norm,
};

/** The operations of a model. */
export function operationsOf(model: Model, mode: Mode): Operation[] {
  return listOperations(model, mode, ({ type }: Layer): LayerPlan<Layer> => PLANS[type]);
}

/** The kernels of an operation. */
export function kernelsOf({ type }: Operation): OperationKernels<Operation> {
  return KERNELS[type];
}

/** Copies of an operation's partial gradients; none of one without parameters. */
export function copiesOf(
  operation: Operation,
  context: Pick<KernelContext, "tuning" | "capacity">,
): Copies {
  return kernelsOf(operation).copies?.(operation, context) ?? { wgsl: "0u", most: 0 };
}
