/** `train` as a user runs it: on the sample, a few steps, real files, real signals. */
import { encodeOnnx } from "../../src/formats/onnx/file.ts";
import { toTensors } from "../../src/formats/safetensors/state_dict.ts";
import { decodeSafetensors, encodeSafetensors } from "../../src/formats/safetensors/file.ts";
import { encodeSafetensorsModel } from "../../src/formats/safetensors/model.ts";
import { initialParameters } from "../../src/nn/init.ts";
import { flatten, linear, tanh } from "../../src/nn/layers.ts";
import { sequential } from "../../src/nn/sequential.ts";
import { zooModel } from "../../src/nn/zoo.ts";
import { parseRunConfig } from "../../src/run/config.ts";
import { readCheckpoint } from "../../src/run/checkpoint.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { namesIn, withTempDir } from "../temp.ts";
import {
  canRunCommands,
  linesOf,
  ROOT,
  runDeno,
  runTask,
  startDeno,
  withoutWaiting,
} from "./command.ts";

const ignore = !canRunCommands();
const SAMPLE = ["--dataset", "sample"];
const SOFTMAX = [...SAMPLE, "--model", "softmax", "--backend", "wasm"];

const RUN_FILES = [
  "best.safetensors",
  "checkpoint.previous.safetensors",
  "checkpoint.safetensors",
  "config.json",
  "curves.svg",
  "metrics.jsonl",
  "model",
  "model.safetensors",
  "report.html",
];

async function readLines(path: string) {
  return linesOf(await Deno.readTextFile(path)).map((line) => JSON.parse(line));
}

Deno.test({
  name: "train: a short run writes all its files, says so, and guards them",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const out = `${folder}/run`;
      const { code, stdout, stderr } = await runTask("train", [
        ...SAMPLE,
        ...["--epochs", "2", "--batch-size", "300", "--log-steps", "--seed", "7", "--out", out],
        "--live", // nothing of it in a pipe
      ]);
      assertEquals([code, stderr], [0, ""]);
      assertEquals(linesOf(stdout).filter((line) => line.length > 80), []);
      // What does not fit goes on in the next line.
      const lines = linesOf(stdout.replace(/\n +/g, " "));
      assertEquals(lines.length, 12);
      assertEquals(lines.slice(0, 2), [
        "Model    lenet, 61,706 parameters",
        "Data     sample, 5,000 training and 1,000 test images, 10 classes",
      ]);
      assertMatch(lines[2], /^Backend {2}[a-z-]+: .+; .*WebGPU/);
      assertEquals(
        lines[3],
        "Recipe   2 epochs, batch 300, sgd, constant learning rate 0.2, seed 7",
      );
      assertEquals(lines[4], `Run      ${out}`);
      const numbers =
        /^epoch 1\/2 {2}loss 2\.\d{3} {2}acc 0\.\d{3} {2}test acc 0\.\d{3} {2}\d+\.\d s {2}[\d,]+ img\/s$/;
      assertMatch(lines[5], numbers);
      // Two epochs at this rate teach nothing.
      assertMatch(lines[7], /^Done, but test accuracy 0\.\d{3} is (no|not clearly) better than/);
      assertMatch(lines[8], /^after 34 steps, \d+\.\d s with evaluation/);
      assertMatch(lines[9], /^Try --epochs 6, --lr 0\.04, and look at the images in report\.html$/);
      assertMatch(lines[10], /^Best: epoch \d, test accuracy 0\.\d{3}, chosen on the test set/);
      assert(!stdout.includes("\u001b"), "escape codes in a pipe");

      assertEquals(await namesIn(out), [...RUN_FILES, "steps.jsonl"]);
      const report = await Deno.readTextFile(`${out}/report.html`);
      assertMatch(report, /^<!DOCTYPE html>.*lenet on sample.*Most often/s);
      assertEquals(await namesIn(`${out}/model`), ["model.json", "weights.bin"]);
      assertEquals((await Deno.stat(`${out}/model/weights.bin`)).size, 4 * 61_706);

      const epochs = await readLines(`${out}/metrics.jsonl`);
      assertEquals(
        epochs.map((line) => Object.keys(line).join()),
        Array(2).fill(
          "epoch,step,trainLoss,trainAccuracy,testLoss,testAccuracy,trainMs,evalMs,imagesPerSecond",
        ),
      );
      assertEquals(epochs.map(({ epoch, step }) => [epoch, step]), [[1, 17], [2, 34]]);
      const steps = await readLines(`${out}/steps.jsonl`);
      assertEquals(steps.map(({ step }) => step), Array.from({ length: 34 }, (_, n) => n + 1));
      assertEquals(Object.keys(steps[0]), ["step", "loss", "correct", "batchSize"]);
      assertEquals([steps[15].batchSize, steps[16].batchSize, steps[33].batchSize], [
        300,
        200,
        200,
      ]);
      const lossSum = steps.slice(0, 17).reduce((sum, step) => sum + step.loss * step.batchSize, 0);
      assert(Math.abs(epochs[0].trainLoss - lossSum / 5_000) < 1e-6, "steps and epochs differ");

      const text = await Deno.readTextFile(`${out}/config.json`);
      const config = parseRunConfig(text, "config.json");
      assertEquals([config.plan.seed, config.plan.batchSize, config.plan.epochs], [7, 300, 2]);
      assertEquals([config.dataset.name, config.dataset.digest.length], ["sample", 64]);
      assertEquals(config.environment.deno, Deno.version.deno);
      assert(!text.includes(ROOT) && !text.includes("/tmp"), "an absolute path in config.json");
      const file = await Deno.readFile(`${out}/model.safetensors`);
      const { tensors } = decodeSafetensors(file, "model.safetensors");
      assertEquals(tensors.get("conv2.weight")!.shape, [16, 6, 5, 5]);
      assertMatch(await Deno.readTextFile(`${out}/curves.svg`), /^<svg .*lenet on sample/s);

      const again = await runTask("train", [...SAMPLE, "--out", out]);
      assertEquals([again.code, again.stdout], [1, ""]);
      assertMatch(
        again.stderr,
        /^error: Cannot start in .* it holds .* already; .*--resume .*\n$/,
      );
      const ended = await runTask("train", ["--resume", out, "--quiet", "--json"]);
      assertEquals(ended.code, 0);
      assertEquals(JSON.parse(linesOf(ended.stdout).at(-1)!).step, 34);
      assertEquals(await Deno.readFile(`${out}/model.safetensors`), file);
    }),
});

Deno.test({
  name: "train: --json prints JSON lines only, --quiet nothing, and a target ends a run early",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const [json, quiet] = await Promise.all([
        runTask("train", [
          ...SOFTMAX,
          ...["--json", "--live", "--target-accuracy=0.3", `--out=${folder}/json`],
        ]),
        runTask("train", [...SOFTMAX, "--quiet", "--max-steps=3", `--out=${folder}/quiet`]),
      ]);
      assertEquals([json.code, json.stderr], [0, ""]);
      const events = linesOf(json.stdout).map((line) => JSON.parse(line));
      assertEquals(events.map(({ type }) => type), ["start", "epoch", "end"]);
      const [start, epoch, end] = events;
      assertEquals([start.out, start.model.name], [`${folder}/json`, "softmax"]);
      assert(epoch.testAccuracy >= 0.3 && epoch.imagesPerSecond > 0);
      assertEquals([end.outcome, end.bestAccuracy], ["target reached", epoch.testAccuracy]);
      assertEquals(quiet, { code: 0, stdout: "", stderr: "" });
      const [{ step }] = await readLines(`${folder}/quiet/metrics.jsonl`);
      assertEquals(step, 3);
    }),
});

Deno.test({
  name: "train: --dry-run shows that all works, without permission to write or to fetch anything",
  ignore,
  async fn() {
    const script = `${ROOT}scripts/train.ts`;
    const run = (...args: string[]) =>
      runDeno(["run", "--no-prompt", "--allow-read", script, "--dry-run", ...args], {
        env: { XDG_RUNTIME_DIR: "/tmp" }, // else Mesa complains where it is not set
      });
    const [plain, quiet, missing] = await Promise.all([
      run(...SAMPLE),
      run(...SOFTMAX, "--quiet"),
      run("--dataset", `${ROOT}docs/generator`),
    ]);
    assertEquals([plain.code, plain.stderr], [0, ""]);
    assertMatch(plain.stdout, /\nDry run: one step, loss 2\.\d{3}; nothing was written\n$/);
    assertEquals(quiet, { code: 0, stdout: "", stderr: "" });
    assertEquals([missing.code, missing.stdout], [1, ""]);
    assertMatch(
      missing.stderr,
      /^error: Cannot use ".*generator" as a dataset: expected a folder of pictures .*\n$/,
    );
  },
});

Deno.test({
  name: "train: a run that Ctrl-C stopped and --resume went on with ends in the very same bits",
  ignore: ignore || Deno.build.os === "windows",
  fn: () =>
    withTempDir(async (folder) => {
      const [stopped, whole] = [`${folder}/stopped`, `${folder}/whole`];
      const recipe = [
        ...SAMPLE,
        ...["--model", "mlp", "--backend", "wasm", "--batch-size", "32", "--log-steps"],
        ...["--optimizer", "momentum", "--threads", "2", "--standardize"],
      ];
      const child = startDeno([
        ...["task", "--quiet", "train", ...recipe, "--epochs", "1000", "--out", stopped],
      ]);
      const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
      let stdout = "";
      while (!stdout.includes("\nepoch ")) stdout += (await reader.read()).value ?? "";
      child.kill("SIGINT");
      for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
        stdout += chunk.value;
      }
      const stderr = await new Response(child.stderr).text();
      assertEquals((await child.status).code, 130);
      assertEquals(
        withoutWaiting(stderr),
        "Stopping after this step; Ctrl-C again ends at once\n",
      );
      const [, step] =
        /\nStopped after step ([\d,]+); everything is saved\. Go on with:\n {2}deno task train --resume (.*)\n$/
          .exec(stdout) ?? [];
      const model = zooModel("mlp");
      const { progress } = await readCheckpoint(`${stopped}/checkpoint.safetensors`, model);
      assertEquals(Number(step.replace(",", "")), progress.step);
      assert(progress.epochsDone >= 1);
      const report = (await Deno.readTextFile(`${stopped}/report.html`)).replace(/\s+/g, " ");
      assertStringIncludes(report, "The run was interrupted after step");

      const epochs = String(progress.epochsDone + 2);
      const resumed = await runTask("train", [
        "--resume",
        stopped,
        "--epochs",
        epochs,
        "--log-steps",
      ]);
      assertEquals(resumed.code, 0);
      assertMatch(resumed.stderr, /^Going on after epoch \d+, step \d+\n$/);
      await runTask("train", [...recipe, "--epochs", epochs, "--out", whole, "--quiet"]);
      for (const name of ["model.safetensors", "steps.jsonl", "model/weights.bin", "curves.svg"]) {
        const [actual, expected] = await Promise.all([
          Deno.readFile(`${stopped}/${name}`),
          Deno.readFile(`${whole}/${name}`),
        ]);
        assertEquals(actual.length, expected.length, name);
        assert(actual.every((byte, n) => byte === expected[n]), `${name} differs`);
      }
      const untimed = async (path: string) =>
        (await readLines(`${path}/metrics.jsonl`)).map(
          ({ trainMs: _, evalMs: __, imagesPerSecond: ___, ...line }) => line,
        );
      assertEquals(await untimed(stopped), await untimed(whole));
      const { resumed: record } = JSON.parse(await Deno.readTextFile(`${stopped}/config.json`));
      assertEquals(record.map((line: { step: number }) => line.step), [progress.step]);
    }),
});

Deno.test({
  name: "train: --init, --no-shuffle and --max-steps do what they say",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const recipe = [...SOFTMAX, "--no-shuffle", "--max-steps", "2", "--log-steps"];
      const first = await runTask("train", [...recipe, "--seed=1", `--out=${folder}/first`]);
      assertEquals(first.code, 0);
      assertStringIncludes(first.stdout, "at most 2 steps, batch 256");
      assertMatch(first.stdout, /seed 1,\s+not shuffled\n/);
      const outcomes = await Promise.all(["2", "3"].map((seed) =>
        runTask("train", [
          ...recipe,
          ...["--init", `${folder}/first/model.safetensors`, "--seed", seed],
          ...["--out", `${folder}/seed${seed}`],
        ])
      ));
      assertMatch(
        outcomes[0].stdout,
        /^Model {4}softmax, 7,850 parameters from .*model.safetensors\n/,
      );
      // Neither the initial parameters nor the order depend on the seed any more.
      const [one, other] = await Promise.all(
        ["2", "3"].map((seed) => Deno.readTextFile(`${folder}/seed${seed}/steps.jsonl`)),
      );
      assertEquals(one, other);
      const losses = [
        ...await readLines(`${folder}/first/steps.jsonl`),
        ...one.trim().split("\n").map(
          (line) => JSON.parse(line),
        ),
      ].map(({ loss }) => loss);
      assert(losses[2] < losses[0], "--init did not start where the first run ended");
    }),
});

Deno.test({
  name: "train: a run that is not given a folder finds one of its own, also within the same second",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      for (let second = 0; second < 60; second++) {
        const stamp = new Date(Date.now() + 1_000 * second).toISOString().replace(/[-:]/g, "");
        const taken = `${folder}/runs/softmax-${stamp.slice(0, 8)}-${stamp.slice(9, 15)}`;
        await Deno.mkdir(taken, { recursive: true });
      }
      const { code, stdout } = await runDeno([
        ...["run", "--no-prompt", "--allow-read", `--allow-write=${folder}`],
        ...[`${ROOT}scripts/train.ts`, ...SOFTMAX, "--max-steps=1", "--json"],
      ], { cwd: folder });
      assertEquals(code, 0);
      assertMatch(JSON.parse(linesOf(stdout)[0]).out, /^runs.softmax-\d{8}-\d{6}-2$/);
    }),
});

Deno.test({
  name:
    "train: --init takes layers, pixels and classes of its file, and refuses flags that say otherwise",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const model = zooModel("lenet-relu", { standardization: { mean: 0.25, std: 0.5 } });
      const parameters = initialParameters(model, 4);
      const foreign = sequential([flatten(), linear({ name: "one", outFeatures: 10 }), tanh()]);
      const small = zooModel("softmax", { inputShape: [1, 8, 8], classCount: 3 });
      const files: Record<string, Uint8Array> = {
        "own.safetensors": encodeSafetensorsModel({ model, parameters }),
        "own.onnx": encodeOnnx({ model, parameters }),
        "bare.safetensors": encodeSafetensors({
          tensors: toTensors(model, parameters),
          metadata: {},
        }),
        "foreign.safetensors": encodeSafetensorsModel({
          model: foreign,
          parameters: initialParameters(foreign, 0),
        }),
        "small.safetensors": encodeSafetensorsModel({
          model: small,
          parameters: initialParameters(small, 0),
        }),
      };
      for (const [name, bytes] of Object.entries(files)) {
        await Deno.writeFile(`${folder}/${name}`, bytes);
      }
      const run = (name: string, ...args: string[]) =>
        runTask("train", [
          ...[...SAMPLE, "--backend", "wasm", "--dry-run", "--json", "--init", `${folder}/${name}`],
          ...args,
        ]);
      const started = async (name: string, ...args: string[]) => {
        const { code, stdout, stderr } = await run(name, ...args);
        assertEquals(code, 0, stderr);
        const [{ model, notes }, { loss }] = linesOf(stdout).map((line) => JSON.parse(line));
        assertEquals(linesOf(stderr), (notes ?? []).map((note: string) => `note: ${note}`));
        return { model, notes: notes ?? [], loss };
      };
      const [own, onnx, named, bare, other] = await Promise.all([
        started("own.safetensors"),
        started("own.onnx"),
        started("own.safetensors", "--model", "lenet-relu", "--standardize"),
        started("bare.safetensors", "--model", "lenet-relu"),
        started("foreign.safetensors"),
      ]);
      for (const each of [own, onnx, named]) {
        assertEquals([each.model.name, each.model.standardization.std], ["lenet-relu", 0.5]);
        assertEquals(each.loss, own.loss);
      }
      assertEquals([own.notes, named.notes.length], [[], 1]);
      assertEquals(bare.model.standardization, { mean: 0, std: 1 });
      assertStringIncludes(bare.notes[0], 'taken for "lenet-relu"');
      assert(bare.loss !== own.loss);
      assertEquals(other.model.layers.at(-1).type, "tanh");
      assertStringIncludes(other.notes[0], "lenet-relu's recipe trains it");
      const cases: [string, string[], RegExp][] = [
        [
          "own.safetensors",
          ["--model", "lenet"],
          /into model "lenet": expected sigmoid, .*--model o/,
        ],
        ["own.onnx", ["--model", "lenet"], /into model "lenet": expected sigmoid, .* found relu/],
        [
          "own.onnx",
          ["--normalize"],
          /with --normalize: its pixels are \(pixel \/ 255 - 0.25\) \/ 0.5;/,
        ],
        [
          "foreign.safetensors",
          ["--standardize"],
          /with --standardize: its pixels are pixel \/ 255;/,
        ],
        ["own.onnx", ["--image-size", "32"], /with --image-size 32: its images are 28 x 28; leave/],
        ["bare.safetensors", [], /are those of lenet, .*; say which with --model lenet\|lenet-d2l/],
        [
          "small.safetensors",
          [],
          /takes images of \[1, 8, 8\], those of dataset "sample" are \[1, 28, 28\]/,
        ],
      ];
      const outcomes = await Promise.all(cases.map(([name, args]) => run(name, ...args)));
      outcomes.forEach(({ code, stdout, stderr }, n) => {
        assertEquals([code, stdout, linesOf(stderr).length], [1, "", 1], stderr);
        assertMatch(stderr, cases[n][2]);
      });
    }),
});

Deno.test({
  name: "train: what reached the target is said, not the best whole epoch",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const { stdout } = await runTask("train", [
        ...[...SOFTMAX, "--lr", "0.005", "--epochs", "3", "--max-steps", "39"],
        ...["--target-accuracy", "0.53", "--out", `${folder}/run`],
      ]);
      const [first, last] = linesOf(await Deno.readTextFile(`${folder}/run/metrics.jsonl`))
        .map((line) => JSON.parse(line).testAccuracy);
      assert(first < 0.53 && last >= 0.53, `${first}, ${last}`);
      assertStringIncludes(stdout, `\nReached the target: test accuracy ${last.toFixed(3)}\n`);
    }),
});

Deno.test({
  name: "train: --resume with other --epochs says what that does to the learning rate",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const out = `${folder}/run`;
      const { code } = await runTask("train", [
        ...[...SOFTMAX, "--schedule", "cosine", "--epochs", "2", "--quiet", "--out", out],
      ]);
      assertEquals(code, 0);
      const resumed = await runTask("train", ["--resume", out, "--epochs", "4", "--json"]);
      const note = "the cosine learning rate now goes over 4 epochs, not 2: it goes on at 0.05 " +
        "instead of 0";
      assertEquals(linesOf(resumed.stderr)[0], `note: ${note}`);
      assertEquals(JSON.parse(linesOf(resumed.stdout)[0]).notes, [note]);
      // What the length of the run does not decide goes on as it was.
      const more = `${folder}/more`;
      const step = ["--schedule", "step", "--step-size", "2", "--warmup", "1"];
      const args = [...SOFTMAX, ...step, "--epochs", "2", "--quiet", "--out", more];
      assertEquals((await runTask("train", args)).code, 0);
      const longer = await runTask("train", ["--resume", more, "--epochs", "4", "--json"]);
      assertEquals([longer.code, linesOf(longer.stderr).length], [0, 1]);
      assertEquals(JSON.parse(linesOf(longer.stdout)[0]).notes, undefined);
      // An epoch that has begun cannot be taken back; very many ask for no list of their rates.
      const cut = `${folder}/cut`;
      const begun = ["--epochs", "3", "--max-steps", "30", "--quiet", "--out", cut];
      assertEquals((await runTask("train", [...SOFTMAX, ...begun])).code, 0);
      const fewer = await runTask("train", ["--resume", cut, "--epochs", "1"]);
      assertEquals([fewer.code, linesOf(fewer.stderr).length], [2, 1], fewer.stderr);
      assertMatch(fewer.stderr, /: epoch 2 has begun; give --epochs 2 or more$/m);
      const many = ["--epochs", "1000000", "--max-steps", "31"];
      assertEquals((await runTask("train", ["--resume", cut, ...many])).code, 0);
    }),
});
