/** The pages of `train` and `compare`, opened in a real browser where there is one. */
import { pathToFileURL } from "node:url";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { withTempDir } from "../temp.ts";
import { BROWSER_ARGS, findBrowser, runProgram } from "./browser.ts";
import { canRunCommands, runTask } from "./command.ts";

const ignore = !canRunCommands();
const CHROMIUM = ignore ? undefined : await findBrowser();
const QUICK = ["--model", "softmax", "--backend", "wasm", "--quiet"];

/** A folder that is also markup; the run records its path. */
const HOSTILE_NAME = `"><img src=x onerror=alert(1)>`;

/** Opens a page and returns its document after loading, and what the browser's console got. */
async function open(path: string, profile: string) {
  const { stdout, stderr } = await runProgram(CHROMIUM!, [
    ...BROWSER_ARGS,
    ...["--disable-gpu", "--enable-logging=stderr", `--user-data-dir=${profile}`, "--dump-dom"],
    pathToFileURL(path).href,
  ]);
  return { dom: stdout, console: stderr.split("\n").filter((line) => line.includes("CONSOLE")) };
}

/** Copies the sample to a folder of IDX files. */
async function copySample(folder: string): Promise<void> {
  await Deno.mkdir(folder);
  const sample = new URL("../../data/sample/", import.meta.url);
  for await (const { name } of Deno.readDir(sample)) {
    if (name.endsWith(".gz")) {
      await Deno.writeFile(`${folder}/${name}`, await Deno.readFile(new URL(name, sample)));
    }
  }
}

Deno.test({
  name: "report: opens in a browser without a complaint, however the run's files are called",
  ignore: ignore || CHROMIUM === undefined,
  fn: () =>
    withTempDir(async (folder) => {
      const dataset = `${folder}/${HOSTILE_NAME}`;
      await copySample(dataset);
      const out = `${folder}/run`;
      const { code, stderr } = await runTask("train", [
        ...["--model", "lenet-relu", "--backend", "wasm", "--quiet", "--max-steps", "5"],
        ...["--dataset", dataset, "--out", out],
      ]);
      assertEquals([code, stderr], [0, ""]);
      await Deno.writeTextFile(
        `${folder}/control.html`,
        `<meta http-equiv="Content-Security-Policy" content="img-src data:"><img src="x.png">`,
      );
      const [page, control] = await Promise.all([
        open(`${out}/report.html`, `${folder}/profile1`),
        open(`${folder}/control.html`, `${folder}/profile2`),
      ]);
      assert(control.console.length > 0, "this browser tells of no complaint at all");
      assertEquals(page.console, []);
      assertStringIncludes(page.dom, "<h2>Feature maps</h2>");
      assert(page.dom.includes("&lt;img src=x onerror=alert(1)&gt;"), "the name is missing");
      assert(!page.dom.includes("<img src=x") && !page.dom.includes('<img src="x"'));
    }),
});

Deno.test({
  name:
    "report: a run of one epoch and a comparison open without a complaint, and say what they are",
  ignore: ignore || CHROMIUM === undefined,
  fn: () =>
    withTempDir(async (folder) => {
      const dataset = `${folder}/${HOSTILE_NAME}`;
      await copySample(dataset);
      const [run, compare] = await Promise.all([
        runTask("train", ["--dataset=sample", ...QUICK, "--epochs=1", `--out=${folder}/run`]),
        runTask("compare", [
          ...["--backends=wasm", "--model=softmax", "--max-steps=1", "--repeats=3", "--scaling"],
          ...[`--dataset=${dataset}`, `--html=${folder}/compare.html`, "--quiet"],
        ]),
      ]);
      assertEquals([run.code, compare.code], [0, 0], run.stderr + compare.stderr);
      const [report, comparison] = await Promise.all([
        open(`${folder}/run/report.html`, `${folder}/profile1`),
        open(`${folder}/compare.html`, `${folder}/profile2`),
      ]);
      assertEquals([...report.console, ...comparison.console], []);
      assertStringIncludes(report.dom.replace(/\s+/g, " "), "One epoch was finished");
      for (const part of ["Training, as a ratio", "Do they compute the same?", "More threads"]) {
        assertStringIncludes(comparison.dom, part);
      }
      assert(comparison.dom.includes("&lt;img src=x onerror=alert(1)&gt;"), "the name is missing");
      assert(!comparison.dom.includes("<img src=x") && !comparison.dom.includes('<img src="x"'));
    }),
});

Deno.test({
  name: "report: a run that diverged leaves one, which says so",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const out = `${folder}/run`;
      const { code, stderr } = await runTask("train", [
        ...["--dataset", "sample", ...QUICK, "--model", "lenet-relu", "--lr", "1000"],
        ...["--max-steps", "30", "--out", out],
      ]);
      assertEquals(code, 1);
      assertMatch(
        stderr,
        /^error: The loss became .* training has diverged; try a --lr below 1000/,
      );
      const page = (await Deno.readTextFile(`${out}/report.html`)).replace(/\s+/g, " ");
      assertMatch(page, /The loss became (NaN|Infinity) at step \d+/);
      assertStringIncludes(page, "No epoch was finished");
      if (CHROMIUM === undefined) return;
      const opened = await open(`${out}/report.html`, `${folder}/profile`);
      assertEquals(opened.console, []);
      assertStringIncludes(opened.dom, "<h2>Configuration</h2>");
    }),
});
