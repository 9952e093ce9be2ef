/** The compiled program as on a machine that has nothing else: no Deno, no project, no network. */

import { encode } from "fast-png";
import { describeAdapters } from "../../src/backends/webgpu/adapters.ts";
import { loadDataset } from "../../src/data/load.ts";
import { datasetEntry } from "../../src/data/registry.ts";
import { encodeSafetensorsModel } from "../../src/formats/safetensors/model.ts";
import { initialParameters } from "../../src/nn/init.ts";
import { zooModel } from "../../src/nn/zoo.ts";
import { VERSION } from "../../src/run/environment.ts";
import { COMMANDS } from "../../scripts/main.ts";
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "../assert.ts";
import { granted } from "../permissions.ts";
import { namesIn, withTempDir } from "../temp.ts";
import { linesOf, type Outcome, ROOT } from "./command.ts";
import { canIsolate, compiledProgram, runBash, runProgram } from "./compiled_program.ts";

const MAX_BYTES = 118e6;
const program = await compiledProgram();
const isolated = await canIsolate();
const ignore = program === undefined;
const hasAdapter = (await describeAdapters()).length > 0;
const [realFolder] = datasetEntry("fashion-mnist").systemFolders;
const hasRealSet = granted({ name: "read", path: realFolder }) &&
  (await namesIn(realFolder!)).length > 0;

type Run = (args: readonly string[]) => Promise<Outcome>;

/** Moves a copy of the program to a new folder and runs it there, with an empty home.
 *
 * Without a home, graphics drivers find their cache of shaders: compiling LeNet's takes them long.
 */
async function withProgram(
  body: (run: Run, folder: string, home: string) => Promise<void>,
  { hasHome = true } = {},
): Promise<void> {
  await withTempDir(async (temp) => {
    const [home, folder] = [`${temp}/home`, `${temp}/work`];
    await Promise.all([home, folder].map((path) => Deno.mkdir(path)));
    await Deno.copyFile(program!, `${temp}/lenet`);
    const run: Run = (args) =>
      runProgram(`${temp}/lenet`, args, { cwd: folder, isolated, ...(hasHome && { home }) });
    await body(run, folder, home);
  });
}

/** Trains a few steps on both engines of this project and compares the losses. */
async function trainOnBoth(run: Run, dataset: string, count: number): Promise<void> {
  const losses = [];
  for (const backend of ["wasm", "webgpu"]) {
    const { code, stdout, stderr } = await run([
      ...["train", "--dataset", dataset, "--backend", backend, "--threads", "2", "--json"],
      ...["--max-steps", "3", "--out", `runs/${backend}`],
    ]);
    assertEquals(code, 0, stderr);
    const [start, epoch] = linesOf(stdout).map((line) => JSON.parse(line));
    assertEquals([start.backend, start.dataset.trainCount], [backend, count]);
    if (backend === "wasm") assertEquals(start.device.threads, 2);
    losses.push(epoch.trainLoss);
  }
  assertAlmostEquals(losses[0], losses[1], 1e-4);
}

Deno.test({
  name: "compiled: one file below 118 MB, listed with its digest, says its version",
  ignore,
  fn: async () => {
    assert((await Deno.stat(program!)).size < MAX_BYTES);
    const sums = await runBash("sha256sum --check SHA256SUMS", [], { cwd: `${ROOT}dist` });
    assertEquals(sums.code, 0);
    assertMatch(sums.stdout, /^lenet: OK$/m);
    // On a machine without npm, apt-get and the like nothing is said about it.
    const bare = 'PATH=/nonexistent exec "$@"';
    const { code, stdout, stderr } = await runBash(bare, [program!, "--version"], { cwd: "/" });
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, new RegExp(`^lenet ${VERSION} \\(Deno \\S+, V8 \\S+, \\w+ \\w+\\)\n$`));
  },
});

Deno.test({
  name: "compiled: help begins with the common case, and every command calls itself lenet",
  ignore,
  fn: () =>
    withProgram(async (run) => {
      const [help, bare] = await Promise.all([run(["--help"]), run([])]);
      assertEquals([help.code, help.stderr], [0, ""]);
      assertEquals(bare, help);
      assertMatch(
        help.stdout,
        /Usage: lenet COMMAND \[flags\]\n\nExamples:\n {2}# .+\n {2}lenet train\n/,
      );
      for (const name of [...Object.keys(COMMANDS), "completion"]) {
        assertMatch(help.stdout, new RegExp(`\n  ${name} +[A-Z]`));
        const { code, stdout, stderr } = await run([name, "--help"]);
        assertEquals([name, code, stderr], [name, 0, ""]);
        assertStringIncludes(stdout, `\nUsage: lenet ${name} `);
        assert(!stdout.includes("deno task"), `lenet ${name} --help speaks of deno task`);
      }
    }),
});

Deno.test({
  name: "compiled: trains, evaluates, predicts and exports with nothing but itself",
  ignore,
  fn: () =>
    withProgram(async (run, folder, home) => {
      const trained = await run([
        ...["train", "--dataset", "sample", "--backend", "wasm", "--threads", "2"],
        ...["--model", "softmax", "--epochs", "2", "--out", "runs/first"],
      ]);
      assertEquals([trained.code, trained.stderr], [0, ""]);
      assertMatch(trained.stdout, /^Backend +wasm: .*, 2 threads$/m);
      const metrics = linesOf(await Deno.readTextFile(`${folder}/runs/first/metrics.jsonl`));
      const { testAccuracy } = JSON.parse(metrics.at(-1)!);
      assert(testAccuracy > 0.5);

      const newest = [0, "note: runs/first: it is the newest run below runs/\n"];
      const evaluated = await run(["eval", "--json", "--backend", "wasm"]);
      assertEquals([evaluated.code, evaluated.stderr], newest);
      assertEquals(JSON.parse(evaluated.stdout).accuracy, testAccuracy);

      const { test } = await loadDataset("sample");
      const trouser = test.labels.indexOf(1);
      const data = test.images.slice(trouser * 784, (trouser + 1) * 784);
      const size = { width: 28, height: 28, channels: 1 };
      await Deno.writeFile(`${folder}/trouser.png`, encode({ ...size, data }));
      const predicted = await run(["predict", "trouser.png", "--json", "--backend", "wasm"]);
      assertEquals([predicted.code, predicted.stderr], newest);
      assertEquals(JSON.parse(predicted.stdout).className, "Trouser");
      // Its decoders lie within it.
      const names = ["rgb.bmp", "plain.gif", "baseline.jpg", "rgb.png", "lossless.webp"];
      await Deno.mkdir(`${folder}/kinds`);
      for (const name of names) {
        await Deno.copyFile(`${ROOT}tests/fixtures/pictures/${name}`, `${folder}/kinds/${name}`);
      }
      const kinds = await run(["predict", "kinds", "--json", "--backend", "wasm"]);
      assertEquals([kinds.code, linesOf(kinds.stdout).length], [0, names.length], kinds.stderr);

      const exported = await run(["export", "--format", "tfjs", "--out", "exports/web"]);
      assertEquals([exported.code, exported.stderr], newest);
      assertEquals(await namesIn(`${folder}/exports/web`), ["model.json", "weights.bin"]);

      assertEquals(await namesIn(folder), ["exports", "kinds", "runs", "trouser.png"]);
      assertEquals(await namesIn(home), []);
    }),
});

Deno.test({
  name: "compiled: trains LeNet on the sample, wasm and webgpu alike",
  ignore: ignore || !hasAdapter,
  fn: () => withProgram((run) => trainOnBoth(run, "sample", 5_000), { hasHome: false }),
});

Deno.test({
  name: "compiled: trains LeNet on the whole of Fashion-MNIST, wasm and webgpu alike",
  ignore: ignore || !hasAdapter || !hasRealSet,
  fn: () => withProgram((run) => trainOnBoth(run, "fashion-mnist", 60_000), { hasHome: false }),
});

Deno.test({
  name: "compiled: every backend is part of it, and takes the same step",
  ignore,
  fn: () =>
    withProgram(async (run) => {
      const loss = async (backend: string) => {
        const { code, stdout, stderr } = await run(
          [
            ...["train", "--dry-run", "--dataset", "sample", "--model", "softmax"],
            ...["--batch-size", "64", "--backend", backend, "--json"],
          ],
        );
        assertEquals(code, 0, `${backend}: ${stderr}`);
        return JSON.parse(linesOf(stdout).at(-1)!).loss;
      };
      const others = ["wasm", "tfjs-cpu", "tfjs-wasm", ...(hasAdapter ? ["tfjs-webgpu"] : [])];
      const expected = await loss("reference");
      for (const name of others) assertAlmostEquals(await loss(name), expected, 1e-5, name);
    }),
});

Deno.test({
  name: "compiled: what the user names is written, also outside of the program's own folders",
  ignore: ignore || !isolated,
  fn: () =>
    withTempDir(async (folder) => {
      const weights = `${folder}/model.safetensors`;
      const model = zooModel("softmax");
      const parameters = initialParameters(model, 1);
      await Deno.writeFile(weights, encodeSafetensorsModel({ model, parameters }));
      const line = "exec unshare --map-root-user --mount bash -c " +
        `'mount -t tmpfs none /mnt && "$@" >&2 && ls /mnt/new' bash "$@"`;
      const out = ["--format=onnx", "--out=/mnt/new/model.onnx", `--weights=${weights}`];
      const { code, stdout, stderr } = await runBash(line, [program!, "export", ...out]);
      assertEquals([code, stdout], [0, "model.onnx\n"], stderr);
    }),
});

Deno.test({
  name: "compiled: is tested where there is no network but the loopback, and no project",
  ignore: ignore || !isolated,
  fn: async () => {
    const see = 'tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d " "; ls -A "$0"';
    const { code, stdout } = await runProgram("bash", ["-c", see, ROOT], { cwd: "/", isolated });
    assertEquals([code, stdout], [0, "lo\n"]);
  },
});

Deno.test({
  name: "compiled: mistakes end with 2, what may not be with 1, each with one line",
  ignore,
  fn: () =>
    withProgram(async (run, folder) => {
      const cases: [string[], number, RegExp][] = [
        [["trian"], 2, /^error: Unknown command trian: did you mean train\?/],
        [["--epochs", "3"], 2, /^error: Unknown flag --epochs: expected a command first, one of/],
        [["train", "--epcohs", "3"], 2, /^error: Unknown flag --epcohs: did you mean --epochs\?/],
        [["completion", "tcsh"], 2, /^error: Unknown shell "tcsh": expected one of bash, zsh/],
        [
          ["fetch", "mnist", "--quiet", "--from", "https://example.org/"],
          1,
          /no permission to reach example.org; the compiled program may only use the homes of/,
        ],
        [["predict", "shoe.png"], 1, /^error: Cannot find a run below runs\/: train one/],
        [["eval", "--weights", "none"], 1, /^error: No such file or folder \("none"\)/],
      ];
      for (const [args, expected, message] of cases) {
        const { code, stdout, stderr } = await run(args);
        assertEquals([args, code, stdout], [args, expected, ""]);
        assertMatch(stderr, message);
        assertEquals(linesOf(stderr).length, 1);
      }
      assertEquals(await namesIn(folder), ["data"]); // where fetch keeps its lock
    }),
});
