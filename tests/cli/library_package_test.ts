/** The npm package of the library as its users have it: packed, installed, in Node, Bun, Deno and a browser. */

import { join } from "node:path";
import { assert, assertEquals, assertStringIncludes } from "../assert.ts";
import config from "../../deno.json" with { type: "json" };
import { Browser, findBrowser, runProgram } from "./browser.ts";
import { type Outcome, ROOT, runDeno } from "./command.ts";
import { hasNode, inBrowser, withPackage } from "./packed.ts";

const NAME = config.name;
const browserProgram = hasNode ? await findBrowser() : undefined;
const hasBun = hasNode && (await runProgram("bun", ["--version"])).code === 0;
const nodeVersion = hasNode ? (await runProgram("node", ["--version"])).stdout : "";
const hasNode22 = Number(/^v(\d+)/.exec(nodeVersion)?.[1] ?? 0) >= 22;
const DENO = ["run", "--no-lock", "--node-modules-dir=manual", "--allow-read"];
/** A page's browser must send these to share memory with workers. */
const ISOLATED = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};
const EMULATED_GPU = ["--enable-unsafe-webgpu", "--enable-features=Vulkan"];

interface Trained {
  readonly threads: number;
  /** Which build of the kernels: Node 20 lacks the faster one, which rounds otherwise. */
  readonly engine: string;
  readonly losses: number[];
  readonly accuracy: number;
  /** Class and probability of the first image, of the session and of each format read back. */
  readonly answers: readonly (readonly [label: number, probability: number])[];
}

/** A program that trains a model, LeNet unless told otherwise, on arrays of its own, exports it, and predicts with what it reads back. */
const program = (backend: string, options: string, model = "lenet-relu") => `
  import * as lenet from ${JSON.stringify(NAME)};
  globalThis.trained = (async () => {
    const count = 64, shape = [1, 28, 28];
    const images = Uint8Array.from({ length: count * 784 }, (_, at) => {
      const [image, pixel] = [Math.floor(at / 784), at % 784];
      return (image % 2 ? pixel % 28 : pixel / 28) < 14 ? 200 + image % 50 : image;
    });
    const labels = Uint8Array.from({ length: count }, (_, image) => image % 2);
    const data = { images, labels, count, shape };
    const model = lenet.zooModel(${JSON.stringify(model)});
    const options = { optimizer: { type: "adam" }, ${options} };
    const session = await lenet.openBackend(${JSON.stringify(backend)}, model, options);
    const losses = [];
    const schedule = ({ epoch, epochs }) => 1 - epoch / epochs;
    await lenet.train(session, { train: data }, {
      epochs: 5, batchSize: 16, learningRate: 0.004, schedule,
    }, { onEpoch: ({ trainLoss }) => losses.push(trainLoss) });
    const { accuracy } = await lenet.evaluate(session, data);
    const first = { images: images.subarray(0, 784), count: 1, shape };
    const answerOf = async (session) => {
      const [[{ label, probability }]] = await lenet.predict(session, first, { top: 1 });
      return [label, probability];
    };
    const answers = [await answerOf(session)];
    const { parameters } = await session.readState();
    const { threads, description: engine } = session.device;
    await session[Symbol.asyncDispose]();
    const { topology, weights } = lenet.encodeLayersModel({ model, parameters });
    const readBack = [
      lenet.decodeSafetensorsModel(lenet.encodeSafetensorsModel({ model, parameters }), "model"),
      lenet.decodeOnnx(lenet.encodeOnnx({ model, parameters }), "model.onnx"),
    ];
    for (const { model, parameters } of readBack) {
      const session = await lenet.openBackend("wasm", model, { parameters, threads: 1 });
      answers.push(await answerOf(session));
      await session[Symbol.asyncDispose]();
    }
    return { threads, engine, losses, accuracy, answers };
  })();`;

const print = `trained.then((result) => console.log(JSON.stringify(result)));`;

/** What a program has found, which is right, on so many threads. */
function trainedOf({ code, stdout, stderr }: Outcome, threads: number): Trained {
  assertEquals(code, 0, stderr);
  const trained: Trained = JSON.parse(stdout);
  requireTrained(trained, threads);
  return trained;
}

/** What was found first on two threads, by the build of the kernels: V8 gives the same bits everywhere. */
const firsts = new Map<string, Trained>();

function requireSame(trained: Trained): void {
  const first = firsts.get(trained.engine) ?? trained;
  firsts.set(trained.engine, first);
  assertEquals(trained, first);
}

function requireTrained({ threads, losses, accuracy, answers }: Trained, expected: number): void {
  assertEquals([threads, losses.length, accuracy], [expected, 5, 1]);
  assert(losses[4] < losses[0], losses.join());
  assertEquals(answers.map(([label]) => label), [0, 0, 0]);
  for (const [, probability] of answers) assert(Math.abs(probability - answers[0][1]) < 1e-5);
}

Deno.test({
  name: "the packed library trains, exports and predicts in Node, Bun, Deno and browsers",
  ignore: !hasNode,
  fn: (t) =>
    withPackage("lenet", async (folder, packed) => {
      const step = (name: string, fn: () => Promise<void>, ignore = false) =>
        t.step({ name, ignore, fn });
      const main = join(folder, "main.mjs");
      const installed = join(folder, "node_modules", NAME);
      const onTwo = program("wasm", "threads: 2");
      await step(
        "the tarball holds its files only, of one version, and needs nothing",
        async () => {
          const others = packed.filter((path) => !/^[\w-]+\.js$|^types\/.*\.d\.ts$/.test(path));
          const sample = [...Deno.readDirSync(join(ROOT, "data/sample"))];
          const files = ["LICENSE", "README.md", "THIRD_PARTY.md", "package.json"];
          const expected = [...files, ...sample.map(({ name }) => `sample/${name}`)];
          assertEquals(others.toSorted(), expected.toSorted());
          const manifest = JSON.parse(await Deno.readTextFile(join(installed, "package.json")));
          assertEquals([manifest.name, manifest.version], [config.name, config.version]);
          assertEquals([manifest.dependencies, manifest.peerDependencies], [undefined, undefined]);
        },
      );
      await step("Node trains on one thread and on two", async () => {
        await Deno.writeTextFile(main, program("wasm", "threads: 1") + print);
        trainedOf(await runProgram("node", [main]), 1);
        await Deno.writeTextFile(main, onTwo + print);
        requireSame(trainedOf(await runProgram("node", [main]), 2));
      });
      await step("Deno gives the same bits, and knows the types", async () => {
        requireSame(trainedOf(await runDeno([...DENO, main], { cwd: folder }), 2));
        const types = join(folder, "types.ts");
        await Deno.writeTextFile(
          types,
          `import { lenet, openBackend, predict, type Session, train } from "${NAME}";
          import { type Dataset, loadDataset } from "${NAME}/data";
          const dataset: Dataset = await loadDataset("sample");
          const session: Session = await openBackend("wasm", lenet(), { seed: 1 });
          await train(session, dataset, { epochs: 1, learningRate: 0.1, schedule: () => 1 }, {
            onEpoch: ({ testAccuracy }) => console.log(testAccuracy.toFixed(3)),
          });
          const [[{ label }]] = await predict(session, dataset.test);
          export const answer: number = label;`,
        );
        const checking = ["check", "--no-lock", "--node-modules-dir=manual", types];
        const checked = await runDeno(checking, { cwd: folder });
        assertEquals(checked.code, 0, checked.stderr);
        await Deno.writeTextFile(types, `import { lenet } from "${NAME}"; lenet().name = 1;`);
        const refused = await runDeno(checking, { cwd: folder });
        assertStringIncludes(refused.stderr, "TS2", "expected an error of a wrong type");
      });
      await step("Bun trains", async () => {
        trainedOf(await runProgram("bun", [main]), 2);
      }, !hasBun);
      const pictures = ["grey_alpha.png", "palette.bmp", "lossy.webp"]
        .map((name) => join(ROOT, "tests/fixtures/pictures", name));
      await Deno.writeTextFile(
        join(folder, "data.mjs"),
        `import { readFileSync } from "node:fs";
        import { decodePictures, loadDataset } from "${NAME}/data";
        const { train, test, digest } = await loadDataset("sample");
        const files = ${JSON.stringify(pictures)}.map((path) => readFileSync(path));
        const { images } = decodePictures(files, { width: 4, height: 4 });
        const missing = await loadDataset("nowhere").catch(({ name }) => name);
        console.log(JSON.stringify([train.count, test.count, digest, [...images], missing]));`,
      );
      const loads = async (run: () => Promise<Outcome>) => {
        const { decodePictures, loadDataset } = await import("../../mod.ts");
        const { code, stdout, stderr } = await run();
        assertEquals(code, 0, stderr);
        const { digest } = await loadDataset("sample");
        const files = pictures.map((path) => Deno.readFileSync(path));
        const { images } = decodePictures(files, { width: 4, height: 4 });
        assertEquals(JSON.parse(stdout), [5000, 1000, digest, [...images], "DatasetError"]);
      };
      const data = join(folder, "data.mjs");
      await step(
        "the entry for files loads datasets and pictures in Deno",
        () => loads(() => runDeno([...DENO, data], { cwd: folder })),
      );
      await step(
        "so it does in Node 22 and later",
        () => loads(() => runProgram("node", [data])),
        !hasNode22,
      );
      await step("so it does in Bun", () => loads(() => runProgram("bun", [data])), !hasBun);
      await step(
        "a page that esbuild bundled trains on wasm with threads, and on webgpu",
        async () => {
          await using browser = await Browser.start(
            browserProgram!,
            join(folder, "profile"),
            EMULATED_GPU,
          );
          const isolated = { code: onTwo, headers: ISOLATED };
          const onThreads = await inBrowser<Trained>(browser, folder, isolated);
          requireTrained(onThreads, 2);
          requireSame(onThreads);
          const code = program("wasm", "");
          requireTrained(await inBrowser<Trained>(browser, folder, { code }), 1);
          // An emulated GPU takes ten seconds to compile LeNet.
          const gpu = program("webgpu", "", "softmax");
          requireTrained(await inBrowser<Trained>(browser, folder, { code: gpu }), 1);
        },
        browserProgram === undefined,
      );
    }),
});
