/** The lab in a real browser, driven as a person would. */

import { pathToFileURL } from "node:url";
import { setTimeout as delay } from "node:timers/promises";
import { encode as encodePng } from "fast-png";
import {
  conv2d,
  decodeLayersModel,
  decodeOnnx,
  decodeSafetensorsModel,
  evaluate,
  flatten,
  type LayerSpec,
  linear,
  loadDataset,
  maxPool2d,
  openBackend,
  relu,
  residual,
  tanh,
} from "../../mod.ts";
import { assertAlmostEquals, assertEquals, assertStringIncludes } from "../assert.ts";
import { granted } from "../permissions.ts";
import { withTempDir } from "../temp.ts";
import { Browser, findBrowser, runProgram } from "./browser.ts";
import { canRunCommands, linesOf, ROOT, runDeno, runTask } from "./command.ts";
import { LabPage, LabServer } from "./lab_server.ts";

const canRun = canRunCommands() && granted({ name: "net", host: "127.0.0.1" });
const CHROMIUM = canRun ? await findBrowser() : undefined;
const ignore = CHROMIUM === undefined;

/** Nothing was complained of, and nobody else was asked for anything. */
function assertQuiet({ page }: LabPage, address: string): void {
  assertEquals(page.errors, []);
  const foreign = page.requests.filter((url) =>
    !/^(data|blob):/.test(url) && !url.startsWith(address)
  );
  assertEquals(foreign, []);
}

Deno.test({
  name: "lab: trains with threads, shows how numbers are made, takes drawings and edited layers",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      await using server = await LabServer.start();
      await using browser = await Browser.start(CHROMIUM!, `${folder}/profile`);
      const lab = await LabPage.open(browser, server.address);
      const { page } = lab;
      const cores = await page.evaluate<number>("navigator.hardwareConcurrency");
      assertStringIncludes(
        await page.evaluate(`document.querySelector("#device").textContent`),
        `Threads: ${cores}`,
      );

      await lab.click("#start");
      await lab.until(`parseFloat(document.querySelector("#accuracy b")?.innerText) >= 70`);
      await lab.click("#pause");
      await lab.status("paused");

      // One more step is one more step.
      const stepOf = `Number(/step (\\d+)/.exec(document.querySelector("#status").innerText)[1])`;
      const before = await page.evaluate<number>(stepOf);
      await lab.click("#step");
      await lab.until(`${stepOf} === ${before + 1}`);
      await lab.status("paused");

      // A number of conv2: its sum is written out, and it sees 14 x 14 pixels.
      await lab.pointAt(`[data-maps="conv2"]`, 0.05, 0.1);
      await lab.until(`document.querySelector("#sum")`);
      const value = asNumber(await lab.text("#value"));
      const [parts, result] = (await lab.text("#sum")).split("=");
      const sum = parts.replace("bias", "").split("+").map(asNumber).reduce((a, b) => a + b);
      assertAlmostEquals(sum, value, 0.01);
      assertEquals(asNumber(result), value);
      assertEquals(await lab.page.evaluate(`document.querySelectorAll(".window-row").length`), 6);
      assertEquals(
        await page.evaluate(`document.querySelector(".field-frame").dataset.field`),
        "14x14",
      );

      // A drawing is taken as it is drawn.
      await lab.click("#draw");
      await lab.until(`document.querySelector("#board")`);
      const corners = [[0.3, 0.2], [0.7, 0.2], [0.7, 0.8], [0.3, 0.8], [0.3, 0.2]] as const;
      const logits = await lab.text(".answer tbody");
      const places = [];
      for (const [x, y] of corners) places.push(await lab.placeOf("#board", x, y));
      await page.stroke(places);
      await lab.until(
        `document.querySelector(".answer tbody").innerText !== ${JSON.stringify(logits)}`,
      );
      assertEquals(await lab.text("#picture-loss"), "");

      // A layer that does not fit is told of in words; one that does counts at once.
      await page.evaluate(`document.querySelector('[data-layer="conv1"]').click()`);
      const field = (name: string) => `[aria-label^="${name} of conv1"]`;
      await lab.set(field("kernelSize"), "60");
      await lab.until(`document.querySelector("#network-error")`);
      assertStringIncludes(await lab.text("#network-error"), "does not fit the input [1, 28, 28]");
      assertEquals(await page.evaluate(`document.querySelector("#start").disabled`), true);
      await lab.set(field("kernelSize"), "5");
      await lab.set(field("outChannels"), "8");
      await lab.until(`document.querySelector("#parameter-count")?.innerText === "62,558"`);
      await lab.status("ready");
      assertStringIncludes(
        await page.evaluate("decodeURIComponent(location.hash)"),
        `"outChannels":8`,
      );
      assertEquals(await page.evaluate(`document.querySelectorAll("#runs li").length`), 1);
      await lab.click("#step");
      await lab.status("paused");

      await lab.set("#language", "zh");
      await lab.until(`document.documentElement.lang === "zh"`);
      assertStringIncludes(await lab.text("h1"), "实验室");
      await lab.click("#tour");
      assertEquals(await lab.text("#tour-title"), "图片就是数");
      for (let stop = 2; stop <= 10; stop++) {
        await lab.click("#tour-next");
        await lab.until(
          `document.querySelector("#tour-panel").innerText.includes("第 ${stop} 站")`,
        );
      }
      await lab.click("#tour-next");
      await lab.until(`document.querySelector("#tour-panel") === null`);
      for (const tab of ["inside", "mistakes", "own", "home"]) {
        await lab.click(`#tab-${tab}`);
        assertEquals(await lab.nameless(), [], tab);
      }
      assertQuiet(lab, server.address);
      assertEquals(await server.end(), 0);
    }),
});

/** A number as the page writes it. */
function asNumber(text: string): number {
  return Number(text.trim().replace("\u2212", "-"));
}

/** A block and what else own layers may be, small enough to train in a moment. */
const OWN_LAYERS: readonly LayerSpec[] = [
  conv2d({ name: "conv1", outChannels: 4, kernelSize: 5, stride: 2 }),
  relu(),
  residual([conv2d({ outChannels: 4, kernelSize: 3, padding: 1 }), tanh()]),
  maxPool2d({ poolSize: 2 }),
  flatten(),
  linear({ outFeatures: 10 }),
];

const PYTHON = canRun && (await runProgram("python3", ["-c", "import torch"])).code === 0;

Deno.test({
  name: "lab: what it exports and the code it writes give its own numbers",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      await using server = await LabServer.start();
      await using browser = await Browser.start(CHROMIUM!, `${folder}/profile`);
      const layers = encodeURIComponent(JSON.stringify(OWN_LAYERS));
      const settings = "epochs=2&optimizer=momentum&learningRate=0.02&schedule=cosine&seed=5";
      const lab = await LabPage.open(
        browser,
        `${server.address}#model=own&layers=${layers}&${settings}`,
      );
      await browser.send("Browser.setDownloadBehavior", {
        ...{ behavior: "allow", downloadPath: folder },
      });
      await lab.click("#start");
      await lab.status("finished");
      const accuracy = parseFloat(await lab.text("#accuracy b")) / 100;
      await lab.click("#tab-home");
      for (const format of ["safetensors", "onnx", "tfjs", "html", "start"]) {
        await lab.click(`[data-format="${format}"]`);
        await lab.until(
          `document.querySelector("#saved").innerText.includes("${
            { tfjs: "weights.bin", html: "model.html", start: "start" }[format] ?? `model.${format}`
          }")`,
        );
      }
      const names = ["model.html", "model.json", "model.onnx", "model.safetensors"];
      names.push("start.safetensors", "weights.bin");
      while (!names.every((name) => hasFile(`${folder}/${name}`))) await delay(50);

      const { test } = await loadDataset("sample");
      const read = (name: string) => Deno.readFile(`${folder}/${name}`);
      const weights = await read("weights.bin");
      const models = [
        decodeSafetensorsModel(await read("model.safetensors"), "model.safetensors"),
        decodeOnnx(await read("model.onnx"), "model.onnx"),
        await decodeLayersModel(
          await Deno.readTextFile(`${folder}/model.json`),
          () => Promise.resolve(weights),
          "model.json",
        ),
      ];
      const losses: number[] = [];
      for (const { model, parameters } of models) {
        await using session = await openBackend("wasm", model, { parameters });
        const found = await evaluate(session, test);
        assertEquals(found.accuracy, accuracy);
        losses.push(found.loss);
      }
      losses.forEach((loss) => assertAlmostEquals(loss, losses[0], 1e-6));

      const page = await browser.open(pathToFileURL(`${folder}/model.html`).href);
      await page.until(`document.body.dataset.state === "idle"`);
      assertStringIncludes(
        await page.evaluate(`document.querySelector("#engine-name").innerText`),
        "wasm",
      );
      await lab.page.send("Page.bringToFront");

      const code = async (name: string) => {
        await lab.click(`[data-code="${name}"]`);
        return await lab.text("#code");
      };
      await Deno.writeTextFile(`${folder}/program.ts`, await code("typescript"));
      const program = await runDeno([
        ...["run", "-q", "--check", "--no-prompt", "--config", `${ROOT}deno.json`, "--allow-read"],
        `${folder}/program.ts`,
      ]);
      assertEquals([program.code, program.stderr], [0, ""]);
      const last = JSON.parse(linesOf(program.stdout).at(-1)!);
      assertEquals(last, { loss: losses[0], accuracy });

      const words = (await code("command")).replaceAll("\\\n", "").trim().split(/\s+/).slice(3);
      const trained = await runTask("train", [
        ...words.map((word) => word === "start.safetensors" ? `${folder}/${word}` : word),
        ...["--out", `${folder}/run`, "--json"],
      ]);
      assertEquals(trained.code, 0, trained.stderr);
      const metrics = linesOf(await Deno.readTextFile(`${folder}/run/metrics.jsonl`));
      const { testLoss, testAccuracy } = JSON.parse(metrics.at(-1)!);
      assertEquals([testLoss, testAccuracy], [losses[0], accuracy]);

      await Deno.writeTextFile(`${folder}/lab.py`, await code("pytorch"));
      if (PYTHON) {
        const told = await runProgram("python3", [
          `${folder}/lab.py`,
          `${folder}/model.safetensors`,
        ]);
        assertEquals(told.code, 0, told.stderr);
        const [, loss, share] = /test loss (\S+), test accuracy (\S+)/.exec(told.stdout)!;
        assertAlmostEquals(Number(loss), losses[0], 1e-5);
        assertAlmostEquals(Number(share), accuracy, 1e-4);
        const learnt = await runProgram("python3", [`${folder}/lab.py`]);
        assertEquals(learnt.code, 0, learnt.stderr);
        const [, reached] = /epoch 2, .* test accuracy (\S+)/.exec(learnt.stdout)!;
        assertAlmostEquals(Number(reached), accuracy, 0.1);
      }
      assertQuiet(lab, server.address);
    }),
});

/** Where SwiftShader emulates a GPU. */
const EMULATED_GPU = ["--enable-unsafe-webgpu", "--enable-features=Vulkan"];

Deno.test({
  name: "lab: takes dropped folders in colour, ten thousand pictures, and trains on webgpu too",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const photos = `${folder}/photos`;
      for (const className of ["warm", "cold"]) {
        await Deno.mkdir(`${photos}/${className}`, { recursive: true });
        for (let n = 0; n < 20; n++) {
          await Deno.writeFile(`${photos}/${className}/${n}.png`, tinted(className === "warm", n));
        }
      }
      await Deno.writeTextFile(`${photos}/warm/notes.txt`, "no picture");
      await using server = await LabServer.start();
      await using browser = await Browser.start(CHROMIUM!, `${folder}/profile`, EMULATED_GPU);
      const settings = "batchSize=8&epochs=30&model=lenet-relu";
      const lab = await LabPage.open(browser, `${server.address}#${settings}`);
      const { page } = lab;
      await lab.click("#tab-own");
      await lab.click("#colour");
      const [x, y] = await lab.placeOf("#drop");
      const data = { items: [], files: [photos], dragOperationsMask: 1 };
      for (const type of ["dragEnter", "dragOver", "drop"]) {
        await page.send("Input.dispatchDragEvent", { type, x, y, data });
      }
      await lab.until(`document.querySelectorAll(".classes li").length === 2`);
      await lab.until(`document.querySelector(".own .notice")?.innerText.includes("notes.txt")`);
      assertEquals(
        await page.evaluate(
          `[...document.querySelectorAll(".classes li b")].map((b) => b.innerText).sort()`,
        ),
        ["cold", "warm"],
      );
      await lab.click("#use-own");
      await lab.until(
        `document.querySelector("#data p")?.innerText.includes("3×28×28, 2 classes")`,
      );
      await lab.status("ready");
      await lab.click("#start");
      await lab.until(`parseFloat(document.querySelector("#accuracy b")?.innerText) === 100`);
      await page.evaluate(`document.querySelector("#pause")?.click()`);

      await page.evaluate(DROP_MANY);
      await lab.until(`[...document.querySelectorAll(".classes li")]
        .some((item) => item.innerText.includes("10,0"))`);

      const webgpu = await LabPage.open(
        browser,
        `${server.address}#engine=webgpu&learningRate=0.002`,
      );
      assertStringIncludes(
        await webgpu.page.evaluate(`document.querySelector("#device").textContent`),
        "swiftshader",
      );
      await webgpu.click("#start");
      await webgpu.until(`parseFloat(document.querySelector("#accuracy b")?.innerText) >= 70`);
      await webgpu.click("#pause");
      await webgpu.status("paused");
      for (const one of [lab, webgpu]) assertQuiet(one, server.address);
    }),
});

/** A picture of 40 x 30 in warm or cold colours of one brightness. */
function tinted(isWarm: boolean, n: number): Uint8Array {
  const data = Uint8Array.from({ length: 3 * 40 * 30 }, (_, index) => {
    const light = 60 + (17 * n + 3 * Math.floor(index / 3)) % 120;
    return [isWarm ? light + 60 : light, light, isWarm ? light : light + 60][index % 3];
  });
  return encodePng({ width: 40, height: 30, channels: 3, data });
}

/** Drops ten thousand pictures at once. */
const DROP_MANY = `(async () => {
  const canvas = new OffscreenCanvas(8, 8);
  const context = canvas.getContext("2d");
  const blobs = [];
  for (let n = 0; n < 8; n++) {
    context.fillStyle = "rgb(" + 30 * n + ", 90, 90)";
    context.fillRect(0, 0, 8, 8);
    blobs.push(await canvas.convertToBlob());
  }
  const dataTransfer = new DataTransfer();
  for (let n = 0; n < 10000; n++) dataTransfer.items.add(new File([blobs[n % 8]], n + ".png"));
  const event = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
  document.querySelector("#drop").dispatchEvent(event);
})()`;

function hasFile(path: string): boolean {
  try {
    return Deno.statSync(path).size > 0;
  } catch {
    return false;
  }
}

Deno.test({
  name: "lab: serves its own files to this machine alone, with the headers that give threads",
  ignore: !canRun,
  fn: async () => {
    await using server = await LabServer.start();
    const { hostname, port, origin } = new URL(server.address);
    const page = await fetch(server.address);
    assertStringIncludes(await page.text(), `<div id="lab">`);
    const header = (name: string) => page.headers.get(name);
    assertEquals(
      [header("cross-origin-opener-policy"), header("cross-origin-embedder-policy")],
      ["same-origin", "require-corp"],
    );
    assertStringIncludes(header("content-security-policy")!, "default-src 'none'");
    assertEquals(await (await fetch(`${origin}/data/index.json`)).json(), ["sample"]);
    const statuses = [];
    for (
      const path of ["deno.json", "../deno.json", "data/mnist/train-images-idx3-ubyte.gz", "%00"]
    ) {
      const response = await fetch(`${origin}/${path}`);
      await response.body?.cancel();
      statuses.push(response.status);
    }
    const post = await fetch(server.address, { method: "POST" });
    await post.body?.cancel();
    assertEquals([...statuses, post.status], [404, 404, 404, 404, 405]);

    // Another site's name may lead here: its pages learn nothing.
    using connection = await Deno.connect({ hostname, port: Number(port) });
    await connection.write(new TextEncoder().encode(
      "GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
    ));
    const buffer = new Uint8Array(100);
    const length = await connection.read(buffer) ?? 0;
    assertStringIncludes(new TextDecoder().decode(buffer.subarray(0, length)), "403");

    const second = await runTask("lab", ["--port", port]);
    assertEquals(second.code, 1);
    assertStringIncludes(second.stderr, `port ${port}`);
    assertEquals(linesOf(second.stderr).length, 1);
  },
});

Deno.test({
  name: "lab: is written as files, smaller than 400 kB compressed without images",
  ignore: !canRun,
  fn: () =>
    withTempDir(async (folder) => {
      const { code, stdout, stderr } = await runTask("lab", ["--out", `${folder}/site`]);
      assertEquals([code, stderr], [0, ""]);
      assertStringIncludes(stdout, "_headers");
      let bytes = 0;
      for await (const { name, isFile } of Deno.readDir(`${folder}/site`)) {
        if (!isFile) continue;
        const packed = new Blob([await Deno.readFile(`${folder}/site/${name}`)]).stream()
          .pipeThrough(new CompressionStream("gzip"));
        bytes += (await new Response(packed).arrayBuffer()).byteLength;
      }
      // What computes is the worker's alone: the page's thread has no kernels.
      const holdsKernels = async (name: string): Promise<boolean> => {
        const text = await Deno.readTextFile(`${folder}/site/${name}`);
        if (text.includes("AGFzbQ")) return true; // how WebAssembly begins, as base64
        const chunks = [...text.matchAll(/"\.\/(chunk-\w+\.js)"/g)].map(([, chunk]) => chunk);
        for (const chunk of new Set(chunks)) if (await holdsKernels(chunk)) return true;
        return false;
      };
      assertEquals([await holdsKernels("lab.js"), await holdsKernels("worker.js")], [false, true]);
      if (bytes > 400_000) throw new Error(`Expected less than 400,000 bytes, found ${bytes}`);
      assertStringIncludes(
        await Deno.readTextFile(`${folder}/site/_headers`),
        "Cross-Origin-Embedder-Policy: require-corp",
      );
      const missing = await runTask("lab", ["--out", `${folder}/x`, "--data", "sample,nothing"]);
      assertEquals(missing.code, 2);
    }),
});
