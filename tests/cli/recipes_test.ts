/** Modern recipes as a user asks for them: losses, schedules, patience, in runs, reports and sweeps. */

import { readClassWeights } from "../../src/cli/class_weights.ts";
import { decodeSafetensors } from "../../src/formats/safetensors/file.ts";
import { sha256Hex } from "../../src/sha256.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "../assert.ts";
import { namesIn, withTempDir } from "../temp.ts";
import { canRunCommands, linesOf, runTask } from "./command.ts";

const ignore = !canRunCommands();
const SOFTMAX = ["--dataset", "sample", "--model", "softmax", "--backend", "wasm", "--threads=1"];

/** Gets worse on held-out images after a few epochs. */
const RECIPE = [
  ...[...SOFTMAX, "--epochs=12", "--valid-split=0.2", "--optimizer=adamw", "--betas=0.9,0.99"],
  ...["--lr=0.05", "--schedule=cosine", "--warmup=0.25", "--label-smoothing=0.1"],
  ...["--class-weights=balanced", "--clip-norm=1", "--patience=2", "--monitor=loss"],
];

async function parametersOf(path: string) {
  const { tensors } = decodeSafetensors(await Deno.readFile(path), path);
  const vectors = [...tensors].map((
    [name, { data }],
  ) => [name, sha256Hex(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))]);
  return Object.fromEntries(vectors);
}

async function linesIn(path: string) {
  return linesOf(await Deno.readTextFile(path)).map((line) => JSON.parse(line));
}

/** Metrics without times. */
function resultsOf(history: readonly Record<string, number>[]) {
  return history.map(({ trainMs: _t, evalMs: _e, imagesPerSecond: _r, ...results }) => results);
}

Deno.test({
  name: "train: a run that gets no better ends with its best model, also when it was cut in two",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const [whole, cut] = [`${folder}/whole`, `${folder}/cut`];
      const { code, stdout } = await runTask("train", [...RECIPE, "--json", "--out", whole]);
      assertEquals(code, 0);
      const events = linesOf(stdout).map((line) => JSON.parse(line));
      const [start, end] = [events[0], events.at(-1)];
      assertEquals(start.loss, { labelSmoothing: 0.1, classWeights: Array(10).fill(1) });
      assertEquals(start.measured, "plain cross-entropy, but for trainLoss");
      assertEquals([start.clipNorm, start.plan.warmup, start.plan.patience], [1, 0.25, 2]);
      const history = await linesIn(`${whole}/metrics.jsonl`);
      const losses = history.map(({ validationLoss }) => validationLoss);
      const best = 1 + losses.indexOf(Math.min(...losses));
      assertEquals([end.outcome, end.restored, end.sinceBest], ["no improvement", true, 2]);
      assertEquals([history.length, end.best.epoch], [best + 2, best]);
      assertEquals(end.best.loss, losses[best - 1]);
      assertEquals(end.test.accuracy, history[best - 1].testAccuracy);
      const kept = await parametersOf(`${whole}/best.safetensors`);
      assertEquals(await parametersOf(`${whole}/model.safetensors`), kept);
      const report = await Deno.readTextFile(`${whole}/report.html`);
      for (
        const text of [
          "2 epochs were no\nbetter on the validation set",
          `The model is that of epoch ${best}, the best by loss on the validation set`,
          "label smoothing 0.1, class weights all 1",
          "all other losses are plain cross-entropy",
          "cosine learning rate 0.05 after a rise over 0.25 of all steps",
          "chosen by the loss on the validation set",
          "clipped to a norm of 1",
        ]
      ) assertStringIncludes(report.replace(/\s+/g, " "), text.replace(/\s+/g, " "));
      // What evaluates the run's model finds the best epoch's accuracy.
      const evaluated = await runTask("eval", ["--run", whole, "--json"]);
      assertEquals(JSON.parse(evaluated.stdout).accuracy, history[best - 1].testAccuracy);

      const halfway = await runTask("train", [
        ...RECIPE,
        "--max-steps=24",
        "--quiet",
        "--out",
        cut,
      ]);
      assertEquals(halfway.code, 0);
      const resumed = await runTask("train", ["--resume", cut]);
      assertEquals(resumed.code, 0);
      assertStringIncludes(
        resumed.stdout,
        "Ended early: 2 epochs were no better on the validation",
      );
      assertEquals(resultsOf(await linesIn(`${cut}/metrics.jsonl`)), resultsOf(history));
      assertEquals(await parametersOf(`${cut}/model.safetensors`), kept);

      const ended = await runTask("train", ["--resume", cut, "--json"]);
      assertEquals(ended.code, 0);
      assertStringIncludes(
        ended.stderr,
        "Nothing left to train: 2 epochs were no better than the best; go further with --patience 3",
      );
      const more = await runTask("train", ["--resume", cut, "--patience=4", "--json"]);
      assertEquals(more.code, 0);
      const last = JSON.parse(linesOf(more.stdout).at(-1)!);
      assert(last.epochsDone > history.length, `${last.epochsDone} epochs`);
      await Deno.remove(`${cut}/best.safetensors`);
      const lost = await runTask("train", ["--resume", cut, "--patience=9"]);
      assertEquals([lost.code, linesOf(lost.stderr).length], [1, 1], lost.stderr);
      assertStringIncludes(lost.stderr, "best.safetensors");
    }),
});

Deno.test({
  name: "train: weights of classes come from a file that names all of them and no other",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const names = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt"];
      names.push("Sneaker", "Bag", "Ankle boot");
      const all = Object.fromEntries(names.map((name, k) => [name, 0.5 + k]));
      const { Coat: _, ...nine } = all;
      const cases: [string, unknown, RegExp][] = [
        ["unknown", { ...all, Shirts: 2 }, /no class "Shirts".*did you mean Shirt\?/],
        ["missing", nine, /it has no weight for class "Coat"; name all 10 classes/],
        ["short", [1, 2], /it has 2 weights, the dataset 10 classes/],
        ["zero", { ...all, Bag: 0 }, /the weight of "Bag" must be a number from 0.000001.*found 0/],
        ["small", { ...all, Bag: 1e-50 }, /must be a number from .* to 1000000, found 1e-50/],
        ["text", "cat", /expected \{"T-shirt\/top": 1, \.\.\.\} or a list of 10 numbers, found/],
        ["nothing", undefined, /it is not JSON/],
      ];
      await Promise.all(cases.map(async ([name, content, message]) => {
        const file = `${folder}/${name}.json`;
        await Deno.writeTextFile(file, JSON.stringify(content) ?? "{");
        const { message: found } = await assertRejects(() => readClassWeights(file, names), Error);
        assertMatch(found, message);
        assert(!found.includes("\n"), found);
      }));
      const unknown = [`--class-weights=${folder}/unknown.json`, "--out", `${folder}/refused`];
      for (const [command, ...more] of [["train"], ["sweep", "--grid", "seed=1,2"]]) {
        const { code, stdout, stderr } = await runTask(command, [...SOFTMAX, ...unknown, ...more]);
        assertEquals([code, stdout, linesOf(stderr).length], [1, "", 1], stderr);
        assertMatch(stderr, cases[0][2]);
      }
      assertEquals((await namesIn(folder)).filter((name) => !name.endsWith(".json")), []);
      await Deno.writeTextFile(`${folder}/all.json`, JSON.stringify(all));
      const good = [...SOFTMAX, "--epochs=1", `--class-weights=${folder}/all.json`];
      const { code, stdout } = await runTask("train", [...good, "--out", `${folder}/run`]);
      assertEquals(code, 0);
      assertStringIncludes(
        stdout.replace(/\n +/g, " "),
        "Loss     class weights T-shirt/top 0.5, Trouser 1.5, Pullover 2.5",
      );
      const config = JSON.parse(await Deno.readTextFile(`${folder}/run/config.json`));
      assertEquals(config.loss, { classWeights: Object.values(all) });
      // A configuration whose weights are not the classes' is no configuration.
      config.loss.classWeights.pop();
      await Deno.writeTextFile(`${folder}/run/config.json`, JSON.stringify(config));
      const resumed = await runTask("train", ["--resume", `${folder}/run`, "--epochs=2"]);
      assertEquals([resumed.code, linesOf(resumed.stderr).length], [1, 1]);
      assertStringIncludes(resumed.stderr, "it has 9 weights for 10 classes");
    }),
});

Deno.test({
  name: "sweep: recipes are varied and shared, and patience keeps each configuration's best",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const out = `${folder}/sweep`;
      const shared = [...RECIPE.filter((arg) => !arg.startsWith("--label")), "--out", out];
      const grid = ["--grid", "label-smoothing=0,0.2", "--grid", "schedule=cosine,one-cycle"];
      const { code, stdout } = await runTask("sweep", [...shared, ...grid, "--json"]);
      assertEquals(code, 0);
      const results = linesOf(stdout).map((line) => JSON.parse(line));
      assertEquals(results.length, 4);
      for (const { last, bestAccuracy, chosenOn } of results) {
        assertEquals([last.validationAccuracy, chosenOn], [bestAccuracy, "validation"]);
      }
      assert(results[0].last.trainLoss < results[2].last.trainLoss, "smoothing raises the loss");
      // The order of the grid does not matter.
      const again = await runTask("sweep", [...shared, ...grid.slice(2), ...grid.slice(0, 2)]);
      assertEquals(again.code, 0);
      assertStringIncludes(again.stdout, `Going on with ${out}: 4 are done`);
      const { flags } = JSON.parse(await Deno.readTextFile(`${out}/sweep.json`));
      assertEquals([flags.model, flags.optimizer], ["softmax", "adamw"]);
      // Weights of classes are known by what their file says.
      const file = `${folder}/weights.json`;
      const weighted = ["--class-weights", file, "--max-steps", "1", "--grid", "seed=1"];
      const one = [...SOFTMAX, ...weighted, "--quiet", "--out", `${folder}/weighted`];
      const outcomes: number[] = [];
      for (const weight of [1, 1, 2]) {
        await Deno.writeTextFile(file, JSON.stringify([weight, ...new Array(9).fill(1)]));
        outcomes.push((await runTask("sweep", one)).code);
      }
      assertEquals(outcomes, [0, 0, 1]);
      const refused = await runTask("sweep", [...SOFTMAX, "--grid", "gamma=0.1,0.5"]);
      assertEquals(refused.code, 2);
      assertStringIncludes(refused.stderr, "Cannot use --gamma with --schedule constant");
    }),
});
