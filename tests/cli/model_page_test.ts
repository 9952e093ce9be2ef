/** The page that `export --format html` writes, opened from its file in a real browser. */

import { pathToFileURL } from "node:url";
import { encode as encodePng } from "fast-png";
import jpeg from "jpeg-js";
import { readPicture } from "../../src/cli/predict_inputs.ts";
import { type LoadedModel, loadModel } from "../../src/cli/loaded_model.ts";
import { loadDataset } from "../../src/data/load.ts";
import type { ViewOptions } from "../../src/data/picture_view.ts";
import { initialParameters } from "../../src/nn/init.ts";
import { avgPool2d, conv2d, flatten, linear, sigmoid } from "../../src/nn/layers.ts";
import { sequential } from "../../src/nn/sequential.ts";
import { zooModel } from "../../src/nn/zoo.ts";
import { modelPage } from "../../src/page/model_page.ts";
import { topClasses } from "../../src/train/metrics.ts";
import { assert, assertAlmostEquals, assertEquals, assertStringIncludes } from "../assert.ts";
import { granted } from "../permissions.ts";
import { withTempDir } from "../temp.ts";
import { randomlyLearned } from "../random_models.ts";
import { referenceLogits } from "../reference_logits.ts";
import { photoOf } from "../photos.ts";
import { Browser, findBrowser, type Page } from "./browser.ts";
import { canRunCommands, runTask } from "./command.ts";

const canRun = canRunCommands() && granted({ name: "net", host: "127.0.0.1" });
const CHROMIUM = canRun ? await findBrowser() : undefined;
const ignore = CHROMIUM === undefined;
const SIZE = { width: 28, height: 28 };

/** An emulated GPU, which a page takes if told to. */
const EMULATED_GPU = ["--enable-unsafe-webgpu", "--enable-features=Vulkan"];

/** Makes the emulated GPU pass for hardware, to which the engine cuts its work differently. */
const LIKE_HARDWARE = `Object.defineProperty(GPUAdapterInfo.prototype, "isFallbackAdapter",
  { get: () => false })`;

/** A browser that refuses the memory of the wasm engine. */
const LITTLE_MEMORY = `WebAssembly.Memory = class {
  constructor() { throw new RangeError("could not allocate memory") } }`;

/** Small, as an emulated GPU takes seconds to compile large kernels. */
const SMALL = sequential([
  ...[
    conv2d({ outChannels: 2, kernelSize: 5, stride: 2 }),
    sigmoid(),
    avgPool2d({ poolSize: 2 }),
    flatten(),
  ],
  linear({ outFeatures: 10 }),
], { name: `</script><img src=x onerror=alert(1)>` });

/** Names that are also markup, or end what they stand in. */
const HOSTILE = [`</script><img src=x onerror=alert(1)>`, `" onclick="alert(1)`, `<!--<script>`];

type Trained = Pick<LoadedModel, "model" | "parameters" | "statistics" | "classNames">;

interface Shown {
  readonly pixels: number[];
  readonly labels: number[];
  readonly probabilities: number[];
  readonly engine: string;
  readonly notice: string;
}

/** What a page shows once it is at rest. */
async function shown(page: Page): Promise<Shown> {
  await page.until(`document.body.dataset.state === "idle"`);
  return await page.evaluate<Shown>(`({
    pixels: [...seen.getContext("2d").getImageData(0, 0, seen.width, seen.height).data]
      .filter((_, index) => index % 4 === 0),
    labels: [...document.querySelectorAll("#classes li")].map((item) => Number(item.dataset.label)),
    probabilities: [...document.querySelectorAll("#classes data")].map((data) => Number(data.value)),
    engine: document.querySelector("#engine-name").parentElement.innerText,
    notice: notice.innerText,
  })`);
}

async function chooseEngine(page: Page, engine: string): Promise<Shown> {
  await page.evaluate(`engine.value = "${engine}"; engine.dispatchEvent(new Event("change"))`);
  return await shown(page);
}

async function chooseFile(page: Page, path: string): Promise<Shown> {
  const { root } = await page.send("DOM.getDocument");
  const { nodeId } = await page.send("DOM.querySelector", {
    nodeId: root.nodeId,
    selector: "#file",
  });
  await page.send("DOM.setFileInputFiles", { nodeId, files: [path] });
  return await shown(page);
}

/** Drops a file on the board. */
async function dropFile(page: Page, path: string): Promise<Shown> {
  const data = { items: [], files: [path], dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"]) {
    await page.send("Input.dispatchDragEvent", { type, x: 200, y: 300, data });
  }
  return await shown(page);
}

/** A place on the page, from shares of the board's width and height. */
async function boardPlace(page: Page) {
  const box = await page.evaluate<Record<"left" | "top" | "width" | "height", number>>(
    `board.getBoundingClientRect().toJSON()`,
  );
  return (x: number, y: number) => [box.left + x * box.width, box.top + y * box.height] as const;
}

/** The answer of the float64 reference to the page's own input. */
async function expected(trained: Trained, pixels: readonly number[]) {
  const { model, classNames } = trained;
  const data = {
    images: Uint8Array.from(pixels),
    labels: new Uint8Array(1),
    count: 1,
    shape: model.inputShape,
  };
  return topClasses(await referenceLogits(trained, data), classNames, model.classCount);
}

async function assertAnswers(trained: Trained, { pixels, labels, probabilities }: Shown) {
  const top = await expected(trained, pixels);
  assertEquals(labels, top.map(({ label }) => label));
  top.forEach(({ probability }, n) => assertAlmostEquals(probabilities[n], probability, 1e-4));
}

async function assertQuiet(page: Page, address: string) {
  await page.evaluate("1"); // what came before it has been told
  assertEquals([page.errors, page.requests], [[], [address]]);
}

Deno.test({
  name: "page: answers a drawing as predict does, from a file, without a request",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const [run, out] = [`${folder}/run`, `${folder}/model.html`];
      const { code, stderr } = await runTask("train", [
        ...["--dataset", "sample", "--model", "lenet-relu", "--backend", "wasm", "--quiet"],
        ...["--epochs", "2", "--out", run],
      ]);
      assertEquals([code, stderr], [0, ""]);
      const exported = await runTask("export", ["--format", "html", "--run", run, "--out", out]);
      assertEquals([exported.code, exported.stderr], [0, ""]);
      const address = pathToFileURL(out).href;
      await using browser = await Browser.start(CHROMIUM!, `${folder}/profile`);
      const page = await browser.open(address);
      const blank = await shown(page);
      assert(blank.pixels.every((pixel) => pixel === 0));
      assertStringIncludes(blank.engine, "wasm (WebAssembly SIMD");

      const at = await boardPlace(page);
      await page.evaluate(`pen.value = "thick"; pen.dispatchEvent(new Event("change"))`);
      await page.stroke([at(0.6, 0.15), at(0.4, 0.15), at(0.38, 0.5), at(0.36, 0.9)]);
      await page.stroke([at(0.6, 0.15), at(0.62, 0.5), at(0.64, 0.9)]);
      const drawn = await shown(page);
      assert(drawn.pixels.includes(255), "nothing was drawn");
      await assertAnswers(await loadModel({ run }), drawn);

      const png = `${folder}/drawn.png`;
      const data = Uint8Array.from(drawn.pixels);
      await Deno.writeFile(png, encodePng({ ...SIZE, data, channels: 1 }));
      const predicted = await runTask("predict", ["--json", "--run", run, png]);
      const { top } = JSON.parse(predicted.stdout);
      top.forEach(({ label, probability }: { label: number; probability: number }, n: number) => {
        assertEquals(drawn.labels[n], label);
        assertAlmostEquals(drawn.probabilities[n], probability, 1e-4);
      });
      assertEquals((await chooseFile(page, png)).pixels, drawn.pixels);
      await assertQuiet(page, address);
    }),
});

Deno.test({
  name: "page: a model with residual blocks and batch norm answers as the reference",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const model = zooModel("resnet8", { classCount: 4 });
      const classNames = ["one", "two", "three", "four"];
      const trained = { model, ...randomlyLearned(model, 5), classNames };
      const path = `${folder}/model.html`;
      await Deno.writeTextFile(path, await modelPage(trained));
      await using browser = await Browser.start(CHROMIUM!, `${folder}/profile`);
      const address = pathToFileURL(path).href;
      const page = await browser.open(address);
      const blank = await shown(page);
      assertStringIncludes(blank.engine, "wasm (");
      const at = await boardPlace(page);
      await page.stroke([at(0.2, 0.2), at(0.8, 0.3), at(0.5, 0.8)]);
      const drawn = await shown(page);
      await assertAnswers(trained, drawn);
      await assertQuiet(page, address);
    }),
});

/** Tests of the page of a small model, in one browser. */
async function withSmallPage(
  body: (
    small: { trained: Trained; browser: Browser; address: string; folder: string },
  ) => Promise<void>,
): Promise<void> {
  await withTempDir(async (folder) => {
    const classNames = Array.from({ length: 10 }, (_, k) => HOSTILE[k] ?? `thing ${k}`);
    const trained = { model: SMALL, parameters: initialParameters(SMALL, 1), classNames };
    const path = `${folder}/model.html`;
    await Deno.writeTextFile(path, await modelPage(trained, { datasetName: HOSTILE[1] }));
    await using browser = await Browser.start(CHROMIUM!, `${folder}/profile`, EMULATED_GPU);
    await body({ trained, browser, address: pathToFileURL(path).href, folder });
  });
}

Deno.test({
  name: "page: takes mouse, finger, keys, chosen, dropped and pasted files; names are only text",
  ignore,
  fn: () =>
    withSmallPage(async ({ trained, browser, address, folder }) => {
      const [opaque, clear, other, photo] = ["a.jpg", "b.png", "c.png", "d.png"].map((name) =>
        `${folder}/${name}`
      );
      await Deno.writeFile(opaque, jpeg.encode(gradient(61, 90, 255), 80).data);
      await Deno.writeFile(clear, encodePng(gradient(100, 45, 128)));
      await Deno.writeTextFile(other, "no picture");
      const { test } = await loadDataset("sample");
      const taken = photoOf(test.images.subarray(0, 784), { seed: 3, darkOnLight: true });
      await Deno.writeFile(photo, encodePng({ ...taken, data: taken.pixels, channels: 1 }));
      const page = await browser.open(address);
      await shown(page);

      // A browser decodes to colours, cut to 0..255 and multiplied by their opacity.
      const assertNear = async ({ pixels }: Shown, path: string, swap?: boolean) => {
        const distances = (await inputOf(path, { swap })).map((value, n) =>
          Math.abs(value - pixels[n])
        );
        assert(distances.reduce((sum, distance) => sum + distance, 0) / 784 < 1, `${distances}`);
      };
      await assertNear(await dropFile(page, opaque), opaque);
      const chosen = await chooseFile(page, clear);
      await assertNear(chosen, clear);
      assertEquals(
        chosen.notice,
        "Light and dark were swapped. Nothing stands out: the picture is taken whole.",
      );
      await page.evaluate("invert.click()");
      const clicked = await shown(page);
      await assertNear(clicked, clear, false);
      const refused = await chooseFile(page, other);
      assertStringIncludes(refused.notice, 'Cannot read "c.png" as a picture');
      assertEquals(refused.pixels, clicked.pixels);
      await page.evaluate(PASTE);
      const pasted = await shown(page); // of the model's own size: as it is
      assertStringIncludes(pasted.notice, "It is dark on light");
      assertEquals(pasted.pixels, Array.from({ length: 784 }, (_, n) => n % 28 < 14 ? 255 : 200));

      const found = await chooseFile(page, photo);
      assertEquals(found.pixels, await inputOf(photo));
      assertEquals(
        found.notice,
        "The thing in the picture was cut out. Light and dark were swapped.",
      );
      await page.evaluate(`crop.value = "whole"; crop.dispatchEvent(new Event("change"))`);
      const whole = await shown(page);
      assertEquals(whole.pixels, await inputOf(photo, { crop: "whole" }));
      assert(String(whole.pixels) !== String(found.pixels));

      const clearBoard = `document.querySelector("#clear").click()`;
      const at = await boardPlace(page);
      await page.evaluate(clearBoard);
      assertEquals((await shown(page)).pixels.find((pixel) => pixel > 0), undefined);
      await page.touch([at(0.1, 0.5), at(0.9, 0.5)]);
      const touched = await shown(page);
      assertEquals(touched.pixels.slice(28 * 13 + 5, 28 * 13 + 23), new Array(18).fill(255));
      await page.evaluate(`${clearBoard}; board.focus()`);
      for (const key of [" ", "ArrowUp", "ArrowUp", " ", "ArrowLeft"]) await page.press(key);
      const typed = await shown(page);
      assert(typed.pixels[28 * 12 + 13] === 255 && typed.pixels[28 * 12 + 10] === 0);
      await assertAnswers(trained, typed);

      const names = await page.evaluate<string[]>(
        `[...document.querySelectorAll("#classes bdi")].map((name) => name.textContent)`,
      );
      assertEquals(names.toSorted(), trained.classNames.toSorted());
      assertEquals(await page.evaluate("document.images.length"), 0);
      assertStringIncludes(await page.evaluate("document.title"), SMALL.name);
      await assertQuiet(page, address);
    }),
});

Deno.test({
  name: "page: a model of colours sees them, of a file as predict does, and drawn",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const model = sequential([
        conv2d({ outChannels: 3, kernelSize: 3 }),
        flatten(),
        linear({ outFeatures: 3 }),
      ], { inputShape: [3, 16, 20] });
      const classNames = ["red", "green", "blue"];
      const trained = { model, parameters: initialParameters(model, 1), classNames };
      await Deno.writeTextFile(`${folder}/model.html`, await modelPage(trained));
      const address = pathToFileURL(`${folder}/model.html`).href;
      await using browser = await Browser.start(CHROMIUM!, `${folder}/profile`);
      const page = await browser.open(address);
      await shown(page);
      const planes = () =>
        page.evaluate<number[]>(`(() => {
          const { data } = seen.getContext("2d").getImageData(0, 0, seen.width, seen.height);
          return [0, 1, 2].flatMap((k) => [...data].filter((_, n) => n % 4 === k));
        })()`);

      const picture = `${folder}/picture.png`;
      await Deno.writeFile(picture, encodePng(gradient(60, 40, 255)));
      const dropped = await dropFile(page, picture);
      const options = { channels: 3, size: { width: 20, height: 16 } } as const;
      const input = await readPicture(picture, options);
      assert("picture" in input);
      assertEquals(await planes(), [...input.picture.pixels]);
      await assertAnswers(trained, { ...dropped, pixels: await planes() });
      assertEquals(dropped.notice, "");
      const grey = {
        width: 20,
        height: 16,
        channels: 1,
        data: new Uint8Array(320).map((_, n) => n),
      };
      await Deno.writeFile(picture, encodePng(grey));
      const colorless = await chooseFile(page, picture);
      assertEquals(colorless.notice, "It has no colour, unlike what the network knows.");

      await page.evaluate(`document.querySelector("#clear").click(); color.value = "#20c0ff";
        color.dispatchEvent(new Event("input"));
        pen.value = "thick"; pen.dispatchEvent(new Event("change"))`);
      const at = await boardPlace(page);
      await page.stroke([at(0.1, 0.5), at(0.9, 0.5)]);
      const drawn = await shown(page);
      const middle = 20 * 8 + 10;
      const pixels = await planes();
      assertEquals([0, 1, 2].map((k) => pixels[320 * k + middle]), [0x20, 0xc0, 0xff]);
      await assertAnswers(trained, { ...drawn, pixels });
      await assertQuiet(page, address);
    }),
});

Deno.test({
  name: "page: takes wasm, else the reference and says why, a GPU if told to; all answer alike",
  ignore,
  fn: () =>
    withSmallPage(async ({ trained, browser, address }) => {
      const cases = [
        { before: "", engine: "wasm (", reason: "" },
        { before: LIKE_HARDWARE, engine: "wasm (", reason: "" },
        { before: LITTLE_MEMORY, engine: "reference (", reason: "could not allocate memory" },
      ];
      for (const { before, engine, reason } of cases) {
        const page = await browser.open(address, before);
        await shown(page);
        const at = await boardPlace(page);
        await page.stroke([at(0.2, 0.2), at(0.8, 0.3), at(0.5, 0.8)]);
        const drawn = await shown(page);
        assert(drawn.engine.startsWith(engine), drawn.engine);
        assertStringIncludes(drawn.engine, reason);
        await assertAnswers(trained, drawn);
        if (before === LITTLE_MEMORY) {
          const asked = await chooseEngine(page, "wasm");
          assertStringIncludes(asked.engine, "none");
          assertStringIncludes(asked.engine, "could not allocate memory");
        } else {
          const asked = await chooseEngine(page, "webgpu");
          assert(asked.engine.startsWith("webgpu ("), asked.engine);
          await assertAnswers(trained, asked);
        }
        await assertQuiet(page, address);
      }
    }),
});

/** Pastes a WebP, white on the left and a light grey on the right. */
const PASTE = `(async () => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 28;
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, 14, 28);
  context.fillStyle = "rgb(200, 200, 200)";
  context.fillRect(14, 0, 14, 28);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/webp", 1));
  const clipboardData = new DataTransfer();
  clipboardData.items.add(new File([blob], "pasted.webp", { type: blob.type }));
  document.dispatchEvent(new ClipboardEvent("paste", { clipboardData }));
})()`;

/** Colours that change over the picture, seen through `alpha`. */
function gradient(width: number, height: number, alpha: number) {
  const data = Uint8Array.from({ length: 4 * width * height }, (_, index) => {
    const [x, y] = [(index >> 2) % width, Math.floor((index >> 2) / width)];
    return [255 * x / width, 200 * y / height, 60, alpha][index % 4];
  });
  return { width, height, data };
}

/** What `predict` shows the model of a picture. */
async function inputOf(path: string, options: Partial<ViewOptions> = {}): Promise<number[]> {
  const input = await readPicture(path, { size: SIZE, ...options });
  assert("picture" in input);
  return [...input.picture.pixels];
}
