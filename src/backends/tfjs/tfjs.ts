/** What this project needs of TensorFlow.js: operations, their gradients, layers.
 *
 * `deno.json` maps `@tensorflow/tfjs` to this file. The package of that name adds readers of other
 * formats, a WebGL backend and bundles for browsers: an installation with it downloads three times as
 * much, and takes 450 MB of memory instead of 170. It rests on the same two packages, so that a
 * program which loads it shares their tensors and kernels.
 */

import "npm:@tensorflow/tfjs-backend-cpu@4.22.0"; // which the WebAssembly backend rests on, too
import * as core from "npm:@tensorflow/tfjs-core@4.22.0";
import type {} from "npm:@tensorflow/tfjs-core@4.22.0/dist/public/chained_ops/register_all_chained_ops.d.ts";

export * from "npm:@tensorflow/tfjs-core@4.22.0";
export * from "npm:@tensorflow/tfjs-layers@4.22.0"; // also registers the gradients

// Operations as methods, whose types the import above declares: its code is not one that Deno resolves.
const methods = core.Tensor.prototype as unknown as Record<string, unknown>;
for (const [name, operation] of Object.entries(core)) {
  if (typeof operation !== "function" || !operation.name.endsWith("__op")) continue;
  const call = operation as (...args: unknown[]) => unknown;
  methods[name] ??= function (this: core.Tensor, ...args: unknown[]) {
    return call(this, ...args);
  };
}
/** Methods that are no operation of the same name. */
const OTHERS: Readonly<Record<string, (tensor: core.Tensor, ...rest: never[]) => core.Tensor>> = {
  toFloat: (tensor) => core.cast(tensor, "float32"),
  toInt: (tensor) => core.cast(tensor, "int32"),
  toBool: (tensor) => core.cast(tensor, "bool"),
  asType: (tensor, type: core.DataType) => core.cast(tensor, type),
  flatten: (tensor) => core.reshape(tensor, [tensor.size]),
  asScalar: (tensor) => core.reshape(tensor, []),
  reshapeAs: (tensor, other: core.Tensor) => core.reshape(tensor, other.shape),
  resizeBilinear: (tensor, ...rest: never[]) =>
    core.image.resizeBilinear(tensor as core.Tensor4D, ...rest as unknown as [[number, number]]),
  resizeNearestNeighbor: (tensor, ...rest: never[]) =>
    core.image.resizeNearestNeighbor(
      tensor as core.Tensor4D,
      ...rest as unknown as [[number, number]],
    ),
};
for (const [name, method] of Object.entries(OTHERS)) {
  methods[name] ??= function (this: core.Tensor, ...args: never[]) {
    return method(this, ...args);
  };
}
for (const rank of [1, 2, 3, 4, 5]) {
  methods[`as${rank}D`] ??= function (this: core.Tensor, ...shape: number[]) {
    return core.reshape(this, rank === 1 ? [this.size] : shape);
  };
}
