/** Layer specs: what a layer is, before it knows its input. */

export type { Named, Pair, PairLike } from "./layers/layer.ts";
export {
  type ActivationSpec,
  leakyRelu,
  type LeakyReluSpec,
  relu,
  sigmoid,
  tanh,
} from "./layers/activation.ts";
export {
  batchNorm1d,
  batchNorm2d,
  type BatchNormOptions,
  type BatchNormSpec,
} from "./layers/batch_norm.ts";
export { conv2d, type Conv2dOptions, type Conv2dSpec } from "./layers/conv2d.ts";
export { dropout, type DropoutSpec } from "./layers/dropout.ts";
export { flatten, type FlattenSpec } from "./layers/flatten.ts";
export { linear, type LinearOptions, type LinearSpec } from "./layers/linear.ts";
export {
  avgPool2d,
  globalAvgPool2d,
  type GlobalAvgPool2dSpec,
  maxPool2d,
  type Pool2dOptions,
  type Pool2dSpec,
} from "./layers/pool2d.ts";
export { residual, type ResidualOptions, type ResidualSpec } from "./layers/residual.ts";
export type { LayerSpec } from "./layers/table.ts";
