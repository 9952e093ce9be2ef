/** Colour, from pictures that differ only in hue to all that is made of the model, as a user runs it. */

import { encode } from "fast-png";
import { createRandom } from "../../src/random.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { pngOf, writeFiles } from "../picture_folder.ts";
import { namesIn, withTempDir } from "../temp.ts";
import { canRunCommands, linesOf, runTask } from "./command.ts";

const ignore = !canRunCommands();

/** Red, green and blue that are equally bright by ITU-R BT.601: made grey, nothing tells them apart. */
const HUES = { red: [255, 40, 40], green: [20, 163, 22], blue: [85, 85, 255] } as const;

/** Discs of a hue on noise of the same brightness, at random places; a PNG in colour. */
function disc(hue: keyof typeof HUES, seed: number, side = 20): Uint8Array {
  const random = createRandom(seed, hue);
  const [x, y, radius] = [0, 0, 0].map(() => 6 + random.below(side - 12));
  const data = new Uint8Array(3 * side * side);
  for (let n = 0; n < side * side; n++) {
    const isInside = Math.hypot(n % side - x, Math.floor(n / side) - y) < 3 + radius / 3;
    const noise = random.below(40) - 20;
    const tone = isInside ? HUES[hue] : [104, 104, 104];
    tone.forEach((value, k) => data[3 * n + k] = Math.max(0, Math.min(255, value + noise)));
  }
  return encode({ width: side, height: side, data, channels: 3 });
}

async function writeHues(folder: string, count: number, firstSeed = 0, side?: number) {
  for (const hue of Object.keys(HUES) as (keyof typeof HUES)[]) {
    for (let n = 0; n < count; n++) {
      await writeFiles(folder, { [`${hue}/${n}.png`]: disc(hue, firstSeed + n, side) });
    }
  }
}

const RECIPE = ["--model", "lenet-relu", "--optimizer", "adam", "--lr", "0.002", "--standardize"];

Deno.test({
  name: "classes that differ only in hue are learned in colour, and everything keeps the channels",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const [photos, others, run] = [`${folder}/photos`, `${folder}/others`, `${folder}/run`];
      await writeHues(photos, 60);
      await writeHues(others, 20, 1000);
      const train = (...more: string[]) =>
        runTask("train", [
          ...["--dataset", photos, ...RECIPE, "--batch-size", "8", "--epochs", "5"],
          ...["--backend", "wasm", "--threads", "1", "--json", ...more],
        ]);
      const [trained, grey, dry] = await Promise.all([
        train("--out", run),
        train("--out", `${folder}/grey`, "--channels", "1"),
        train("--dry-run", "--channels", "3"),
      ]);
      assertEquals([trained.code, grey.code, dry.code], [0, 0, 0], trained.stderr + grey.stderr);
      assertEquals(dry.stderr, "note: pictures become 3x28x28: most are smaller than 64\n");
      const accuracy = (stdout: string) => JSON.parse(linesOf(stdout).at(-1)!).test.accuracy;
      assert(accuracy(trained.stdout) >= 0.95, `${accuracy(trained.stdout)}`);
      assert(
        accuracy(grey.stdout) < 0.7,
        `${accuracy(grey.stdout)}: there is no brightness to tell`,
      );
      assertEquals(
        trained.stderr,
        "note: pictures become 3x28x28: 180 of 180 have colour, most are smaller than 64\n",
      );
      const { model, dataset } = JSON.parse(await Deno.readTextFile(`${run}/config.json`));
      assertEquals([model.inputShape, dataset.notes.length], [[3, 28, 28], 1]);
      const report = await Deno.readTextFile(`${run}/report.html`);
      assertStringIncludes(report, "for red, green and blue together");

      const files = { onnx: "model.onnx", safetensors: "model.safetensors", layers: "layers" };
      const exports = await Promise.all([
        runTask("export", ["--run", run, "--format", "onnx", "--out", `${folder}/${files.onnx}`]),
        runTask("export", [
          ...["--run", run, "--format", "tfjs", "--out", `${folder}/${files.layers}`],
        ]),
        runTask("export", ["--run", run, "--format", "html", "--out", `${folder}/page.html`]),
      ]);
      for (const { code, stderr } of exports) assertEquals([code, stderr], [0, ""]);
      assertStringIncludes(await Deno.readTextFile(`${folder}/page.html`), "28x28, in colour");
      const names = ["blue", "green", "red"].map((hue) => `${others}/${hue}/0.png`);
      const predictions = await Promise.all(
        [
          ["--run", run],
          ["--weights", `${folder}/${files.onnx}`],
          ["--weights", `${folder}/${files.layers}`],
          ["--weights", `${run}/best.safetensors`],
        ].map((which) => runTask("predict", [...which, "--backend", "wasm", "--json", ...names])),
      );
      for (const { code, stdout, stderr } of predictions) {
        assertEquals([code, stderr], [0, ""]);
        const answers = linesOf(stdout).map((line) => JSON.parse(line));
        assertEquals(answers.map(({ className }) => className), ["blue", "green", "red"]);
        assertEquals(answers[0].madeGrey, undefined);
      }
      const [evaluated, own, resumed] = await Promise.all([
        runTask("eval", ["--run", run, "--dataset", others, "--json"]),
        runTask("eval", ["--run", run, "--dataset", photos, "--json"]),
        runTask("train", ["--resume", run, "--dataset", photos, "--epochs", "6", "--quiet"]),
      ]);
      assertEquals([evaluated.code, evaluated.stderr], [0, ""]);
      assert(JSON.parse(evaluated.stdout).accuracy >= 0.95);
      assertEquals(JSON.parse(own.stdout).accuracy, accuracy(trained.stdout));
      assertEquals([resumed.code, resumed.stderr], [0, ""]);
    }),
});

Deno.test({
  name: "what does not fit the channels is one line: grey files, grey sets, and flags",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const [photos, grey, mixed] = ["photos", "grey", "mixed"].map((name) => `${folder}/${name}`);
      await writeHues(photos, 4, 0, 70);
      await writeHues(mixed, 4);
      const flat = (tone: number) =>
        pngOf(new Uint8Array(400).map((_, n) => tone + n % 90), [20, 20]);
      for (const [n, hue] of Object.keys(HUES).entries()) {
        for (const k of [0, 1, 2]) {
          await writeFiles(grey, { [`${hue}/${k}.png`]: flat(20 * n + k) });
          if (n === 0) await writeFiles(mixed, { [`${hue}/grey${k}.png`]: flat(k) });
        }
      }
      const quick = [
        "--model",
        "softmax",
        "--backend",
        "wasm",
        "--max-steps",
        "1",
        "--epochs",
        "1",
      ];
      const train = (dataset: string, out: string, ...more: string[]) =>
        runTask("train", ["--dataset", dataset, ...quick, "--out", `${folder}/${out}`, ...more]);
      const [color, plain, both, forced] = await Promise.all([
        train(photos, "color"),
        train(grey, "plain"),
        train(mixed, "both"),
        train(grey, "forced", "--channels", "3", "--image-size", "12"),
      ]);
      assertEquals([color, plain, both, forced].map(({ code, stderr }) => [code, stderr]), [
        [0, "note: pictures become 3x64x64: 12 of 12 have colour, most are as large or larger\n"],
        [0, "note: pictures become 1x28x28: none has colour, most are smaller than 64\n"],
        [
          0,
          "note: 3 pictures of one channel have it three times\n" +
          "note: pictures become 3x28x28: 12 of 15 have colour, most are smaller than 64\n",
        ],
        [0, "note: 9 pictures of one channel have it three times\n"],
      ]);
      const greyFile = `${grey}/red/0.png`;
      const colorFile = `${photos}/red/0.png`;
      const run = (name: string) => ["--run", `${folder}/${name}`];
      const [refused, known, lost, greySet, mnist, init, flag, idx, invalid] = await Promise.all([
        runTask("predict", [...run("color"), greyFile, colorFile]),
        runTask("predict", [...run("both"), greyFile]),
        runTask("predict", [...run("plain"), "--crop", "whole", greyFile, colorFile]),
        runTask("eval", [...run("color"), "--dataset", grey]),
        runTask("eval", [...run("color"), "--dataset", "sample"]),
        train(photos, "init", "--init", `${folder}/plain/model.safetensors`, "--channels", "3"),
        train("sample", "flag", "--channels", "1"),
        train("sample", "idx", "--init", `${folder}/color/model.safetensors`),
        train(photos, "invalid", "--channels", "2"),
      ]);
      assertEquals([refused.code, linesOf(refused.stdout).length], [1, 1]);
      assertMatch(
        refused.stderr,
        /^error: Cannot use ".*red\/0\.png": it has one channel, expected th/,
      );
      assertEquals([known.code, known.stderr], [0, ""]);
      assertEquals(lost.code, 0);
      assertStringIncludes(lost.stderr, "note: made 1 of 2 pictures grey, as the model's training");
      const lines = [greySet, mnist, init, flag, idx, invalid].map(({ code, stderr, stdout }) => {
        assertEquals([linesOf(stderr).length, stdout], [1, ""], stderr);
        return `${code} ${stderr}`;
      });
      [
        /^1 error: Cannot evaluate .*color on .*: the model takes 3 channels, some of its pictures h/,
        /^1 error: Cannot evaluate .*color on .*: the model takes 3 channels, its images have 1; give/,
        /^1 error: Cannot start from .* with --channels 3: its images have 1 channel; leave the flag/,
        /^2 error: Cannot use --channels with dataset "sample": it is for folders of pictures/,
        /^1 error: Cannot start from .*: its model takes images of \[3, 64, 64\], those of dataset/,
        /^2 error: Invalid --channels "2": expected one of auto, 1, 3/,
      ].forEach((expected, n) => assertMatch(lines[n], expected));
      assertEquals(
        (await namesIn(folder)).filter((name) => ["init", "flag", "idx", "invalid"].includes(name)),
        [],
      );
    }),
});
