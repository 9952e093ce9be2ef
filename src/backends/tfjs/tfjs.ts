/** What this project needs of TensorFlow.js: operations, their gradients, layers.
 *
 * `deno.json` maps `@tensorflow/tfjs` to this file. The package of that name adds readers of other
 * formats, a WebGL backend and bundles for browsers: an installation with it downloads three times as
 * much, and takes 450 MB of memory instead of 170. It rests on the same two packages, so that a
 * program which loads it shares their tensors and kernels.
 */

import "@tensorflow/tfjs-backend-cpu"; // which the WebAssembly backend rests on, too
import * as core from "@tensorflow/tfjs-core";
import type {} from "@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops.d.ts";

export * from "@tensorflow/tfjs-core";
export * from "@tensorflow/tfjs-layers"; // also registers the gradients

// Operations as methods, whose types the import above declares: its code is not one that Deno resolves.
const methods = core.Tensor.prototype as unknown as Record<string, unknown>;
for (const [name, operation] of Object.entries(core)) {
  if (typeof operation !== "function" || !operation.name.endsWith("__op")) continue;
  const call = operation as (...args: unknown[]) => unknown;
  methods[name] ??= function (this: core.Tensor, ...args: unknown[]) {
    return call(this, ...args);
  };
}
for (const [name, type] of [["toFloat", "float32"], ["toInt", "int32"]] as const) {
  methods[name] ??= function (this: core.Tensor) {
    return core.cast(this, type);
  };
}
