// deno-lint-ignore-file no-console
/** Makes pipelines of a part of all shaders, and has the engine do what it does, under Vulkan's validation
 * layer: what that finds wrong it prints.
 *
 *     compile_shaders.ts PART PARTS   prints how many it compiled of every PARTS-th shader
 *     compile_shaders.ts invalid      one that asks for more workgroup memory than there is
 */

import { webgpuBackend } from "../../src/backends/webgpu/backend.ts";
import { Gpu } from "../../src/backends/webgpu/gpu.ts";
import { initialParameters, initialStatistics } from "../../src/nn/init.ts";
import { zooModel } from "../../src/nn/zoo.ts";
import { shadersOfAll } from "../webgpu_shaders.ts";

const INVALID = `@group(0) @binding(0) var<storage, read_write> results: array<f32>;
var<workgroup> sums: array<f32, 100000>;
@compute @workgroup_size(8) fn main(@builtin(local_invocation_index) index: u32) {
  sums[index] = f32(index);
  workgroupBarrier();
  results[index] = sums[7 - index];
}`;

const [part, parts] = Deno.args;
const all = part === "invalid" ? [INVALID] : [...(await shadersOfAll()).keys()];
const gpu = await Gpu.open();
const mine = all.filter((_, index) =>
  parts === undefined || index % Number(parts) === Number(part)
);
for (const code of mine) {
  const module = gpu.device.createShaderModule({ code });
  await gpu.device.createComputePipelineAsync({
    layout: "auto",
    compute: { module, entryPoint: "main" },
  });
}
gpu.check();
if (part === "0") {
  for (const name of ["lenet", "resnet8"] as const) await work(name);
}
console.log(`compiled ${mine.length}`);
Deno.exit(0); // a device stays open

/** All that a session does, once. */
async function work(name: "lenet" | "resnet8"): Promise<void> {
  const model = zooModel(name);
  const [count, batchSize] = [12, 8];
  const pixels = model.inputShape.reduce((product, size) => product * size, count);
  const data = {
    images: Uint8Array.from({ length: pixels }, (_, place) => place % 251),
    labels: Uint8Array.from({ length: count }, (_, image) => image % model.classCount),
    ...{ count, shape: model.inputShape },
  };
  await using session = await webgpuBackend.open(model, { batchSize });
  const [parameters, statistics] = [initialParameters(model, 0), initialStatistics(model)];
  await session.loadState({ parameters, statistics, slots: [], step: 0 });
  await session.attach(data);
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  await session.train(data, { order, batchSize, learningRates: Float32Array.of(0.1, 0.1) });
  await session.gradients(data, order.subarray(0, batchSize));
  await session.evaluate(data);
  await session.predict(data);
  await session.readState();
}
