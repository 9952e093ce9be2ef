/** The page that `export --format html` writes, opened from its file in a real browser. */

import { pathToFileURL } from "node:url";
import { encode as encodePng } from "fast-png";
import jpeg from "jpeg-js";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { readPicture } from "../../src/cli/predict_inputs.ts";
import { loadSubject, type Subject } from "../../src/cli/subject.ts";
import { initialParameters } from "../../src/nn/init.ts";
import { zooModel } from "../../src/nn/zoo.ts";
import { modelPage } from "../../src/report/model_page.ts";
import { topClasses } from "../../src/report/top_classes.ts";
import { assert, assertAlmostEquals, assertEquals, assertStringIncludes } from "../assert.ts";
import { granted } from "../permissions.ts";
import { withTempDir } from "../temp.ts";
import { Browser, findBrowser, type Page } from "./browser.ts";
import { canRunCommands, runTask } from "./command.ts";

const canRun = canRunCommands() && granted({ name: "net", host: "127.0.0.1" });
const CHROMIUM = canRun ? await findBrowser() : undefined;
const ignore = CHROMIUM === undefined;
const SIZE = { width: 28, height: 28 };

/** An emulated GPU: there, but not what a page takes unasked. */
const EMULATED_GPU = ["--enable-unsafe-webgpu", "--enable-features=Vulkan"];

/** Names that are also markup, or end what they stand in. */
const HOSTILE = [`</script><img src=x onerror=alert(1)>`, `" onclick="alert(1)`, `<!--<script>`];

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

/** Draws trousers with the thick pen. */
async function drawTrousers(page: Page): Promise<void> {
  const box = await page.evaluate<Record<"left" | "top" | "width" | "height", number>>(
    `board.getBoundingClientRect().toJSON()`,
  );
  const at = (x: number, y: number) =>
    [box.left + x * box.width, box.top + y * box.height] as const;
  await page.evaluate(`pen.value = "thick"; pen.dispatchEvent(new Event("change"))`);
  await page.stroke([at(0.6, 0.15), at(0.4, 0.15), at(0.38, 0.5), at(0.36, 0.9)]);
  await page.stroke([at(0.6, 0.15), at(0.62, 0.5), at(0.64, 0.9)]);
}

/** The answer of the float64 reference to the page's own input. */
async function expected(subject: Subject, pixels: readonly number[]) {
  const { model, parameters, classNames } = subject;
  await using session = await referenceBackend.open(model, {
    optimizer: { type: "sgd", momentum: 0 },
    batchSize: 1,
  });
  await session.loadState({ parameters, slots: [], step: 0 });
  const data = {
    images: Uint8Array.from(pixels),
    labels: new Uint8Array(1),
    count: 1,
    shape: model.inputShape,
  };
  await session.attach(data);
  return topClasses(await session.predict(data), classNames, model.classCount);
}

async function assertAnswers(subject: Subject, { pixels, labels, probabilities }: Shown) {
  const top = await expected(subject, pixels);
  assertEquals(labels, top.map(({ label }) => label));
  top.forEach(({ probability }, n) => assertAlmostEquals(probabilities[n], probability, 1e-4));
}

async function assertQuiet(page: Page, address: string) {
  await page.evaluate("1"); // what came before it has been told
  assertEquals([page.errors, page.requests], [[], [address]]);
}

Deno.test({
  name: "page: answers drawings and pictures as predict does, from a file, without a request",
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
      const subject = await loadSubject({ run });
      const address = pathToFileURL(out).href;
      await using browser = await Browser.start(CHROMIUM!, `${folder}/profile`, EMULATED_GPU);
      const page = await browser.open(address);
      const blank = await shown(page);
      assert(blank.pixels.every((pixel) => pixel === 0));
      assertStringIncludes(blank.engine, "wasm (WebAssembly SIMD");
      assertStringIncludes(blank.engine, "webgpu cannot run: this browser's GPU is emulated");

      await drawTrousers(page);
      const drawn = await shown(page);
      assert(drawn.pixels.some((pixel) => pixel === 255), "nothing was drawn");
      await assertAnswers(subject, drawn);

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

      for (const name of ["webgpu", "reference"]) {
        const answer = await chooseEngine(page, name);
        assertStringIncludes(answer.engine, `${name} (`);
        await assertAnswers(subject, answer);
      }
      await assertQuiet(page, address);
    }),
});

Deno.test({
  name: "page: makes pictures the model's input as predict does; names from outside are only text",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const model = zooModel("softmax");
      const classNames = Array.from({ length: 10 }, (_, k) => HOSTILE[k] ?? `thing ${k}`);
      const trained = { model, parameters: initialParameters(model, 1), classNames };
      const path = `${folder}/model.html`;
      await Deno.writeTextFile(path, await modelPage(trained, { datasetName: HOSTILE[0] }));
      const [opaque, clear, other] = ["a.jpg", "b.png", "c.png"].map((name) => `${folder}/${name}`);
      await Deno.writeFile(opaque, jpeg.encode(gradient(61, 90, 255), 80).data);
      await Deno.writeFile(clear, encodePng(gradient(100, 45, 128)));
      await Deno.writeTextFile(other, "no picture");

      await using browser = await Browser.start(CHROMIUM!, `${folder}/profile`);
      const address = pathToFileURL(path).href;
      const page = await browser.open(address);
      await shown(page);
      const dropped = await dropFile(page, opaque);
      assertEquals(dropped.pixels, await inputOf(opaque, false));
      const chosen = await chooseFile(page, clear);
      assertEquals(chosen.pixels, await inputOf(clear, false));
      await page.evaluate("invert.click()");
      const inverted = await shown(page);
      assertEquals(inverted.pixels, await inputOf(clear, true));
      const refused = await chooseFile(page, other);
      assertStringIncludes(refused.notice, 'Cannot read "c.png" as a picture');
      assertEquals(refused.pixels, inverted.pixels);

      await page.evaluate(`document.querySelector("#clear").click()`);
      await shown(page);
      const names = await page.evaluate<string[]>(
        `[...document.querySelectorAll("#classes bdi")].map((name) => name.textContent)`,
      );
      assertEquals(names, classNames);
      assertEquals(await page.evaluate("document.images.length"), 0);
      assertStringIncludes(await page.evaluate("document.title"), HOSTILE[0]);
      await assertQuiet(page, address);
    }),
});

/** Colours that change over the picture, seen through `alpha`. */
function gradient(width: number, height: number, alpha: number) {
  const data = Uint8Array.from({ length: 4 * width * height }, (_, index) => {
    const [x, y] = [(index >> 2) % width, Math.floor((index >> 2) / width)];
    return [255 * x / width, 200 * y / height, 60, alpha][index % 4];
  });
  return { width, height, data };
}

async function inputOf(path: string, invert: boolean): Promise<number[]> {
  const input = await readPicture(path, SIZE, { invert });
  assert("picture" in input);
  return [...input.picture.pixels];
}
