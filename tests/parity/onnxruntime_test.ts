import fc from "fast-check";
import { encodeOnnx } from "../../src/formats/onnx/file.ts";
import type { Model } from "../../src/nn/sequential.ts";
import { MODEL_NAMES, zooModel } from "../../src/nn/zoo.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";
import { canRunCommands, linesOf, ROOT } from "../cli/command.ts";
import { randomlyLearned, randomModels } from "../random_models.ts";
import { referenceLogits } from "../reference_logits.ts";
import { withTempDir } from "../temp.ts";
import { caseModel, PARITY_CASES, randomImages } from "./cases.ts";

const PEER = `${ROOT}bench/peers/onnxruntime/`;
const canRun = canRunCommands();
const isInstalled = canRun && await exists(`${PEER}node_modules`);

const MODELS: readonly Model[] = [
  ...MODEL_NAMES.map((name) => zooModel(name)),
  ...PARITY_CASES.map(caseModel),
  ...fc.sample(randomModels(), { seed: 17, numRuns: 30 }),
];

Deno.test({
  name: "ONNX Runtime gives the reference's logits for every exported model, whatever the batch" +
    (canRun && !isInstalled ? " (install it: cd bench/peers/onnxruntime && deno install)" : ""),
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
