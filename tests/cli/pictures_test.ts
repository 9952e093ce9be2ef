/** Own pictures, from training to prediction, as a user runs them. */

import { encode } from "fast-png";
import { encodeIdx } from "../../src/data/idx.ts";
import { loadDataset } from "../../src/data/load.ts";
import { PictureCache } from "../../src/data/picture_cache.ts";
import { createRandom } from "../../src/random.ts";
import { sha256Hex } from "../../src/sha256.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { classOf, jpegOf, pngOf, writeClasses, writeFiles } from "../picture_folder.ts";
import { namesIn, withTempDir } from "../temp.ts";
import { canRunCommands, linesOf, ROOT, runDeno, runTask } from "./command.ts";

const ignore = !canRunCommands();

/** What is said of small grey pictures. */
const CHOSEN = "note: pictures become 1x28x28: none has colour, most are smaller than 64\n";

Deno.test({
  name:
    "pictures: train keeps class names and split, eval repeats its test, predict its polarity, " +
    "from exported files too",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const [photos, run] = [`${folder}/photos`, `${folder}/run`];
      const sample = await loadDataset("sample");
      // On paper: dark on light, so that training and predicting must turn them the same way.
      await writeClasses(photos, sample, { labels: [1, 8], count: 40, turned: true });
      const trained = await runTask("train", [
        ...["--dataset", photos, "--invert", "--test-split", "0.25", "--image-size", "20"],
        ...["--model", "mlp", "--epochs", "12", "--batch-size", "16", "--lr", "0.1"],
        ...["--backend", "wasm", "--quiet", "--out", run],
      ]);
      assertEquals([trained.code, trained.stdout, trained.stderr], [0, "", ""]);
      const { dataset, model } = JSON.parse(await Deno.readTextFile(`${run}/config.json`));
      assertEquals(dataset.classNames, ["bag", "trouser"]);
      assertEquals([dataset.trainCount, dataset.testCount], [60, 20]);
      assertEquals(dataset.pictures, { testSplit: 0.25, invert: true, darkOnLight: false });
      assertEquals(model.inputShape, [1, 20, 20]);
      const { testAccuracy } = JSON.parse(
        linesOf(await Deno.readTextFile(`${run}/metrics.jsonl`)).at(-1)!,
      );
      assert(testAccuracy > 0.9, `${testAccuracy}`);
      const names = ["bag/001.png", "trouser/001.png"].map((name) => `${photos}/${name}`);
      const onnx = `${folder}/model.onnx`;
      const exported = await runTask("export", ["--format", "onnx", "--run", run, "--out", onnx]);
      assertEquals([exported.code, exported.stderr], [0, ""]);
      const [evaluated, weights, resumed, wrong, ...predictions] = await Promise.all([
        runTask("eval", ["--run", run, "--dataset", photos, "--json"]),
        runTask("eval", [
          ...["--weights", `${run}/model.safetensors`, "--dataset", photos],
          ...["--test-split", "0.25", "--json"],
        ]),
        runTask("train", ["--resume", run, "--dataset", photos, "--epochs", "13", "--quiet"]),
        runTask("train", ["--dataset", "sample", "--invert", "--out", `${folder}/none`]),
        runTask("predict", ["--run", run, ...names]),
        ...[`${run}/best.safetensors`, `${run}/model`, onnx].map((file) =>
          runTask("predict", ["--weights", file, ...names])
        ),
      ]);
      for (const { code, stdout, stderr } of [evaluated, weights]) {
        assertEquals([code, stderr], [0, ""]);
        const { accuracy, count, perClass } = JSON.parse(stdout);
        assertEquals([accuracy, count], [testAccuracy, 20]);
        assertEquals(perClass.map((row: { className: string }) => row.className), [
          "bag",
          "trouser",
        ]);
      }
      for (const { code, stdout, stderr } of predictions) {
        assertEquals([code, stderr], [0, ""]);
        assertMatch(stdout, /bag\/001.png {2}bag \d.*\n.*trouser\/001.png {2}trouser \d.*\n$/);
      }
      assertEquals([resumed.code, resumed.stderr], [0, ""]);
      assertEquals([wrong.code, linesOf(wrong.stderr).length], [2, 1]);
      assertMatch(wrong.stderr, /^error: Cannot use --invert with dataset "sample": it is for/);

      // A picture more: eval says so, and going on is refused.
      await writeClasses(photos, sample, { labels: [8], count: 41, turned: true });
      const [changed, refused] = await Promise.all([
        runTask("eval", ["--run", run, "--dataset", photos]),
        runTask("train", ["--resume", run, "--dataset", photos, "--epochs", "14", "--quiet"]),
      ]);
      assertEquals(changed.code, 0);
      assertMatch(
        changed.stderr,
        /^note: .*: dataset ".*" is not what it was trained on: .*\n$/,
      );
      assertEquals(refused.code, 1);
      assertMatch(refused.stderr, /^error: Cannot resume .*: its content is not what the run was/);
    }),
});

Deno.test({
  name: "pictures: most of them dark on light is said, and --invert named",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const sample = await loadDataset("sample");
      await writeClasses(folder, sample, { labels: [1, 8], count: 2, turned: true });
      const args = ["--dataset", folder, "--model", "softmax", "--max-steps", "1"];
      const { code, stderr } = await runTask("train", [...args, "--out", `${folder}/.run`]);
      assertEquals([code, linesOf(stderr).length], [0, 2]);
      assertMatch(
        stderr,
        /^note: pictures become .*\nnote: most pictures of ".*" look dark on light, .*: try --invert\n$/,
      );
    }),
});

Deno.test({
  name:
    "pictures: what is left out is said in every command, and left out again when a run goes on",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const [photos, run] = [`${folder}/photos`, `${folder}/run`];
      await writeFiles(photos, {
        ...classOf("Train/a", 4),
        ...classOf("Train/b", 4, 10),
        ...classOf("VAL/a", 1, 20),
        ...classOf("VAL/b", 1, 30),
        ...classOf("test/a", 1, 40),
        ...classOf("test/b", 1, 50),
        ...{ "Train/a/bad.png": "text", "Train/b/notes.txt": "", "test/__MACOSX/._0.png": "" },
      });
      const args = ["--dataset", photos, "--model", "softmax", "--backend", "wasm", "--json"];
      const refused = await runTask("train", [...args, "--out", run]);
      assertEquals([refused.code, linesOf(refused.stderr).length], [1, 1]);
      assertMatch(
        refused.stderr,
        /^error: Cannot read 1 of the 13 pictures of ".*": "Train\/a\/bad/,
      );
      const { type, unreadable } = JSON.parse(refused.stdout);
      assertEquals([type, unreadable.length, unreadable[0].name], ["error", 1, "Train/a/bad.png"]);
      const trained = await runTask("train", [
        ...[...args, "--skip-unreadable", "--max-steps", "1", "--out", run],
      ]);
      assertEquals(trained.code, 0, trained.stderr);
      const { dataset } = JSON.parse(await Deno.readTextFile(`${run}/config.json`));
      assertEquals(dataset.pictures.unreadable, unreadable);
      assertEquals([dataset.notes.length, `note: ${dataset.notes.at(-1)}\n`], [3, CHOSEN]);
      assertEquals(trained.stderr, dataset.notes.map((note: string) => `note: ${note}\n`).join(""));
      assertEquals(JSON.parse(linesOf(trained.stdout)[0]).dataset.notes, dataset.notes);
      assertStringIncludes(
        await Deno.readTextFile(`${run}/report.html`),
        "left out 1 of 13 pictures",
      );
      const [evaluated, resumed, compared] = await Promise.all([
        runTask("eval", ["--run", run, "--dataset", photos, "--json"]),
        runTask("train", ["--resume", run, "--dataset", photos, "--epochs", "11", "--json"]),
        runTask("compare", ["--dataset", photos, "--backends", "wasm", "--model", "softmax"]),
      ]);
      assertEquals([evaluated.code, resumed.code], [0, 0], evaluated.stderr + resumed.stderr);
      assertEquals(resumed.stderr.includes("left out 1 of 13 pictures, which cannot be"), true);
      const { count, notes } = JSON.parse(evaluated.stdout);
      assertEquals([count, notes], [2, dataset.notes.slice(0, -1)]);
      assertEquals(compared.code, 1);
      assertMatch(
        compared.stderr,
        /^error: Cannot read 1 of the 13 pictures .*--skip-unreadable\n$/,
      );
    }),
});

Deno.test({
  name:
    "IDX images that training swapped are swapped again by eval; where nothing is, it is refused",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const [letters, run] = [`${folder}/emnist-letters`, `${folder}/run`];
      const data = Uint8Array.from({ length: 4 * 12 }, (_, n) => (n * 37) % 256);
      for (const part of ["train", "test"]) {
        await writeFiles(folder, {
          [`emnist-letters-${part}-images-idx3-ubyte`]: encodeIdx({ dimensions: [4, 3, 4], data }),
          [`emnist-letters-${part}-labels-idx1-ubyte`]: encodeIdx({
            dimensions: [4],
            data: Uint8Array.of(1, 2, 1, 2),
          }),
        });
      }
      const trained = await runTask("train", [
        ...["--dataset", letters, "--transpose", "--model", "softmax", "--max-steps", "1"],
        ...["--backend", "wasm", "--out", run],
      ]);
      assertEquals(trained.code, 0, trained.stderr);
      const { dataset, model } = JSON.parse(await Deno.readTextFile(`${run}/config.json`));
      assertEquals([dataset.transposed, dataset.classNames], [true, ["1", "2"]]);
      assertEquals(model.inputShape, [1, 4, 3]);
      const [evaluated, wrong] = await Promise.all([
        runTask("eval", ["--run", run, "--dataset", letters, "--json"]),
        runTask("train", ["--dataset", "sample", "--transpose", "--out", `${folder}/none`]),
      ]);
      assertEquals(evaluated.code, 0, evaluated.stderr);
      const { count, notes } = JSON.parse(evaluated.stdout);
      assertEquals([count, notes], [4, dataset.notes]);
      assertEquals(wrong.code, 2);
      assertMatch(
        wrong.stderr,
        /^error: Cannot use --transpose with dataset "sample": it is for fo/,
      );
    }),
});

const SIDE = 24;

/** Light shapes at random places on dark: discs, squares and triangles, easily told apart. */
async function writeShapes(
  folder: string,
  kinds: readonly string[],
  count: number,
  seed: number,
  [dark, light, noise] = [10, 230, 20],
) {
  const random = createRandom(seed, "shapes");
  const between = (low: number, high: number) => low + random.below(high - low + 1);
  for (const kind of kinds) {
    for (let n = 0; n < count; n++) {
      const radius = between(5, 8);
      const [cx, cy] = [0, 0].map(() => between(radius, SIDE - 1 - radius));
      const pixels = Uint8Array.from({ length: SIDE * SIDE }, (_, index) => {
        const [x, y] = [index % SIDE - cx, Math.floor(index / SIDE) - cy];
        const isWithin = kind === "disc"
          ? x * x + y * y <= radius * radius
          : Math.abs(x) <= (kind === "square" ? radius : (y + radius) / 2) && Math.abs(y) <= radius;
        return (isWithin ? light : dark) + between(0, noise);
      });
      await writeFiles(folder, { [`${kind}/${n}.png`]: pngOf(pixels, [SIDE, SIDE]) });
    }
  }
}

Deno.test({
  name: "pictures: the plain command learns them, and eval takes all of a folder of others",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const [shapes, others, run] = [`${folder}/shapes`, `${folder}/others`, `${folder}/run`];
      await writeShapes(shapes, ["disc", "square", "triangle"], 60, 1);
      const trained = await runTask("train", ["--dataset", shapes, "--threads", "1", "--out", run]);
      assertEquals([trained.code, trained.stderr], [0, CHOSEN]);
      assertMatch(
        trained.stdout,
        /\nChosen +for 144 images of 3 classes: model, epochs, batch-size,\s+label-smoothing, .*\n/,
      );
      const accuracy = Number(/\nDone: test accuracy (\S+) after/.exec(trained.stdout)?.[1]);
      assert(accuracy > 0.9, trained.stdout.slice(-400));
      assertMatch(trained.stdout, /\nBest: epoch \d+, test accuracy \S+, chosen on the test set/);
      const { chosen, plan } = JSON.parse(await Deno.readTextFile(`${run}/config.json`));
      assertEquals([chosen.length, plan.batchSize, plan.epochs], [12, 16, 100]);

      // Others lack a class, and one of them is in the wrong folder; one is alone in its class.
      await writeShapes(others, ["disc", "triangle"], 10, 2);
      await Deno.rename(`${others}/triangle/7.png`, `${others}/disc/wrong.png`);
      await writeShapes(`${folder}/single`, ["disc", "square", "triangle"], 1, 3);
      const [own, apart, text, single, unknown, share, other] = await Promise.all([
        ["--run", run, "--dataset", shapes, "--json"],
        ["--run", run, "--dataset", others, "--json"],
        ["--run", run, "--dataset", others],
        ["--run", run, "--dataset", `${folder}/single`, "--json"],
        ["--weights", `${run}/best.safetensors`, "--dataset", shapes, "--json"],
        ["--run", run, "--dataset", others, "--test-split", "0.5", "--json"],
        ["--run", run, "--dataset", shapes, "--test-split", "0.5", "--json"],
      ].map((args) => runTask("eval", args)));
      const facts = [own, apart, single, unknown, share, other].map(({ code, stdout, stderr }) => {
        assertEquals(code, 0, stderr);
        return JSON.parse(stdout);
      });
      assertEquals(facts.map(({ part, count }) => [part, count]), [
        ["test share", 36],
        ["all", 20],
        ["all", 3],
        ["test share", 36], // it lies in its run's folder, which says what it was trained on
        ["share", 11],
        ["share", 90], // and not what training kept back
      ]);
      assertStringIncludes(other.stderr, "or not by this --test-split: the test share may");
      assertEquals(facts[0].majority, { className: "disc", share: 1 / 3 });
      assertEquals(facts[0].isBetterThanMajority, true);
      const wrong = facts[1].mistakes.find(({ file }: { file: string }) =>
        file === "disc/wrong.png"
      );
      assertEquals([wrong.className, wrong.guess], ["disc", "triangle"]);
      assertMatch(text.stdout, / on 20 test images of .* \(all of its pictures\), /);
      assertMatch(text.stdout, /\| disc\/wrong\.png +\| triangle +\|/);
      assertMatch(text.stderr, /^note: .*others" has no pictures of "square"\n$/);
    }),
});

Deno.test({
  name:
    "pictures: eval finds classes named by digits by name, and says what the model does not know",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const digits = { ...classOf("0", 4), ...classOf("1", 4, 10), ...classOf("2", 4, 20) };
      await writeFiles(`${folder}/digits`, digits);
      await writeFiles(`${folder}/two`, { ...classOf("1", 2, 30), ...classOf("2", 3, 40) });
      await writeFiles(`${folder}/later`, { ...classOf("1", 2), ...classOf("3", 2, 10) });
      await writeClasses(`${folder}/dark`, await loadDataset("sample"), {
        ...{ labels: [1, 8], count: 2, turned: true },
      });
      await Deno.rename(`${folder}/dark/bag`, `${folder}/dark/Bag`);
      await Deno.rename(`${folder}/dark/trouser`, `${folder}/dark/Trouser`);
      const train = (dataset: string, out: string) =>
        runTask("train", [
          ...["--dataset", dataset, "--model", "softmax", "--max-steps", "1", "--backend", "wasm"],
          ...["--quiet", "--out", `${folder}/${out}`],
        ]);
      const trained = await Promise.all([train(`${folder}/digits`, "a"), train("sample", "b")]);
      for (const { code, stderr } of trained) assertEquals([code, stderr], [0, ""]);
      const evaluate = (run: string, dataset: string) =>
        runTask("eval", [
          "--run",
          `${folder}/${run}`,
          "--dataset",
          `${folder}/${dataset}`,
          "--json",
        ]);
      const [two, later, dark] = await Promise.all([
        ...[evaluate("a", "two"), evaluate("a", "later"), evaluate("b", "dark")],
      ]);
      const { perClass } = JSON.parse(two.stdout);
      assertEquals(perClass.map(({ support }: { support: number }) => support), [0, 2, 3]);
      assertMatch(later.stderr, /^error: .*: it has the class "3", which the model does not know/);
      assertMatch(dark.stderr, /: it knows pictures of the other polarity: try --invert\n/);
      assertMatch(dark.stderr, /: it knows things cut out on black, and these .* taken whole\n$/);
    }),
});

Deno.test({
  name: "pictures of low contrast are learned by the plain command",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      // One part in fifty apart: as pixel / 255 they stay at chance.
      await writeShapes(folder, ["disc", "square", "triangle"], 60, 1, [120, 125, 1]);
      const { code, stdout } = await runTask("train", [
        ...["--dataset", folder, "--backend", "wasm", "--threads", "1", "--json"],
        ...["--out", `${folder}/.run`],
      ]);
      assertEquals(code, 0);
      const { test } = JSON.parse(linesOf(stdout).at(-1)!);
      assert(test.accuracy > 0.7, `${test.accuracy}`);
    }),
});

Deno.test({
  name: "train: a run no better than its largest class says so, in the terminal, JSON and report",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const shapes = `${folder}/shapes`;
      await writeShapes(shapes, ["disc", "square", "triangle"], 20, 1);
      const seed = ["--dataset", shapes, "--model", "lenet", "--epochs", "2"];
      const [text, json] = await Promise.all([
        runTask("train", [...seed, "--out", `${folder}/text`]),
        runTask("train", [...seed, "--out", `${folder}/json`, "--json"]),
      ]);
      assertMatch(
        text.stdout,
        /\nDone, but test accuracy \S+ is (no|not clearly) better than always answering "disc": 0\.333\n/,
      );
      assertMatch(
        text.stdout,
        /\nTry without --model, so that the recipe fits, --epochs 6, --lr 0\.04/,
      );
      const end = JSON.parse(linesOf(json.stdout).at(-1)!);
      assertEquals(end.test.majority, { className: "disc", share: 1 / 3 });
      assert(end.test.isBetterThanMajority !== true);
      const page = await Deno.readTextFile(`${folder}/text/report.html`);
      assertMatch(
        page,
        /role="note">Test accuracy is (no|not clearly) better than always answering/,
      );
    }),
});

Deno.test({
  name: "train, sweep: --valid-split sets images apart that choose and are never trained on",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const args = [
        ...[
          "--dataset",
          "sample",
          "--model",
          "softmax",
          "--backend",
          "wasm",
          "--valid-split",
          "0.2",
        ],
        ...["--seed", "3", "--standardize"],
      ];
      const out = (name: string) => ["--out", `${folder}/${name}`];
      const [whole, first, sweep] = await Promise.all([
        runTask("train", [...args, "--epochs", "3", ...out("whole"), "--json"]),
        runTask("train", [...args, "--epochs", "2", ...out("cut")]),
        runTask("sweep", [...args, "--epochs", "1", "--grid", "lr=0.0001,0.1", ...out("sweep")]),
      ]);
      for (const { code, stderr } of [whole, first, sweep]) assertEquals([code, stderr], [0, ""]);
      assertMatch(first.stdout, /4,000 training, 1,000 validation and 1,000 test images/);
      assertMatch(first.stdout, /\nepoch 1\/2 .* valid acc 0\.\d{3} /);
      assertMatch(
        first.stdout,
        /\nBest: epoch \d, chosen on validation accuracy \S+; test accuracy/,
      );
      const config = JSON.parse(await Deno.readTextFile(`${folder}/whole/config.json`));
      const { trainCount, validationCount, validSplit } = config.dataset;
      assertEquals([trainCount, validationCount, validSplit], [4_000, 1_000, 0.2]);
      const { best } = JSON.parse(linesOf(whole.stdout).at(-1)!);
      assertEquals(best.chosenOn, "validation");
      const resumed = await runTask("train", [
        "--resume",
        `${folder}/cut`,
        "--epochs",
        "3",
        "--quiet",
      ]);
      assertEquals([resumed.code, resumed.stderr], [0, ""]);
      const lines = await Promise.all(
        ["whole", "cut"].map(async (name) =>
          linesOf(await Deno.readTextFile(`${folder}/${name}/metrics.jsonl`)).map((line) => {
            const { trainLoss, testAccuracy, validationLoss, validationAccuracy } = JSON.parse(
              line,
            );
            return { trainLoss, testAccuracy, validationLoss, validationAccuracy };
          })
        ),
      );
      assertEquals([lines[0].length, lines[1]], [3, lines[0]]);
      const accuracies = lines[0].map(({ validationAccuracy }) => validationAccuracy);
      assertEquals(best.accuracy, Math.max(...accuracies));
      const record = JSON.parse(await Deno.readTextFile(`${folder}/sweep/sweep.json`));
      assertEquals(
        record.results.map((result: { chosenOn: string }) => result.chosenOn),
        ["validation", "validation"],
      );
      assertMatch(sweep.stdout, /\| lr +\| validation accuracy \|.*\n.*\n\| 0\.1 /);
      assertMatch(sweep.stdout, /are chosen on the validation set; the test set decided\s+nothing/);
    }),
});
Deno.test({
  name:
    "pictures: what training decoded, eval takes from the cache; without permission there is none",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const [photos, cacheDir] = [`${folder}/photos`, `${folder}/data/.pictures`];
      const random = createRandom(1, "noise");
      for (const [n, name] of ["a/1", "a/2", "b/1", "b/2"].entries()) {
        const data = Uint8Array.from({ length: 1000 * 1200 }, () => random.below(100) + 30 * n);
        const picture = encode({ width: 1000, height: 1200, data, channels: 1 }, {
          zlib: { level: 0 },
        });
        await writeFiles(photos, { [`${name}.png`]: picture });
      }
      const run = (write: string[], name: string, args: string[]) =>
        runDeno([
          ...["run", "--no-prompt", "--allow-read", ...write, "--allow-sys=cpus"],
          ...["--allow-env=XDG_RUNTIME_DIR", `${ROOT}scripts/${name}.ts`, ...args],
        ], { cwd: folder });
      const train = (out: string) => [
        ...["--dataset", photos, "--model", "softmax", "--backend", "wasm", "--max-steps", "1"],
        ...["--quiet", "--out", out],
      ];
      const uncached = await run(["--allow-write=runs"], "train", train("runs/one"));
      assertEquals([uncached.code, uncached.stderr], [0, ""]);
      assertEquals(await namesIn(cacheDir), []);
      const trained = await run(["--allow-write=runs,data"], "train", train("runs/two"));
      assertEquals([trained.code, trained.stderr], [0, ""]);
      assertEquals((await namesIn(cacheDir)).length, 1);
      const configs = await Promise.all(["one", "two"].map(async (name) =>
        JSON.parse(await Deno.readTextFile(`${folder}/runs/${name}/config.json`)).dataset
      ));
      assertEquals(configs[0].digest, configs[1].digest);

      const evaluate = ["--run", "runs/two", "--dataset", photos, "--json"];
      const evaluated = await run([], "eval", evaluate);
      assertEquals([evaluated.code, evaluated.stderr], [0, ""]);
      // Other pixels in the cache are what eval then sees.
      const size = { width: 64, height: 64 };
      const cache = await PictureCache.open({
        ...{ cacheDir, folder: photos, size, channels: 1, invert: false },
      });
      const facts = { isGrey: true, hasLightBorder: false, isAnimated: false };
      const picture = { pixels: new Uint8Array(64 * 64), ...facts };
      cache.set(sha256Hex(await Deno.readFile(`${photos}/a/1.png`)), picture);
      await cache.save();
      const changed = await run([], "eval", evaluate);
      assertMatch(changed.stderr, /^note: .*: dataset ".*" is not what it was trained on/);
    }),
});

Deno.test({
  name: "pictures: arrows in photos held in all ways are told apart, since they are turned upright",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      // Each class is one picture, stored in four ways that a viewer shows alike.
      const drawings = [[0, 1], [1, 0]].map(([x, y]) =>
        Uint8Array.from({ length: 400 }, (_, n) => x * (n % 20) * 12 + y * Math.floor(n / 20) * 12)
      );
      for (const [label, pixels] of drawings.entries()) {
        for (const [orientation, stored] of Object.entries(storedInFourWays(pixels, 20))) {
          for (let n = 0; n < 5; n++) {
            const noisy = stored.map((pixel) => pixel + n);
            const file = withOrientation(jpegOf(noisy, [20, 20]), Number(orientation));
            await writeFiles(folder, { [`${label}/${orientation}${n}.jpg`]: file });
          }
        }
      }
      const { code, stderr } = await runTask("train", [
        ...["--dataset", folder, "--model", "softmax", "--epochs", "30", "--batch-size", "8"],
        ...["--lr", "0.1", "--backend", "wasm", "--quiet", "--out", `${folder}/.run`],
      ]);
      assertEquals([code, stderr], [0, ""]);
      const log = linesOf(await Deno.readTextFile(`${folder}/.run/metrics.jsonl`));
      assertEquals(JSON.parse(log.at(-1)!).testAccuracy, 1);
    }),
});

/** A square as a camera stores it that is held upright, upside down, and on either side, by EXIF's number. */
function storedInFourWays(pixels: Uint8Array, side: number): Record<number, Uint8Array> {
  const moved = (place: (x: number, y: number) => number) =>
    pixels.map((_, n) => pixels[place(n % side, Math.floor(n / side))]);
  const last = side - 1;
  return {
    1: pixels,
    3: moved((x, y) => (last - y) * side + last - x),
    6: moved((x, y) => x * side + last - y),
    8: moved((x, y) => (last - x) * side + y),
  };
}

/** A JPEG with EXIF data that says how the camera was held. */
function withOrientation(jpeg: Uint8Array, orientation: number): Uint8Array {
  const exif = [...new TextEncoder().encode("Exif\0\0MM"), 0, 42, 0, 0, 0, 8, 0, 1];
  const entry = [0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0];
  const segment = [0xff, 0xe1, 0, exif.length + entry.length + 2, ...exif, ...entry];
  return Uint8Array.of(...jpeg.subarray(0, 2), ...segment, ...jpeg.subarray(2));
}
