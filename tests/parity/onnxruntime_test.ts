import fc from "fast-check";
import { loadDataset } from "../../src/data/load.ts";
import { decodeOnnx, encodeOnnx } from "../../src/formats/onnx/file.ts";
import type { Model } from "../../src/nn/sequential.ts";
import { MODEL_NAMES, zooModel } from "../../src/nn/zoo.ts";
import { evaluate } from "../../src/train/inference.ts";
import { openBackend } from "../../src/train/open_backend.ts";
import { quantizeModel, referenceLogitsOf } from "../../src/train/quantize.ts";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "../assert.ts";
import { canRunCommands, linesOf, ROOT } from "../cli/command.ts";
import { randomlyLearned, randomModels } from "../random_models.ts";
import { referenceLogits } from "../reference_logits.ts";
import { withTempDir } from "../temp.ts";
import { caseModel, PARITY_CASES, randomImages } from "./cases.ts";

const PEER = `${ROOT}bench/peers/onnxruntime/`;
const canRun = canRunCommands();
const isInstalled = canRun && await exists(`${PEER}node_modules`);

const because = canRun && !isInstalled
  ? " (install it: cd bench/peers/onnxruntime && deno install)"
  : "";

const MODELS: readonly Model[] = [
  ...MODEL_NAMES.map((name) => zooModel(name)),
  ...PARITY_CASES.map(caseModel),
  ...fc.sample(randomModels(), { seed: 17, numRuns: 30 }),
];

Deno.test({
  name: "ONNX Runtime gives the reference's logits for every exported model, whatever the batch" +
    because,
  ignore: !isInstalled,
  fn: () =>
    withTempDir(async (folder) => {
      const requests = [];
      const expected: Float32Array[] = [];
      for (const [index, model] of MODELS.entries()) {
        const count = index % 3 + 1;
        const trained = { model, ...randomlyLearned(model, index) };
        const data = randomImages(model, count, index);
        const path = `${folder}/${index}.onnx`;
        await Deno.writeFile(path, encodeOnnx(trained));
        const input = Array.from(data.images, (pixel) => pixel / 255);
        requests.push({ model: path, shape: [count, ...model.inputShape], input });
        expected.push(await referenceLogits(trained, data));
      }
      const replies = await ask(requests);
      assertEquals(replies.length, MODELS.length);
      MODELS.forEach((model, index) => {
        const { inputMetadata, outputMetadata, dims, output } = replies[index];
        const [input, logits] = [inputMetadata[0], outputMetadata[0]];
        assertEquals([input.name, input.type], ["input", "float32"]);
        assertEquals(input.shape, ["batch", ...model.inputShape]);
        assertEquals([logits.name, logits.shape], ["logits", ["batch", model.classCount]]);
        assertEquals(dims, [index % 3 + 1, model.classCount]);
        const largest = Math.max(1, ...expected[index].map(Math.abs));
        expected[index].forEach((logit, n) =>
          assertAlmostEquals(output[n], logit, 1e-5 * largest, `${model.name}, logit ${n}`)
        );
      });
    }),
});

Deno.test({
  name: "ONNX Runtime computes quantised models on the grids that they were put on" + because,
  ignore: !isInstalled,
  fn: () =>
    withTempDir(async (folder) => {
      const models = await Promise.all(
        MODELS.slice(MODEL_NAMES.length).map(async (model, index) => {
          const data = randomImages(model, 3, index);
          const trained = await quantizeModel({ model, ...randomlyLearned(model, index) }, data);
          const path = `${folder}/${index}.onnx`;
          await Deno.writeFile(path, encodeOnnx(trained));
          const input = Array.from(data.images, (pixel) => pixel / 255);
          const expected = await referenceLogitsOf(trained, data, Uint32Array.of(0, 1, 2));
          return {
            request: { model: path, shape: [3, ...model.inputShape], input },
            expected,
            model,
          };
        }),
      );
      const replies = await ask(models.map(({ request }) => request));
      models.forEach(({ expected, model: { name, specs } }, index) => {
        const largest = expected.reduce((most, logit) => Math.max(most, Math.abs(logit)), 1e-3);
        const what = `${name}: ${JSON.stringify(specs)}`;
        expected.forEach((logit, n) =>
          assertAlmostEquals(replies[index].output[n], logit, 0.03 * largest, what)
        );
      });
    }),
});

Deno.test({
  name: "ONNX Runtime's accuracy of a quantised LeNet is that of floats, within 0.005" + because,
  ignore: !isInstalled,
  fn: () =>
    withTempDir(async (folder) => {
      const { train, test } = await loadDataset("sample");
      const model = zooModel("lenet-relu");
      await using session = await openBackend("wasm", model, { batchSize: 32, threads: 2 });
      await session.attach(train);
      const order = Uint32Array.from({ length: 3 * train.count }, (_, n) => n % train.count);
      const learningRates = new Float32Array(Math.ceil(order.length / 32)).fill(0.2);
      await session.train(train, { order, batchSize: 32, learningRates });
      const { parameters } = await session.readState();
      const { accuracy } = await evaluate(session, test);
      const quantized = await quantizeModel({ model, parameters }, train);
      const file = encodeOnnx(quantized);
      assert(file.length < 80_000, `expected a quarter of 250 KB, found ${file.length}`);
      const path = `${folder}/lenet.onnx`;
      await Deno.writeFile(path, file);
      const input = Array.from(test.images, (pixel) => Math.fround(pixel / 255));
      const [{ output }] = await ask([{ model: path, shape: [test.count, 1, 28, 28], input }]);
      const correct = Array.from(test.labels, (label, n) => {
        const row = output.slice(10 * n, 10 * n + 10);
        return row.indexOf(Math.max(...row)) === label;
      }).filter(Boolean).length;
      assert(accuracy > 0.6, `expected a model that has learned something, found ${accuracy}`);
      assertAlmostEquals(correct / test.count, accuracy, 0.005);
      const say = () => decodeOnnx(file, path);
      assertThrows(
        say,
        TypeError,
        "quantised models are not supported: export the model of floats",
      );
    }),
});

interface Reply {
  readonly inputMetadata: readonly { name: string; type: string; shape: (string | number)[] }[];
  readonly outputMetadata: readonly { name: string; shape: (string | number)[] }[];
  readonly dims: readonly number[];
  readonly output: readonly number[];
}

/** Runs all requests in one process of ONNX Runtime. */
async function ask(requests: readonly unknown[]): Promise<Reply[]> {
  const child = new Deno.Command("deno", {
    args: [
      ...["run", "--no-prompt", "--allow-read", "--config", `${PEER}deno.json`, `${PEER}run.ts`],
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const lines = requests.map((request) => JSON.stringify(request) + "\n");
  const writing = ReadableStream.from(lines).pipeThrough(new TextEncoderStream())
    .pipeTo(child.stdin);
  const { code, stdout, stderr } = await child.output();
  await writing;
  assert(code === 0, new TextDecoder().decode(stderr));
  return linesOf(new TextDecoder().decode(stdout)).map((line) => JSON.parse(line));
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    return false;
  }
}
