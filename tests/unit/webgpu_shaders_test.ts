/** Every shader of the zoo's models and of the parity table: what it asks of a device, and what another
 * compiler says of it. */

import { describeAdapters } from "../../src/backends/webgpu/adapters.ts";
import { DeviceState } from "../../src/backends/webgpu/device_state.ts";
import { Gpu } from "../../src/backends/webgpu/gpu.ts";
import { type Kernel, shaderOf } from "../../src/backends/webgpu/kernel.ts";
import { gatherImages } from "../../src/backends/webgpu/kernels/gather_images.ts";
import { buildNetwork } from "../../src/backends/webgpu/network.ts";
import { layParameters } from "../../src/backends/webgpu/parameter_layout.ts";
import { HARDWARE_TUNING, SOFTWARE_TUNING } from "../../src/backends/webgpu/tuning.ts";
import { MODEL_NAMES, zooModel } from "../../src/nn/zoo.ts";
import { assert, assertEquals } from "../assert.ts";
import { Browser, findBrowser } from "../cli/browser.ts";
import { canRunCommands } from "../cli/command.ts";
import { caseModel, PARITY_CASES } from "../parity/cases.ts";
import { withTempDir } from "../temp.ts";

const ignore = (await describeAdapters()).length === 0;
const browser = !ignore && canRunCommands() ? await findBrowser() : undefined;
const ADAM = { type: "adam", beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;

Deno.test({
  name: "webgpu's shaders share little memory, and name no more buffers than a device takes",
  ignore,
  async fn() {
    for (const most of [8, 10]) {
      for (const { label, code, bindings } of await kernelsOfAll(most)) {
        const images = /alias Images = (\w+);/.exec(code)?.[1];
        let shared = 0;
        for (
          const [line, type, length] of code.matchAll(/var<workgroup> .*: array<(\w+), (\d+)>/g)
        ) {
          const side = { f32: 1, vec4f: 4 }[type === "Images" ? images! : type]!;
          assert(side * Number(length) <= 256, `${label} shares ${line}`);
          shared += side * Number(length);
        }
        assertEquals(
          code.match(/var<workgroup>/g)?.length ?? 0,
          [...code.matchAll(/var<workgroup> .*: array</g)].length,
        );
        assert(4 * shared <= 16_384, `${label} shares ${shared} floats`);
        const storage = bindings.filter(({ access }) => access !== "uniform").length;
        assert(storage <= most, `${label} names ${storage} storage buffers`);
        const uniforms = 1 + bindings.length - storage;
        assert(uniforms <= 12, `${label} names ${uniforms} uniform buffers`);
      }
    }
  },
});

Deno.test({
  name: "webgpu's shaders are WGSL to Chromium too, without a warning",
  ignore: browser === undefined,
  fn: () =>
    withTempDir(async (profile) => {
      const kernels = await kernelsOfAll(10);
      const shaders = new Map(kernels.map((kernel) => [shaderOf(kernel), kernel.label]));
      await using server = Deno.serve(
        { port: 0, hostname: "127.0.0.1", onListen() {} },
        ({ url }) =>
          url.endsWith("/shaders")
            ? Response.json([...shaders])
            : new Response("<!doctype html>", { headers: { "content-type": "text/html" } }),
      );
      const args = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];
      await using program = await Browser.start(browser!, profile, args);
      const page = await program.open(`http://127.0.0.1:${server.addr.port}/`);
      const { result } = await page.send("Runtime.evaluate", {
        expression: `(${compileAll})()`,
        awaitPromise: true,
        returnByValue: true,
      });
      assertEquals(result.value, { compiled: shaders.size, messages: [] });
    }),
});

/** Runs in the browser. */
async function compileAll() {
  const adapter = await navigator.gpu.requestAdapter();
  if (adapter === null) return "no adapter";
  const device = await adapter.requestDevice();
  const shaders = await (await fetch("/shaders")).json() as [string, string][];
  const messages: string[] = [];
  for (const [code, label] of shaders) {
    const info = await device.createShaderModule({ code }).getCompilationInfo();
    for (const { type, lineNum, message } of info.messages) {
      messages.push(`${label}, line ${lineNum}: ${type}: ${message}`);
    }
  }
  return { compiled: shaders.length, messages };
}

/** Kernels of all models, trained and asked, with either tuning. */
async function kernelsOfAll(maxStorageBuffersPerShaderStage: number): Promise<Kernel[]> {
  const gpu = await Gpu.open();
  try {
    const limits = { maxStorageBuffersPerShaderStage, maxUniformBufferBindingSize: 65_536 };
    const createBuffer: Gpu["createBuffer"] = (...about) => gpu.createBuffer(...about);
    const limited = { device: { limits }, createBuffer } as unknown as Gpu;
    const some = createBuffer("some", 16, GPUBufferUsage.STORAGE);
    const results = { labels: some, order: some, losses: some, predictions: some };
    const models = [...MODEL_NAMES.map((name) => zooModel(name)), ...PARITY_CASES.map(caseModel)];
    return models.flatMap((model, index) => {
      const layout = layParameters(model);
      const state = new DeviceState(gpu, model, { layout, optimizer: ADAM });
      const clipNorm = index % 2 === 0 ? undefined : 1;
      const options = { state, optimizer: ADAM, clipNorm, seed: 0, capacity: 64 };
      return [HARDWARE_TUNING, SOFTWARE_TUNING].flatMap((tuning) =>
        (["train", "eval"] as const).flatMap((mode) => {
          const network = buildNetwork(limited, model, { ...options, tuning, mode });
          const { before, after, update } = network;
          const images = { images: [some], imagesPerBuffer: 10, order: some };
          const gather = gatherImages(images, network, tuning);
          return [gather, ...before, network.loss(results), ...after, ...update];
        })
      );
    });
  } finally {
    gpu.destroy();
  }
}
