/** The `webgpu` engine on devices other than this machine's adapter with all it has: one of WebGPU's default
 * limits, and a browser's. */

import { fileURLToPath } from "node:url";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { describeAdapters } from "../../src/backends/webgpu/adapters.ts";
import { createWebgpuBackend } from "../../src/backends/webgpu/backend.ts";
import { Gpu } from "../../src/backends/webgpu/gpu.ts";
import { HARDWARE_TUNING, SOFTWARE_TUNING } from "../../src/backends/webgpu/tuning.ts";
import { assert, assertEquals } from "../assert.ts";
import { Browser, findBrowser } from "../cli/browser.ts";
import { canRunCommands } from "../cli/command.ts";
import { inBrowser } from "../cli/packed.ts";
import { granted } from "../permissions.ts";
import { withTempDir } from "../temp.ts";
import { caseModel, PARITY_CASES } from "./cases.ts";
import { differences, type Trained, trained } from "./trained.ts";

/** Cases that have all kinds of kernels between them; the whole table takes minutes on an emulated GPU. */
const CASES = [
  "mlp of odd widths",
  "residual blocks with batch norm",
  "depthwise",
  "padded pools",
  "dropout of maps",
].map((start) => PARITY_CASES.find(({ name }) => name.startsWith(start))!);
/** SwiftShader takes ten seconds to compile many a model. */
const BROWSER_CASES = CASES.slice(0, 3);
const ignore = (await describeAdapters()).length === 0;
const TUNINGS = { hardware: HARDWARE_TUNING, software: SOFTWARE_TUNING };
const canServe = canRunCommands() && granted({ name: "net", host: "127.0.0.1" });
const browserProgram = canServe ? await findBrowser() : undefined;

for (const [tuningName, tuning] of Object.entries(TUNINGS)) {
  Deno.test({
    name: `webgpu equals the reference within WebGPU's default limits, tuned for ${tuningName}`,
    ignore,
    async fn() {
      using _limits = defaultLimits();
      const { limits } = (await Gpu.open()).device;
      assertEquals(limits.maxStorageBuffersPerShaderStage, 8);
      assertEquals(limits.maxComputeWorkgroupStorageSize, 16_384);
      const found: string[] = [];
      for (const parityCase of CASES) {
        const model = caseModel(parityCase);
        const actual = await trained(createWebgpuBackend({ tuning }), model);
        const wrong = differences(model, actual, await trained(referenceBackend, model));
        found.push(...wrong.map((text) => `${parityCase.name}: ${text}`));
      }
      assertEquals(found, []);
    },
  });
}

/** Has devices opened with what WebGPU promises everywhere, until it is disposed. */
function defaultLimits(): Disposable {
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = function () {
    return requestDevice.call(this);
  };
  return {
    [Symbol.dispose]() {
      GPUAdapter.prototype.requestDevice = requestDevice;
    },
  };
}

Deno.test({
  name: "webgpu trains in Chromium on SwiftShader as the reference does, tuned for hardware",
  ignore: browserProgram === undefined,
  fn: () =>
    withTempDir(async (folder) => {
      const path = (name: string) => JSON.stringify(fileURLToPath(new URL(name, import.meta.url)));
      const code = `
        import { createWebgpuBackend } from ${path("../../src/backends/webgpu/backend.ts")};
        import { HARDWARE_TUNING } from ${path("../../src/backends/webgpu/tuning.ts")};
        import { caseModel, PARITY_CASES } from ${path("cases.ts")};
        import { trained } from ${path("trained.ts")};
        globalThis.trained = (async () => {
          const backend = createWebgpuBackend({ tuning: HARDWARE_TUNING });
          const found = [];
          for (const name of ${JSON.stringify(BROWSER_CASES.map(({ name }) => name))}) {
            const parityCase = PARITY_CASES.find((one) => one.name === name);
            const result = await trained(backend, caseModel(parityCase));
            const vectors = Object.entries(result).map(([name, vector]) => [name, [...vector]]);
            found.push(Object.fromEntries(vectors));
          }
          const { info } = await navigator.gpu.requestAdapter();
          return { adapter: [info.vendor, info.architecture].join(), found };
        })();`;
      const args = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];
      await using browser = await Browser.start(browserProgram!, `${folder}/profile`, args);
      const { adapter, found } = await inBrowser<{ adapter: string; found: Trained<number[]>[] }>(
        browser,
        folder,
        { code },
      );
      assert(adapter.includes("swiftshader"), adapter);
      for (const [index, parityCase] of BROWSER_CASES.entries()) {
        const model = caseModel(parityCase);
        const expected = await trained(referenceBackend, model);
        assertEquals(differences(model, found[index], expected), [], parityCase.name);
      }
    }),
});
