/** The npm package of TensorFlow.js's kernels as its users have it: packed, installed, in Node, Deno and
 * a browser. */

import { join } from "node:path";
import { assert, assertEquals, assertStringIncludes } from "../assert.ts";
import config from "../../deno.json" with { type: "json" };
import { Browser, findBrowser, runProgram } from "./browser.ts";
import { type Outcome, ROOT, runDeno } from "./command.ts";
import { hasNode, inBrowser, withPackage } from "./packed.ts";

const NAME = "@lenet/tfjs-wasm-training";
const browserProgram = hasNode ? await findBrowser() : undefined;

/** A program with TensorFlow.js's core and layers alone, whose wasm backend loads after the kernels.
 *
 * It trains a small network for a few steps and says its losses.
 */
const program = (load: (specifier: string) => string, start = "") => `
  const tf = ${load("@tensorflow/tfjs-core")};
  const { layers, sequential, initializers } = ${load("@tensorflow/tfjs-layers")};
  const { registerWasmTrainingKernels } = ${load(NAME)};
  globalThis.trained = (async () => {
    registerWasmTrainingKernels();
    const backend = ${load("@tensorflow/tfjs-backend-wasm")};
    registerWasmTrainingKernels();
    ${start}
    if (!await tf.setBackend("wasm")) throw new Error("no wasm backend");
    const kernelInitializer = (seed) => initializers.glorotUniform({ seed });
    const model = sequential({ layers: [
      layers.conv2d({ inputShape: [8, 8, 1], filters: 4, kernelSize: 3, activation: "relu",
        kernelInitializer: kernelInitializer(1) }),
      layers.maxPooling2d({ poolSize: 2 }),
      layers.flatten(),
      layers.dense({ units: 2, activation: "softmax", kernelInitializer: kernelInitializer(2) }),
    ] });
    model.compile({ optimizer: tf.train.sgd(0.5), loss: "categoricalCrossentropy" });
    const pixels = Float32Array.from({ length: 8 * 64 }, (_, i) => (i * 37 % 64) / 64);
    const x = tf.tensor(pixels, [8, 8, 8, 1]);
    const y = tf.oneHot(tf.tensor1d([0, 1, 0, 1, 1, 0, 0, 1], "int32"), 2);
    const losses = [];
    for (let step = 0; step < 5; step++) losses.push(await model.trainOnBatch(x, y));
    return losses.map((loss) => loss.toFixed(4)).join(" ");
  })();`;

const print = `trained.then((losses) => console.log("losses", losses));`;
const awaited = (specifier: string) => `await import(${JSON.stringify(specifier)})`;
const required = (specifier: string) => `require(${JSON.stringify(specifier)})`;

/** Puts what the package builds on beside it. */
async function linkTensorflow(folder: string): Promise<void> {
  await Deno.mkdir(join(folder, "node_modules/@tensorflow"));
  for (const part of ["tfjs-core", "tfjs-layers", "tfjs-backend-wasm"]) {
    await link(join(ROOT, "node_modules/@tensorflow", part), folder);
  }
}

async function link(target: string, folder: string): Promise<void> {
  // Deno lets nobody link who may not read and write everything.
  const links = join(folder, "node_modules/@tensorflow");
  const { code, stderr } = await runProgram("ln", ["-s", await Deno.realPath(target), links]);
  assertEquals(code, 0, stderr);
}

/** The losses that a program has printed, which fall. */
function lossesOf({ code, stdout, stderr }: Outcome): string {
  assertEquals(code, 0, stderr);
  const losses = /^losses (.*)$/m.exec(stdout)?.[1] ?? "";
  const [first, ...others] = losses.split(" ").map(Number);
  assert(others.length === 4 && others[3] < first, stdout + stderr);
  // A kernel that is registered twice is reported.
  assert(!/already registered/.test(stdout + stderr), stderr);
  return losses;
}

Deno.test({
  name: "the packed kernels train in Node, Deno and browsers",
  ignore: !hasNode,
  fn: (t) =>
    withPackage("tfjs-wasm-training", async (folder, packed) => {
      await linkTensorflow(folder);
      const losses: string[] = [];
      const step = (name: string, fn: () => Promise<void>, ignore = false) =>
        t.step({ name, ignore, fn });
      await step(
        "the tarball holds its files only, of one version, and imports the core only",
        async () => {
          const expected = ["LICENSE", "README.md", "index.cjs", "index.d.cts", "index.d.ts"];
          assertEquals(packed.toSorted(), [...expected, "index.js", "package.json"].toSorted());
          const installed = join(folder, "node_modules", NAME);
          const { version } = JSON.parse(await Deno.readTextFile(join(installed, "package.json")));
          assertEquals(version, config.version);
          const code = await Deno.readTextFile(join(installed, "index.js"));
          const imports = [...code.matchAll(/\bfrom\s*"([^"]+)"/g)].map(([, specifier]) =>
            specifier
          );
          assertEquals([...new Set(imports)], ["@tensorflow/tfjs-core"]);
        },
      );
      await step("Node imports and requires them", async () => {
        for (const [name, load] of [["main.mjs", awaited], ["main.cjs", required]] as const) {
          await Deno.writeTextFile(join(folder, name), program(load) + print);
          losses.push(lossesOf(await runProgram("node", [join(folder, name)])));
        }
        assertEquals(losses[1], losses[0]);
      });
      await step("Deno imports them, and knows their types", async () => {
        const flags = ["--no-lock", "--node-modules-dir=manual"];
        const args = ["run", ...flags, "--allow-read", "--allow-env", "main.mjs"];
        assertEquals(lossesOf(await runDeno(args, { cwd: folder })), losses[0]);
        const types = `import { registerWasmTrainingKernels } from ${JSON.stringify(NAME)};
          export const nothing: void = registerWasmTrainingKernels();`;
        await Deno.writeTextFile(join(folder, "types.ts"), types);
        const checked = await runDeno(["check", ...flags, "types.ts"], { cwd: folder });
        assertEquals(checked.code, 0, checked.stderr);
      });
      const trainOnPage = async () => assertEquals(await lossesInBrowser(folder), losses[0]);
      await step("a page that esbuild bundled trains", trainOnPage, browserProgram === undefined);
      await step("another version of TensorFlow.js is refused with what to do", async () => {
        const core = join(folder, "node_modules/@tensorflow/tfjs-core");
        await Deno.remove(core);
        await Deno.mkdir(core);
        await Deno.writeTextFile(join(core, "index.js"), `exports.version_core = "4.21.0";`);
        const main = join(folder, "main.cjs");
        await Deno.writeTextFile(main, `${required(NAME)}.registerWasmTrainingKernels();`);
        const { code, stderr } = await runProgram("node", [main]);
        assertEquals(code, 1);
        assertStringIncludes(
          stderr,
          "Cannot register the wasm training kernels: expected @tensorflow/tfjs-core 4.22, " +
            "found 4.21.0; install the same 4.22 version of every @tensorflow package",
        );
      });
    }),
});

async function lossesInBrowser(folder: string): Promise<string> {
  await using browser = await Browser.start(browserProgram!, join(folder, "profile"));
  return await inBrowser(browser, folder, {
    code: program(awaited, `backend.setWasmPaths("/");`),
    binaries: join(folder, "node_modules/@tensorflow/tfjs-backend-wasm/dist"),
  });
}
