/** README.md and docs/ against the program that makes their figures, tables and numbers. */

import { fillBlocks } from "../../docs/generator/blocks.ts";
import {
  gpuBlock,
  readBench,
  readWebgpuBench,
  speedBlock,
  webgpuBlock,
} from "../../docs/generator/speed.ts";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "../assert.ts";
import { withTempDir } from "../temp.ts";
import { canRunCommands, ROOT, runDeno, runTask } from "./command.ts";

/** Copies files and, one level deep, folders of the project. */
async function copyProject(names: readonly string[], folder: string): Promise<void> {
  for (const name of names) {
    const { isDirectory } = await Deno.stat(`${ROOT}${name}`);
    if (!isDirectory) {
      await Deno.copyFile(`${ROOT}${name}`, `${folder}/${name}`);
      continue;
    }
    await Deno.mkdir(`${folder}/${name}`, { recursive: true });
    for await (const { name: file, isFile } of Deno.readDir(`${ROOT}${name}`)) {
      if (isFile) await Deno.copyFile(`${ROOT}${name}/${file}`, `${folder}/${name}/${file}`);
    }
  }
}

Deno.test({
  name: "docs: all that is generated is up to date, and a number changed by hand is found",
  ignore: !canRunCommands(),
  fn: () =>
    withTempDir(async (folder) => {
      const names = ["README.md", "deno.json", "docs", "docs/measurements", "tests/fixtures"];
      await copyProject(names, folder);
      const readme = await Deno.readTextFile(`${folder}/README.md`);
      await Deno.writeTextFile(
        `${folder}/README.md`,
        readme.replace(/train loss 0\.\d{3}/, "train loss 0.001"),
      );
      await Deno.remove(`${folder}/docs/loss.svg`);
      const [own, altered] = await Promise.all([
        runTask("docs:figures", ["--check"]),
        runDeno(
          [
            ...["run", "--no-prompt", "--config", `${ROOT}deno.json`],
            ...["--allow-read", "--allow-run=deno", `${ROOT}docs/generator/main.ts`, "--check"],
          ],
          { cwd: folder },
        ),
      ]);
      assertEquals(own, { code: 0, stdout: "", stderr: "" });
      assertEquals(altered.code, 1);
      const line = (path: string) =>
        `error: ${path} is not up to date: run deno task docs:figures\n`;
      assertEquals(altered.stderr, line("docs/loss.svg") + line("README.md"));
    }),
});

Deno.test("docs: blocks are filled, kept where nothing was measured, and must have an end", () => {
  const page = "a\n<!-- generated: one -->\nold\n<!-- end: one -->\nb\n";
  assertEquals(
    fillBlocks(page, () => "new", "page"),
    "a\n<!-- generated: one -->\n\nnew\n\n<!-- end: one -->\nb\n",
  );
  assertEquals(fillBlocks(page, () => undefined, "page"), page);
  const endless = page.replace("end", "ends");
  assertThrows(() => fillBlocks(endless, () => "new", "page"), SyntaxError, 'block "one" of page');
});

Deno.test("docs: the speed tables show what the benchmarks wrote, and no other file", () => {
  const spread = { median: 1234.5, low: 1000, high: 2000 };
  const bench = {
    machine: "CPU",
    date: "2026-01-02T03:04:05Z",
    rounds: 7,
    rows: [
      { name: "wasm lenet, 1 thread, batch 256", training: spread, share: 0.625 },
      { name: "wasm lenet, 2 threads, batch 32", training: spread },
    ],
  };
  const block = speedBlock(readBench(JSON.stringify(bench), "bench.json"));
  assertStringIncludes(block, "on CPU, 2026-01-02, batch 256");
  assertStringIncludes(block, "| `wasm`, 1 thread |    1,235 | 1,000-2,000 |                63% |");
  assertEquals(block.includes("batch 32"), false);
  const webgpu = {
    adapter: { name: "llvmpipe", software: true },
    date: bench.date,
    rounds: 5,
    rates: { "webgpu lenet": spread, "tfjs-webgpu lenet": { ...spread, median: 152 } },
  };
  assertStringIncludes(
    webgpuBlock(readWebgpuBench(JSON.stringify(webgpu), "gpu.json")),
    "gave `webgpu` 1,235 images/s of training LeNet, batch 256 (quartiles 1,000-2,000), " +
      "tfjs-webgpu 152 in the same run.",
  );
  const gpu = {
    ...{ ...webgpu, adapter: { name: "GPU 1", software: false, driver: "5.1" }, repeats: 3 },
    rates: {
      "webgpu lenet": { ...spread, median: 600_000 },
      "PyTorch 2.15.0, eager, CUDA, lenet": { ...spread, median: 120_000 },
      "wasm lenet, 2 threads": { ...spread, median: 30_000 },
    },
    environment: { cpu: "CPU", cores: 2, deno: "2.9.6" },
    kernels: { short: { median: 2.25 }, long: { median: 90 }, sum: { median: 92.25 } },
    training: { epochMs: [400, 600], count: 60_000, accuracy: 0.9012 },
  };
  const table = gpuBlock(readWebgpuBench(JSON.stringify(gpu), "gpu.json"));
  for (
    const part of [
      "On GPU 1 (driver 5.1, CPU with 2 cores, Deno 2.9.6, 2026-01-02)",
      "medians of `deno task bench:webgpu --repeats 3`",
      "| `webgpu`, lenet                    |  600,000 |             100.0 |        427 |",
      "2 epochs of LeNet on 60,000 images took 1.00 s, to a test accuracy of 0.9012.",
      "Kernels take 92 µs of LeNet's step: `long` 90, `short` 2.3.",
      "images/s by threads: 30,000 on 2.",
    ]
  ) assertStringIncludes(table, part);
  assertThrows(() => readBench("{}", "x.json"), SyntaxError, "Cannot read x.json: expected what");
  assertThrows(() => readWebgpuBench("[", "x.json"), SyntaxError, "it is not JSON");
});

Deno.test({
  name: "docs: the guide's program learns",
  ignore: !canRunCommands(),
  fn: () =>
    withTempDir(async (folder) => {
      const guide = await Deno.readTextFile(`${ROOT}docs/guide.md`);
      const [, program] = /## As a library\n\n```ts\n([^`]*)```/.exec(guide)!;
      await Deno.writeTextFile(`${folder}/program.ts`, program);
      const config = ["--no-prompt", "--config", `${ROOT}deno.json`];
      const args = ["run", ...config, "--allow-read", `${folder}/program.ts`];
      const { code, stdout, stderr } = await runDeno(args);
      assertEquals(code, 0, stderr);
      assert(Number(stdout) > 0.7, stdout);
    }),
});
