/** Every shader of the zoo's models and of the parity table: what it asks of a device, and what another
 * compiler says of it. */

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describeAdapters } from "../../src/backends/webgpu/adapters.ts";
import { foldWorkgroups } from "../../src/backends/webgpu/kernel.ts";
import { assert, assertEquals, assertStringIncludes } from "../assert.ts";
import { Browser, findBrowser } from "../cli/browser.ts";
import { canRunCommands, runDeno } from "../cli/command.ts";
import { withTempDir } from "../temp.ts";
import { kernelsOfAll, shadersOfAll } from "../webgpu_shaders.ts";

const ignore = (await describeAdapters()).length === 0;
const browser = !ignore && canRunCommands() ? await findBrowser() : undefined;
const LAYER = "/usr/share/vulkan/explicit_layer.d/VkLayer_khronos_validation.json";
const hasLayer = !ignore && canRunCommands() &&
  await Deno.stat(LAYER).then(() => true, () => false);

/** What WebGPU promises of every device. */
const DEFAULTS = { invocations: 256, uniformBytes: 65_536, storageBytes: 2 ** 27, groups: 65_535 };

Deno.test({
  name: "webgpu's kernels share little memory, and keep within WebGPU's default limits",
  ignore,
  async fn() {
    for (const most of [8, 10]) {
      for (const kernel of await kernelsOfAll(most)) {
        const { label, code, bindings, workgroups } = foldWorkgroups(kernel, DEFAULTS.groups);
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
        const [, sizes] = /@workgroup_size\(([\d, ]+)\)/.exec(code)!;
        const invocations = sizes.split(",").reduce((product, size) => product * Number(size), 1);
        assert(invocations <= DEFAULTS.invocations, `${label} starts ${invocations} side by side`);
        for (const groups of workgroups.filter((groups) => typeof groups === "number")) {
          assert(groups <= DEFAULTS.groups, `${label} starts ${groups} groups`);
        }
        const storage = bindings.filter(({ access }) => access !== "uniform").length;
        assert(storage <= most, `${label} names ${storage} storage buffers`);
        const uniforms = 1 + bindings.length - storage;
        assert(uniforms <= 12, `${label} names ${uniforms} uniform buffers`);
        for (const { name, access, buffer, offset = 0, size = buffer.size - offset } of bindings) {
          const bytes = access === "uniform" ? DEFAULTS.uniformBytes : DEFAULTS.storageBytes;
          assert(size <= bytes, `${label} binds ${size} bytes of ${name}`);
        }
      }
    }
  },
});

Deno.test({
  name: "webgpu's shaders are WGSL to Chromium too, without a warning",
  ignore: browser === undefined,
  fn: () =>
    withTempDir(async (profile) => {
      const shaders = await shadersOfAll();
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

Deno.test({
  name:
    "webgpu's shaders and calls pass spirv-val and Vulkan's validation (vulkan-validationlayers)",
  ignore: !hasLayer,
  fn: () =>
    withTempDir(async (folder) => {
      const settings = ["debug_action = VK_DBG_LAYER_ACTION_LOG_MSG", "report_flags = error,warn"];
      await Deno.writeTextFile(
        join(folder, "vk_layer_settings.txt"),
        settings.map((line) => `khronos_validation.${line}\n`).join(""),
      );
      const env = {
        VK_INSTANCE_LAYERS: "VK_LAYER_KHRONOS_validation",
        VK_LAYER_SETTINGS_PATH: folder,
        XDG_RUNTIME_DIR: folder,
      };
      const program = fileURLToPath(new URL("compile_shaders.ts", import.meta.url));
      const validate = (...args: string[]) =>
        runDeno(["run", "--quiet", "--no-check", program, ...args], { env });
      const parts = Math.max(2, navigator.hardwareConcurrency);
      const [invalid, ...found] = await Promise.all([
        validate("invalid"),
        ...Array.from({ length: parts }, (_, part) => validate(`${part}`, `${parts}`)),
      ]);
      // So that silence means something: what the layer must not let pass, it does not.
      assertStringIncludes(invalid.stdout, "VUID-RuntimeSpirv-Workgroup-06530");
      let compiled = 0;
      for (const { code, stdout, stderr } of found) {
        assertEquals(code, 0, stderr);
        const [, count] = /^compiled (\d+)\n$/.exec(stdout) ?? [];
        assert(count !== undefined, stdout);
        compiled += Number(count);
      }
      assertEquals(compiled, (await shadersOfAll()).size);
    }),
});
