/** `predict` as a user runs it: on pictures made from the sample's test images. */
import { encode } from "fast-png";
import jpeg from "jpeg-js";
import { loadDataset } from "../../src/data/load.ts";
import type { Picture } from "../../src/data/picture.ts";
import { assert, assertAlmostEquals, assertEquals, assertMatch } from "../assert.ts";
import { photoOf } from "../photos.ts";
import { withTempDir } from "../temp.ts";
import { canRunCommands, linesOf, ROOT, runDeno, runTask } from "./command.ts";

const ignore = !canRunCommands();
const PREDICT = [
  ...["run", "--no-prompt", "--allow-read", "--allow-env=XDG_RUNTIME_DIR"],
  `${ROOT}scripts/predict.ts`,
];
const SIZE = { width: 28, height: 28, channels: 1 };

/** Trains a model well enough to tell trousers from shoes. */
async function withRun(body: (run: string, folder: string) => Promise<void>): Promise<void> {
  await withTempDir(async (folder) => {
    const run = `${folder}/run`;
    const { code, stderr } = await runTask("train", [
      ...["--dataset", "sample", "--model", "softmax", "--backend", "wasm", "--quiet"],
      ...["--epochs", "3", "--out", run],
    ]);
    assertEquals([code, stderr], [0, ""]);
    await body(run, folder);
  });
}

function predict(run: string, args: readonly string[]) {
  return runDeno([...PREDICT, "--run", run, "--backend", "wasm", ...args]);
}

async function testImages(): Promise<{ pixels: Uint8Array; label: number }[]> {
  const { test } = await loadDataset("sample");
  return Array.from(test.labels, (label, n) => ({
    pixels: test.images.slice(784 * n, 784 * (n + 1)),
    label,
  }));
}

Deno.test({
  name: "predict: a folder of all test images, as PNG, gives the confusion that eval gives",
  ignore,
  fn: () =>
    withRun(async (run, folder) => {
      await Deno.mkdir(`${folder}/pictures`);
      const images = await testImages();
      await Promise.all(images.map(({ pixels, label }, n) =>
        Deno.writeFile(`${folder}/pictures/${n}-${label}.png`, encode({ ...SIZE, data: pixels }))
      ));
      const [predicted, evaluated] = await Promise.all([
        predict(run, ["--json", `${folder}/pictures`]),
        runTask("eval", ["--run", run, "--backend", "wasm", "--json"]),
      ]);
      assertEquals([predicted.code, predicted.stderr.split("\n").length], [0, 1]);
      const confusion = Array.from({ length: 10 }, () =>
        Array<number>(10).fill(0));
      for (const line of linesOf(predicted.stdout)) {
        const { file, label, className, probability, top } = JSON.parse(line);
        confusion[Number(/-(\d)\.png$/.exec(file)![1])][label]++;
        assertEquals(top[0], { className, label, probability });
        assert(top.length === 3 && top[0].probability >= top[1].probability);
      }
      assertEquals(confusion, JSON.parse(evaluated.stdout).confusion);
    }),
});

Deno.test({
  name: "predict: size, colour, format, inversion and the way in do not change what is seen",
  ignore,
  fn: () =>
    withRun(async (run, folder) => {
      const images = await testImages();
      const { pixels } = images.find(({ label }) => label === 1)!;
      const [width, height] = [280, 280];
      const large = Uint8Array.from(
        { length: width * height },
        (_, n) => pixels[28 * Math.floor(n / width / 10) + Math.floor(n % width / 10)],
      );
      const dark = large.map((value) => 255 - value);
      const rgba = Uint8Array.from({ length: 4 * large.length }, (_, n) =>
        n % 4 === 3 ? 255 : large[n >> 2]);
      const write = (name: string, bytes: Uint8Array) =>
        Deno.writeFile(`${folder}/${name}`, bytes);
      await write("same.png", encode({ ...SIZE, data: pixels }));
      await write("large.png", encode({ width, height, data: large, channels: 1 }));
      await write("color.png", encode({ width, height, data: rgba, channels: 4 }));
      await write("photo.jpg", new Uint8Array(jpeg.encode({ width, height, data: rgba }, 95).data));
      await write("dark.png", encode({ width, height, data: dark, channels: 1 }));
      const files = ["same.png", "large.png", "color.png", "photo.jpg"];
      const [all, inverted, asIs, piped, weights] = await Promise.all([
        predict(run, ["--json", ...files.map((name) => `${folder}/${name}`)]),
        predict(run, ["--invert", `${folder}/dark.png`]),
        predict(run, ["--json", `${folder}/dark.png`, "--backend", "reference"]),
        runShell(`deno ${PREDICT.join(" ")} --run ${run} --json - < ${folder}/same.png`),
        runDeno([
          ...[...PREDICT, "--weights", `${run}/model.safetensors`, "--backend=wasm"],
          `${folder}/same.png`,
        ]),
      ]);
      assertEquals([all.code, all.stderr], [0, ""]);
      const answers = linesOf(all.stdout).map((line) => JSON.parse(line));
      assertEquals(answers.map(({ file }) => file.split("/").at(-1)), files);
      for (const { className, probability, doubt } of answers) {
        assertEquals([className, doubt], ["Trouser", undefined]);
        assertAlmostEquals(probability, answers[0].probability, 0.05);
      }
      assertEquals(answers[1].probability, answers[0].probability);
      assertEquals([inverted.code, inverted.stderr], [0, ""]);
      assertMatch(
        inverted.stdout,
        /^.*dark\.png {2}Trouser \d+\.\d%( {2}[A-Z][^\n]+ \d+\.\d%){2}\n$/,
      );
      const { inverted: wasSwapped, doubt, className } = JSON.parse(asIs.stdout);
      assertEquals([asIs.code, wasSwapped, doubt, className], [0, true, undefined, "Trouser"]);
      assertEquals([piped.code, JSON.parse(piped.stdout)], [0, { ...answers[0], file: "-" }]);
      assertMatch(weights.stdout, /same\.png {2}Trouser /);
    }),
});

Deno.test({
  name: "predict: the thing in a photo is found where images of the training set are such things",
  ignore,
  fn: () =>
    withRun(async (run, folder) => {
      const COUNT = 30;
      const images = (await testImages()).slice(0, COUNT);
      for (const name of ["dark", "light", "plain"]) await Deno.mkdir(`${folder}/${name}`);
      for (const [n, { pixels, label }] of images.entries()) {
        const write = (name: string, content: Picture) =>
          Deno.writeFile(
            `${folder}/${name}/${n}-${label}.png`,
            encode({ ...content, data: content.pixels, channels: 1 }),
          );
        await write("plain", { ...SIZE, pixels });
        await write("dark", photoOf(pixels, { seed: n, darkOnLight: true }));
        await write("light", photoOf(pixels, { seed: n, darkOnLight: false }));
      }
      const ask = async (name: string, ...args: string[]) => {
        const { code, stdout, stderr } = await predict(run, [
          ...["--json", `${folder}/${name}`, ...args],
        ]);
        assertEquals([code, stderr], [0, ""]);
        const answers = linesOf(stdout).map((line) => JSON.parse(line));
        const isRight = ({ file, label }: { file: string; label: number }) =>
          file.endsWith(`-${label}.png`);
        return { answers, accuracy: answers.filter(isRight).length / COUNT };
      };
      const plain = await ask("plain");
      assert(plain.answers.every(({ crop, inverted }) => crop === undefined && !inverted));
      for (const name of ["dark", "light"]) {
        const [found, whole] = [await ask(name), await ask(name, "--crop", "whole")];
        assert(whole.accuracy < 0.4, `${name}, whole: ${whole.accuracy}`);
        assert(found.accuracy > plain.accuracy - 0.15, `${name}: ${found.accuracy}`);
        const cropped = found.answers.filter(({ crop }) => crop !== undefined);
        assert(cropped.length >= COUNT - 3, `${name}: ${cropped.length}`);
        assert(cropped.every(({ inverted = false }) => inverted === (name === "dark")));
      }

      const [photo] = await ask("dark").then(({ answers }) => answers);
      const shown = await predict(run, ["--show", photo.file]);
      assertMatch(
        shown.stderr,
        /^note: cut out the thing in 1 of 1 picture, light on dark, as the model's training images are; /,
      );
      const lines = linesOf(shown.stdout);
      assertEquals(lines.length, 29);
      assertMatch(lines.slice(0, 28).join("\n"), /^[ .:\-=+*#%@\n]*@[ .:\-=+*#%@\n]*$/);
      assertMatch(lines[28], /\.png {2}/);
      const unknown = await runDeno([
        ...[...PREDICT, "--weights", `${ROOT}tests/fixtures/v01/softmax.onnx`, photo.file],
      ]);
      assertMatch(
        unknown.stderr,
        /^note: the model does not say what it was trained on: taken for one of Fashion-MNIST$/m,
      );
    }),
});

Deno.test({
  name: "predict: a model of own pictures sees a photo whole, as training did, unless asked",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const images = await testImages();
      await Deno.mkdir(`${folder}/photos`);
      for (const [n, { pixels, label }] of images.slice(0, 24).entries()) {
        const { width, height, pixels: data } = photoOf(pixels, { seed: n, darkOnLight: true });
        const name = `${folder}/photos/${label < 5 ? "early" : "late"}`;
        await Deno.mkdir(name, { recursive: true });
        await Deno.writeFile(`${name}/${n}.png`, encode({ width, height, data, channels: 1 }));
      }
      const run = `${folder}/run`;
      const trained = await runTask("train", [
        ...["--dataset", `${folder}/photos`, "--model", "softmax", "--backend", "wasm"],
        ...["--epochs", "1", "--image-size", "28", "--invert", "--quiet", "--out", run],
      ]);
      assertEquals(trained.code, 0, trained.stderr);
      const answers = async (...args: string[]) => {
        const { code, stdout } = await predict(run, ["--json", `${folder}/photos`, ...args]);
        assertEquals(code, 0);
        return linesOf(stdout).map((line) => JSON.parse(line));
      };
      const [auto, whole, object] = [
        await answers(),
        await answers("--crop", "whole"),
        await answers("--crop", "object"),
      ];
      assertEquals(auto, whole);
      assert(auto.every(({ crop, inverted }) => crop === undefined && inverted));
      assert(object.filter(({ crop }) => crop !== undefined).length > 20);
    }),
});

/** Runs a line of a shell, for which the tests themselves have no permission. */
function runShell(line: string) {
  const code = `const command = new Deno.Command("sh", { args: ["-c", ${JSON.stringify(line)}],
    stdout: "inherit", stderr: "inherit" });
    Deno.exit((await command.output()).code);`;
  return runDeno(["eval", code]);
}

Deno.test({
  name: "predict: what cannot be read is one line each and ends with 1, the rest is predicted",
  ignore,
  fn: () =>
    withRun(async (run, folder) => {
      const [{ pixels }] = await testImages();
      const good = encode({ ...SIZE, data: pixels });
      await Deno.writeFile(`${folder}/good.png`, good);
      await Deno.writeFile(`${folder}/cut.png`, good.subarray(0, 100));
      await Deno.writeTextFile(`${folder}/text.jpg`, "no picture");
      await Deno.writeFile(`${folder}/blank.png`, encode({ ...SIZE, data: new Uint8Array(784) }));
      await Deno.writeFile(
        `${folder}/white.png`,
        encode({ ...SIZE, data: pixels.map((p) => 255 - p) }),
      );
      await Deno.mkdir(`${folder}/empty`);
      const names = [
        "cut.png",
        "good.png",
        "text.jpg",
        "none.png",
        "empty",
        "blank.png",
        "white.png",
      ];
      const { code, stdout, stderr } = await predict(run, names.map((name) => `${folder}/${name}`));
      assertEquals(code, 1);
      assertEquals(linesOf(stdout).map((line) => /\/(\w+)\.png {2}/.exec(line)?.[1]), [
        "good",
        "blank",
        "white",
      ]);
      const expected = [
        /^error: Cannot read ".*cut\.png" as a picture: ./,
        /^error: Cannot read ".*text\.jpg" as a picture: it is text, expected PNG, JPEG, WebP, GIF or BMP$/,
        /^error: No such file or folder \(".*none\.png"\); check the path$/,
        /^error: Cannot find a picture in ".*empty": expected \.png, .* or \.bmp files, found nothing$/,
        /^note: ".*blank\.png" is blank: all its pixels are the same/,
        /^note: ".*white\.png" looks dark on light, .* light on dark: try --invert$/,
      ];
      const lines = linesOf(stderr);
      assertEquals(lines.length, expected.length, stderr);
      lines.forEach((line, n) => assertMatch(line, expected[n]));

      const [none, twice, wrong] = await Promise.all([
        predict(run, []),
        predict(run, ["-", "-"]),
        runDeno([...PREDICT, "--run", `${folder}/empty`, `${folder}/good.png`]),
      ]);
      assertEquals(none, {
        code: 2,
        stdout: "",
        stderr: "error: Missing IMAGE: expected 1 or more, found 0\n",
      });
      assertEquals([twice.code, twice.stdout], [2, ""]);
      assertMatch(wrong.stderr, /^error: Cannot find a run in .*empty: it has no config.json\n$/);
    }),
});

Deno.test({
  name: "predict: a Keras model of one sigmoid gives Keras's probability, as two classes",
  ignore,
  fn: async () => {
    const folder = `${ROOT}tests/fixtures/keras/one_sigmoid`;
    const args = ["--weights", folder, "--json", `${folder}/picture.png`];
    const { code, stdout } = await runDeno([...PREDICT, ...args]);
    assertEquals(code, 0);
    const { top } = JSON.parse(stdout);
    assertEquals(top.map(({ className }: { className: string }) => className), ["0", "1"]);
    assertAlmostEquals(top[1].probability, 0.285, 5e-4);
  },
});
