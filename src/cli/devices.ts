// deno-lint-ignore-file no-console
/** The devices command: what the backends of this machine can run on. */

import { chooseBackend } from "../backends/choose.ts";
import { supports } from "../backends/wasm/kernels.ts";
import { type AdapterDescription, describeAdapters } from "../backends/webgpu/adapters.ts";
import { formatCount, invocation } from "../quote.ts";
import { describeEnvironment } from "../run/environment.ts";
import { EXIT } from "./errors.ts";
import { defineCommand, JSON_FLAG, parseFlags } from "./flags.ts";
import { quietDrivers } from "./backend_flags.ts";

export const command = defineCommand({
  usage: invocation("devices"),
  summary: "List what backends can run on: processor, SIMD, threads, and GPU adapters.",
  examples: [["", "all devices"], ["--json", "with every limit and feature, as JSON"]],
  flags: { json: JSON_FLAG },
});

const SIMD_TEXT = {
  relaxed: "WebAssembly SIMD with fused multiply-add",
  plain: "WebAssembly SIMD without fused multiply-add",
  none: "no WebAssembly SIMD: the wasm backend cannot run",
};

export async function run(args: string[]): Promise<number> {
  const { flags } = parseFlags(command, args);
  quietDrivers();
  const { cpu, cores, os, arch, deno } = describeEnvironment();
  const simd = (["relaxed", "plain"] as const).find(supports); // the best that this machine runs
  const adapters = await describeAdapters();
  const auto = await chooseBackend();
  if (flags.json) {
    console.log(
      JSON.stringify({ cpu: { name: cpu, cores, simd }, os, arch, deno, adapters, auto }),
    );
    return EXIT.ok;
  }
  console.log(`CPU      ${cpu}, ${os} ${arch}, Deno ${deno}`);
  console.log(`         ${SIMD_TEXT[simd ?? "none"]}, threads: ${cores}`);
  for (const [index, adapter] of adapters.entries()) {
    for (const line of adapterLines(adapter, index)) console.log(line);
  }
  if (adapters.length === 0) {
    console.log("GPU      none: install a Vulkan driver (on Debian: mesa-vulkan-drivers)");
  }
  console.log(`\n--backend auto takes ${auto.name} for LeNet: ${auto.reason}`);
  return EXIT.ok;
}

function adapterLines(adapter: AdapterDescription, index: number): string[] {
  const { name, software, openGl, limits, features } = adapter;
  const mebibytes = (bytes: number) => `${formatCount(bytes / 2 ** 20)} MiB`;
  const kind = `${software ? "software: emulated by the CPU" : "hardware"}${
    openGl ? ", through OpenGL" : ""
  }`;
  return [
    `GPU ${index}    ${name}, ${kind}`,
    `         buffers to ${mebibytes(limits.maxBufferSize)}, ` +
    `bindings to ${mebibytes(limits.maxStorageBufferBindingSize)}, ` +
    `workgroups of ${formatCount(limits.maxComputeInvocationsPerWorkgroup)} with ` +
    `${formatCount(limits.maxComputeWorkgroupStorageSize / 1024)} KiB`,
    `         timestamp-query ${features.includes("timestamp-query") ? "yes" : "no"}, ` +
    `shader-f16 ${features.includes("shader-f16") ? "yes" : "no"}, ` +
    `subgroups ${features.includes("subgroups") ? "yes" : "no"}`,
  ];
}
