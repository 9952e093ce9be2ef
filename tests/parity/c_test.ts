import fc from "fast-check";
import { loadDataset } from "../../src/data/load.ts";
import type { LabeledImages } from "../../src/data/dataset.ts";
import { sliceImages } from "../../src/data/dataset.ts";
import { encodeC } from "../../src/formats/c/file.ts";
import type { QuantizedModel } from "../../src/formats/quantized_model.ts";
import type { TrainedModel } from "../../src/formats/trained_model.ts";
import { type Model, sequential } from "../../src/nn/sequential.ts";
import { type ModelName, zooModel } from "../../src/nn/zoo.ts";
import { openBackend } from "../../src/train/open_backend.ts";
import { quantizeModel, referenceLogitsOf } from "../../src/train/quantize.ts";
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertRejects,
  assertThrows,
} from "../assert.ts";
import { granted } from "../permissions.ts";
import { randomlyLearned, randomModels } from "../random_models.ts";
import { canUseTemp, withTempDir } from "../temp.ts";
import { PARITY_CASES, randomImages, UNUSUAL_MODELS } from "./cases.ts";

const hasCompiler = canUseTemp() && granted({ name: "run", command: "bash" }) &&
  await bash("command -v gcc").then(() => true, () => false);
const ignore = !hasCompiler;
const because = hasCompiler ? "" : " (needs gcc)";

const STRICT = "gcc -std=c99 -pedantic -Wall -Wextra -Werror";
const SANITIZED = `${STRICT} -fsanitize=address,undefined -fno-sanitize-recover=all`;

/** A model in C, and images for it. */
interface Case {
  readonly trained: TrainedModel | QuantizedModel;
  readonly images: Uint8Array;
  readonly count: number;
}

const SMALL: readonly Model[] = [
  ...UNUSUAL_MODELS,
  ...PARITY_CASES.map(({ specs, ...options }, n) =>
    sequential(specs, { ...options, name: `case ${n}`, frozen: [] })
  ),
  ...fc.sample(randomModels(), { seed: 18, numRuns: 8 })
    .map(({ specs, ...options }, n) => sequential(specs, { ...options, name: `random ${n}` })),
];

Deno.test({
  name: "C, floats: gcc's sanitizers find nothing, and every model gives the reference's logits" +
    because,
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const cases = SMALL.map((model, seed) => {
        const { images } = randomImages(model, 3, seed);
        return { trained: { model, ...randomlyLearned(model, seed) }, images, count: 3 };
      });
      const answers = await runC(folder, cases, SANITIZED);
      for (const [n, { trained, images }] of cases.entries()) {
        const data = { images, count: 3, shape: trained.model.inputShape };
        const expected = await referenceLogitsOf(trained, data, Uint32Array.of(0, 1, 2));
        assertClose(answers[n], expected, 1e-5, SMALL[n]);
      }
    }),
});

Deno.test({
  name: "C, int8: every model gives the logits of the grids that it was put on, but for rounding" +
    because,
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const cases = await Promise.all(SMALL.map(async (model, seed) => {
        const data = randomImages(model, 8, seed);
        const trained = await quantizeModel({ model, ...randomlyLearned(model, seed) }, data);
        return { trained, images: data.images, count: 8 };
      }));
      const answers = await runC(folder, cases, SANITIZED);
      for (const [n, { trained, images }] of cases.entries()) {
        const data = { images, count: 8, shape: trained.model.inputShape };
        const expected = await referenceLogitsOf(trained, data, Uint32Array.from(Array(8).keys()));
        assertClose(answers[n], expected, 0.02, SMALL[n]);
      }
    }),
});

for (
  const [name, { count, batches }] of Object.entries({
    lenet: { count: 1000, batches: 250 },
    resnet8: { count: 100, batches: 16 },
  }) as [ModelName, { count: number; batches: number }][]
) {
  Deno.test({
    name: `C: ${name} predicts what wasm does, and int8 nearly always` + because,
    ignore,
    fn: () =>
      withTempDir(async (folder) => {
        const dataset = await loadDataset("sample");
        const test = sliceImages(dataset.test, 0, count);
        const { trained, predictions } = await trainedModel(name, dataset.train, test, batches);
        const quantized = await quantizeModel(trained, sliceImages(dataset.train, 0, 32));
        const both = [trained, quantized].map((one) => ({
          trained: one,
          images: test.images,
          count,
        }));
        const [inFloats, inBytes] = await Promise.all(both.map(async (one, n) => {
          const own = `${folder}/${n}`;
          await Deno.mkdir(own);
          const [logits] = await runC(own, [one], `${STRICT} -O2`);
          return classesOf(logits, 10);
        }));
        assertEquals(inFloats, predictions);
        const agreement = shareOf(inBytes, predictions);
        assert(agreement >= 0.97, `${agreement} of int8's predictions are wasm's`);
        const [float, int8] = [predictions, inBytes].map((one) => shareOf(one, test.labels));
        assert(float > 0.3, `expected a model that has learned something, found ${float}`);
        assert(
          Math.abs(float - int8) <= Math.max(0.01, 1.5 / count),
          `accuracy ${int8} of int8, ${float} of floats`,
        );
        const few = both.map((one) => ({
          ...one,
          images: test.images.subarray(0, 3 * 784),
          count: 3,
        }));
        for (const one of few) await runC(folder, [one], SANITIZED);
      }),
  });
}

Deno.test("C: a model without running statistics, or with what is no number, is refused", async () => {
  const model = zooModel("lenet-bn");
  const { parameters, statistics } = randomlyLearned(model, 1);
  assertThrows(() => encodeC({ model, parameters }), RangeError, "statistics");
  const diverged = { model, parameters: parameters.with(7, NaN), statistics };
  assertThrows(() => encodeC(diverged), RangeError, '"conv1.weight" would hold what is no number');
  const large = { model, parameters: parameters.map((value) => value * 1e30), statistics };
  const data = randomImages(model, 2, 1);
  await assertRejects(() => quantizeModel(large, data), RangeError, "would hold what is no number");
  await assertRejects(() => quantizeModel(diverged, { ...data, count: 0 }), RangeError, "count");
});

Deno.test({
  name: "C: the file's own test passes, and fails where a weight has changed; names are UTF-8" +
    because,
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const model = sequential(zooModel("lenet").specs, { name: "2 Größen!" });
      const classNames = ['"a"', "ü", "??/", "\\", "e", "f", "g", "h", "i", "*/"];
      const data = randomImages(model, 2, 5);
      const trained = { model, ...randomlyLearned(model, 3), classNames };
      for (const one of [trained, await quantizeModel(trained, data)]) {
        const logits = await referenceLogitsOf(one, data, Uint32Array.of(0));
        const example = { pixels: data.images.subarray(0, 784), logits };
        const { name, header, source } = encodeC(one, example);
        assertEquals(name, "model_2_gr_en");
        const main = `#include <stdio.h>\n#include "${name}.h"\nint main(void)\n{\n` +
          `    for (int k = 0; k < MODEL_2_GR_EN_CLASSES; k++) puts(${name}_class_names[k]);\n` +
          `    printf("%d\\n", ${name}_test());\n    return 0;\n}\n`;
        await Deno.writeTextFile(`${folder}/${name}.h`, header);
        await Deno.writeTextFile(`${folder}/main.c`, main);
        const spoiled = source.replace(/(fc3_bias\[10\] = \{\s+)\S+,/, "$1 99999999,");
        assert(spoiled !== source);
        for (const [text, passes] of [[source, "1"], [spoiled, "0"]]) {
          await Deno.writeTextFile(`${folder}/${name}.c`, text);
          const build = `cd ${folder} && ${SANITIZED} -DMODEL_2_GR_EN_TEST *.c -lm -o run && ./run`;
          assertEquals(await bash(build), [...classNames, passes, ""].join("\n"));
        }
      }
    }),
});

async function trainedModel(
  name: ModelName,
  data: LabeledImages,
  test: LabeledImages,
  batches: number,
) {
  const model = zooModel(name, { standardization: { mean: 0.286, std: 0.353 } });
  const optimizer = { type: "adam", beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;
  await using session = await openBackend("wasm", model, { optimizer, batchSize: 32, threads: 2 });
  await session.attach(data);
  const order = Uint32Array.from({ length: 32 * batches }, (_, n) => n % data.count);
  const learningRates = new Float32Array(batches).fill(0.003);
  await session.train(data, { order, batchSize: 32, learningRates });
  const { parameters, statistics } = await session.readState();
  const { predictions } = await session.evaluate(test);
  return { trained: { model, parameters, statistics }, predictions };
}

/** Compiles models with a program that feeds them their images; returns the logits of each. */
async function runC(
  folder: string,
  cases: readonly Case[],
  compiler: string,
): Promise<Float32Array[]> {
  const files = cases.map(({ trained }) => encodeC(trained));
  for (const { name, header, source } of files) {
    await Deno.writeTextFile(`${folder}/${name}.h`, header);
    await Deno.writeTextFile(`${folder}/${name}.c`, source);
  }
  const bodies = files.map(({ name }, n) => {
    const macro = name.toUpperCase();
    return `    for (int n = 0; n < ${cases[n].count}; n++) {
        static uint8_t pixels[${macro}_PIXELS];
        float logits[${macro}_CLASSES];
        if (fread(pixels, 1, ${macro}_PIXELS, stdin) != ${macro}_PIXELS) return 1;
        if (${name}_predict(pixels, logits) >= ${macro}_CLASSES) return 2;
        fwrite(logits, 4, ${macro}_CLASSES, stdout);
    }`;
  });
  const main = [
    "#include <stdio.h>",
    ...files.map(({ name }) => `#include "${name}.h"`),
    "int main(void)\n{",
    ...bodies,
    "    return 0;\n}\n",
  ].join("\n");
  await Deno.writeTextFile(`${folder}/main.c`, main);
  await Deno.writeFile(
    `${folder}/images`,
    await new Blob(cases.map(({ images }) => images as Uint8Array<ArrayBuffer>)).bytes(),
  );
  const sources = ["main", ...files.map(({ name }) => name)].map((name) => `${name}.c`).join(" ");
  await bash(
    `cd ${folder} && ${compiler} ${sources} -lm -o run && ./run < images > logits`,
  );
  const { buffer } = await Deno.readFile(`${folder}/logits`);
  const logits = new Float32Array(buffer);
  let start = 0;
  return cases.map(({ trained: { model }, count }) =>
    logits.subarray(start, start += count * model.classCount)
  );
}

/** Runs a line of bash; returns what it prints. */
async function bash(line: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("bash", { args: ["-c", line] })
    .output();
  const decoder = new TextDecoder();
  assert(success, decoder.decode(stderr));
  return decoder.decode(stdout);
}

function assertClose(
  actual: Float32Array,
  expected: Float32Array,
  tolerance: number,
  { name, specs }: Model,
): void {
  assertEquals(actual.length, expected.length);
  const largest = expected.reduce((most, logit) => Math.max(most, Math.abs(logit)), 1e-3);
  const what = `${name}: ${JSON.stringify(specs)}`;
  actual.forEach((logit, n) => assertAlmostEquals(logit, expected[n], tolerance * largest, what));
}

function classesOf(logits: Float32Array, classCount: number): Uint8Array {
  return Uint8Array.from({ length: logits.length / classCount }, (_, n) => {
    const row = logits.subarray(n * classCount, (n + 1) * classCount);
    return row.indexOf(Math.max(...row));
  });
}

/** Share of places in which two say the same. */
function shareOf(one: Uint8Array, other: Uint8Array): number {
  return one.filter((label, n) => label === other[n]).length / one.length;
}
