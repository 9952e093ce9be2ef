import { assert, assertAlmostEquals, assertEquals, assertMatch } from "../assert.ts";
import { namesIn, withTempDir } from "../temp.ts";
import { canRunCommands, linesOf, ROOT, runDeno, runTask } from "./command.ts";

const ignore = !canRunCommands();

/** Trains for a few steps and hands over the run's folder. */
async function withRun(body: (run: string) => Promise<void>): Promise<void> {
  await withTempDir(async (folder) => {
    const run = `${folder}/runs/first`;
    const { code, stderr } = await runTask("train", [
      ...["--dataset", "sample", "--model", "softmax", "--backend", "wasm", "--quiet"],
      ...["--standardize", "--max-steps", "25", "--out", run],
    ]);
    assertEquals([code, stderr], [0, ""]);
    await body(run);
  });
}

Deno.test({
  name: "eval: a run, its weights and the newest run give the accuracy of the run's own metrics, " +
    "and prepare pixels as it did",
  ignore,
  fn: () =>
    withRun(async (run) => {
      const text = await Deno.readTextFile(`${run}/metrics.jsonl`);
      const { testAccuracy, testLoss } = JSON.parse(linesOf(text).at(-1)!);
      const [json, table, weights, newest] = await Promise.all([
        runTask("eval", ["--run", run, "--json"]),
        runTask("eval", ["--run", run, "--backend", "reference"]),
        runTask("eval", [
          ...["--weights", `${run}/model.safetensors`, "--dataset", "sample"],
          ...["--json", "--backend", "tfjs-wasm"],
        ]),
        runDeno([
          ...["run", "--no-prompt", "--allow-read", `${ROOT}scripts/eval.ts`, "--json"],
          "--backend=reference",
        ], { cwd: `${run}/../..` }),
      ]);
      assertEquals([json.code, json.stderr], [0, ""]);
      const report = JSON.parse(json.stdout);
      assertEquals([report.accuracy, report.count, report.dataset], [testAccuracy, 1000, "sample"]);
      assertAlmostEquals(report.loss, testLoss, 1e-5);
      assertEquals([report.model, report.weights], ["softmax", run]);
      const { model } = JSON.parse(await Deno.readTextFile(`${run}/config.json`));
      const { mean, std } = model.standardization; // of the whole training set: 0.2860 and 0.3530
      assert(Math.abs(mean - 0.286) < 0.005 && Math.abs(std - 0.353) < 0.005, `${mean}, ${std}`);
      const rowSums = report.confusion.map((row: number[]) => row.reduce((sum, n) => sum + n));
      assertEquals(rowSums, Array(10).fill(100));
      report.perClass.forEach((row: { recall: number; support: number }, k: number) => {
        assertEquals([row.support, row.recall], [100, report.confusion[k][k] / 100]);
      });
      assertEquals(weights.stderr, "");
      assertEquals(newest.stderr, "note: runs/first: it is the newest run below runs/\n");
      assertEquals(JSON.parse(newest.stdout).notes, ["it is the newest run below runs/"]);
      for (const other of [weights, newest]) {
        assertEquals(other.code, 0);
        const { confusion, loss } = JSON.parse(other.stdout);
        assertEquals(confusion, report.confusion);
        assertAlmostEquals(loss, report.loss, 1e-5);
      }
      assertEquals([table.code, table.stderr], [0, ""]);
      assertMatch(table.stdout, /^.* \(softmax\) on 1,000 test images of sample, reference\n/);
      assert(table.stdout.includes(`accuracy ${testAccuracy.toFixed(4)}  loss `));
      assertMatch(table.stdout, /\| 9 Ankle boot +\|( +\d+ \|){10}\n$/);
      // The newest run may be a stranger's folder, put there under any name.
      const steering = `${run}/../\x1b[31mred`;
      await Deno.rename(run, steering);
      const answer = await runTask("eval", ["--run", steering, "--backend", "reference"]);
      assertMatch(answer.stdout, /\ufffd\[31mred \(softmax\) on 1,000 test images/);
    }),
});

Deno.test({
  name: "eval: mistakes end with 2, files that cannot be used with 1, each with one line",
  ignore,
  fn: () =>
    withRun(async (run) => {
      const weights = `${run}/model.safetensors`;
      const short = `${run}/../short.safetensors`;
      const whole = await Deno.readFile(weights);
      await Deno.writeFile(short, whole.subarray(0, -1));
      const diverged = `${run}/../diverged.safetensors`;
      const notANumber = new Uint8Array(Float32Array.of(NaN).buffer);
      await Deno.writeFile(diverged, Uint8Array.of(...whole.subarray(0, -4), ...notANumber));
      const before = await namesIn(run);
      const cases: [string[], number, RegExp][] = [
        [["--run", run, "--weights", weights], 2, /Cannot use --run and --weights together/],
        [["--run", run, "--model", "mlp"], 2, /Cannot use --model without --weights/],
        [["--wieghts", weights], 2, /Unknown flag --wieghts: did you mean --weights\?/],
        [["--run", `${run}/none`], 1, /Cannot find a run in .*none: it has no config.json/],
        [["--weights", short], 1, /Cannot read .*short.* "fc.bias" ends at byte \d+, the file at/],
        [["--weights", diverged], 1, /Cannot use .*: expected numbers in "fc.bias", found NaN;/],
        [["--weights", `${run}/config.json`], 1, /Cannot read .*config.json as a LayersModel: /],
        [["--weights", `${run}/none`], 1, /No such file or folder \(".*none"\)/],
        [
          ["--weights", weights, "--model", "mlp"],
          1,
          /into model "mlp": expected linear, .* leave --model out/,
        ],
        [["--run", run, "--dataset", `${run}/none`], 1, /Unknown dataset ".*none": expected one/],
      ];
      const outcomes = await Promise.all(cases.map(([args]) => runTask("eval", args)));
      outcomes.forEach(({ code, stdout, stderr }, n) => {
        assertEquals([code, stdout, linesOf(stderr).length], [cases[n][1], "", 1], stderr);
        assertMatch(stderr, /^error: /);
        assertMatch(stderr, cases[n][2]);
      });
      assertEquals(await namesIn(run), before);
    }),
});

Deno.test({
  name: "eval, predict, export: a newest run whose training diverged says so, and what it kept",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const train = (name: string, ...args: string[]) =>
        runTask("train", [
          ...["--dataset", "sample", "--model", "lenet-relu", "--backend", "wasm", "--quiet"],
          ...["--out", `${folder}/runs/${name}`, ...args],
        ]);
      const run = (script: string, ...args: string[]) =>
        runDeno([
          ...["run", "--no-prompt", "--allow-read", `--allow-write=${folder}`],
          ...[`${ROOT}scripts/${script}.ts`, ...args],
        ], { cwd: folder });
      assertMatch((await train("diverged", "--lr", "1000")).stderr, /training has diverged; try/);
      const message =
        /^error: Cannot use runs\/diverged, the newest run: its training diverged before a model was saved; train again with a --lr below 1000, or name another run with --run\n$/;
      const outcomes = await Promise.all([
        run("eval", "--dataset", "sample"),
        run("predict", "x.png"),
        run("export", "--format", "onnx"),
      ]);
      for (const { code, stdout, stderr } of outcomes) {
        assertEquals([code, stdout], [1, ""]);
        assertMatch(stderr, message);
      }
      // One that had saved a model before is used, and says the same.
      const kept = `${folder}/runs/kept`;
      await train("kept", "--max-steps", "1", "--lr", "0.0001");
      const config = JSON.parse(await Deno.readTextFile(`${kept}/config.json`));
      const diverged = "The loss became NaN at step 9: training has diverged";
      await Deno.writeTextFile(`${kept}/config.json`, JSON.stringify({ ...config, diverged }));
      const { code, stderr } = await run("eval", "--dataset", "sample", "--backend", "wasm");
      assertEquals([code, linesOf(stderr)], [0, [
        "note: runs/kept: it is the newest run below runs/",
        `note: runs/kept: its training diverged later, this is what it saved before: ${diverged}`,
      ]]);
      // What a run says of itself twice must be the same.
      await Deno.copyFile(`${kept}/config.json`, `${folder}/config.json`);
      const other = JSON.stringify({ ...config, model: { ...config.model, name: "another" } });
      await Deno.writeTextFile(`${kept}/config.json`, other);
      assertMatch(
        (await run("eval")).stderr,
        /model.safetensors describes another model than conf/,
      );
    }),
});
