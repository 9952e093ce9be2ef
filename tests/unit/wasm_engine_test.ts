/** What is particular to the `wasm` engine: its two builds, its threads, its memory. */

import type { OptimizerSpec, Session } from "../../src/backends/backend.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { createWasmBackend, wasmBackend } from "../../src/backends/wasm/backend.ts";
import { type Build, supports } from "../../src/backends/wasm/kernels.ts";
import { layOut } from "../../src/backends/wasm/layout.ts";
import { sliceImages } from "../../src/data/dataset.ts";
import { loadDataset } from "../../src/data/load.ts";
import { initialParameters } from "../../src/nn/init.ts";
import { conv2d, flatten, linear, relu, tanh } from "../../src/nn/layers.ts";
import { type Model, sequential } from "../../src/nn/sequential.ts";
import { lenet, zooModel } from "../../src/nn/zoo.ts";
import { createRandom } from "../../src/random.ts";
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "../assert.ts";
import { BATCH_SIZE, LEARNING_RATE, readTorchStage, STAGES } from "../fixtures/torch.ts";
import { largestRelativeDifference, randomImages } from "../parity/cases.ts";
import { granted } from "../permissions.ts";
import { randomGraph } from "../random_graphs.ts";

/** Threads are started from a file, which needs permission to be read. */
const ignore = !granted({ name: "read" });
const BUILDS: readonly Build[] = ["relaxed", "plain"];
const THREADS = [1, 2, 3];
const SGD: OptimizerSpec = { type: "sgd", momentum: 0 };
const MOMENTUM: OptimizerSpec = { type: "sgd", momentum: 0.9 };
const ADAM: OptimizerSpec = { type: "adam", beta1: 0.9, beta2: 0.999, epsilon: 1e-3 };
const RANDOM_MODELS = 60;

for (const build of BUILDS) {
  for (const threads of THREADS) {
    for (const stage of STAGES) {
      Deno.test({
        name: `the ${build} build equals PyTorch on ${threads} threads: ${stage}`,
        ignore: ignore || !supports(build),
        async fn() {
          const model = lenet();
          const torch = await readTorchStage(stage);
          const { train } = await loadDataset("sample");
          const steps = torch.losses.length;
          const data = sliceImages(train, 0, steps * BATCH_SIZE);
          await using session = await open(model, { build, threads, batchSize: BATCH_SIZE });
          await session.loadState({ parameters: torch.start, slots: [], step: 0 });
          await session.attach(data);
          const order = indices(data.count);
          const { gradients } = await session.gradients(data, order.subarray(0, BATCH_SIZE));
          assertSmall(largestRelativeDifference(model, gradients, torch.gradients), 1e-4);
          const learningRates = new Float32Array(steps).fill(LEARNING_RATE);
          const result = await session.train(data, { order, batchSize: BATCH_SIZE, learningRates });
          for (const [step, loss] of result.losses.entries()) {
            assertAlmostEquals(loss, torch.losses[step], 1e-5);
          }
          assertEquals([...result.corrects], [...torch.corrects]);
          const { parameters } = await session.readState();
          assertSmall(largestRelativeDifference(model, parameters, torch.after10), 1e-4);
        },
      });
    }
  }

  Deno.test({
    name: `the ${build} build equals the reference on random models`,
    ignore: ignore || !supports(build),
    async fn() {
      for (let seed = 0; seed < RANDOM_MODELS; seed++) {
        const random = createRandom(seed, "wasm models");
        const model = randomGraph(random);
        // The optimiser moves all addresses: tensors must not be taken for one another by chance.
        const optimizer = [SGD, MOMENTUM, ADAM][random.below(3)];
        const batchSize = 1 + random.below(12);
        const options = { batchSize, threads: 1 + random.below(3), optimizer };
        const [actual, expected] = await bothResults(model, { build, ...options });
        const where = `${JSON.stringify(model.specs)} on ${JSON.stringify(model.inputShape)}`;
        assertSmall(
          largestRelativeDifference(model, actual.gradients, expected.gradients),
          1e-4,
          where,
        );
        assertSmall(
          largestRelativeDifference(model, actual.parameters, expected.parameters),
          1e-4,
          where,
        );
        assertClose(actual.logits, expected.logits, 1e-4);
      }
    },
  });
}

Deno.test("batches of many chunks and of odd sizes equal the reference", { ignore }, async () => {
  const specs = [
    conv2d({ outChannels: 3, kernelSize: 3 }),
    relu(),
    flatten(),
    linear({ outFeatures: 7 }),
    tanh(),
    linear({ outFeatures: 3 }),
  ];
  const model = sequential(specs, { inputShape: [1, 5, 5] });
  for (const [batchSize, count] of [[600, 600], [600, 523], [257, 601], [1, 3], [13, 40]]) {
    const [actual, expected] = await bothResults(model, { batchSize, count, threads: 2 });
    assertSmall(largestRelativeDifference(model, actual.gradients, expected.gradients), 1e-4);
    assertSmall(largestRelativeDifference(model, actual.parameters, expected.parameters), 1e-4);
    assertClose(actual.losses, expected.losses, 1e-5);
  }
});

Deno.test("equal seed and thread count give equal bits", { ignore }, async () => {
  const model = lenet();
  const data = randomImages(model, 100, 3);
  const run = async (threads: number) => {
    await using session = await open(model, { threads, batchSize: 32 });
    await session.attach(data);
    const learningRates = new Float32Array(4).fill(0.1);
    await session.train(data, { order: indices(data.count), batchSize: 32, learningRates });
    return (await session.readState()).parameters;
  };
  for (const threads of THREADS) {
    assertEquals(
      new Uint8Array((await run(threads)).buffer),
      new Uint8Array((await run(threads)).buffer),
    );
  }
});

Deno.test("more threads than images leave nobody waiting", { ignore }, async () => {
  const [actual, expected] = await bothResults(lenet(), { batchSize: 2, count: 2, threads: 5 });
  assertSmall(largestRelativeDifference(lenet(), actual.gradients, expected.gradients), 1e-4);
});

Deno.test(
  "the event loop gets its turns, so that a timer can stop training",
  { ignore },
  async () => {
    const model = sequential([flatten(), linear({ outFeatures: 2 })], { inputShape: [1, 2, 2] });
    const data = randomImages(model, 8, 1);
    await using session = await open(model, { threads: 1, batchSize: 1 });
    await session.attach(data);
    const steps = 2_000_000;
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 10);
    const progress: number[] = [];
    const result = await session.train(data, {
      order: new Uint32Array(steps),
      batchSize: 1,
      learningRates: new Float32Array(steps),
      signal: stop.signal,
      onProgress: (done) => progress.push(done),
    });
    assert(result.steps > 0 && result.steps < steps, `stopped after ${result.steps} steps`);
    assertEquals(result.losses.length, result.steps);
    assertEquals(progress.at(-1), result.steps);
    assertEquals((await session.readState()).step, result.steps);
  },
);

Deno.test(
  "a session says what is wrong with its threads, and that it has ended",
  { ignore },
  async () => {
    const model = lenet();
    await assertRejects(
      () => open(model, { threads: 0, batchSize: 1 }),
      RangeError,
      "Invalid threads: expected a whole number in 1..",
    );
    const session = await open(model, { threads: 2, batchSize: 1 });
    await session[Symbol.asyncDispose]();
    await session[Symbol.asyncDispose]();
    await assertRejects(() => session.loadState(zeros(model)), TypeError, "disposed");
  },
);

Deno.test("a model that does not fit the memory is refused by size", { ignore }, async () => {
  const layers = [flatten(), linear({ outFeatures: 65_000 }), linear({ outFeatures: 2 })];
  const model = sequential(layers, { inputShape: [1, 64, 64] }); // 266 million parameters
  const { message } = await assertRejects(
    () => wasmBackend.open(model, { optimizer: SGD, batchSize: 1, threads: 1 }),
    RangeError,
    "a session holds 1073741824 in all",
  );
  assert(message.endsWith("use a smaller batch size, model or dataset"), message);
});

Deno.test("images that do not fit the memory are refused by size", { ignore }, async () => {
  const shape = [1, 1024, 1024] as const;
  const model = sequential([flatten(), linear({ outFeatures: 2 })], { inputShape: shape });
  await using session = await open(model, { threads: 1, batchSize: 1 });
  const count = 1024;
  const images = new Uint8Array(count * 2 ** 20); // never touched, so it costs nothing
  const data = { images, labels: new Uint8Array(count), count, shape };
  await assertRejects(async () => await session.attach(data), RangeError, "bytes");
});

interface OpenOptions {
  readonly optimizer?: OptimizerSpec;
  readonly build?: Build;
  readonly threads: number;
  readonly batchSize: number;
}

/** Opens a session with parameters of seed 1. */
async function open(model: Model, { build, ...options }: OpenOptions): Promise<Session> {
  const backend = build ? createWasmBackend({ build }) : wasmBackend;
  const session = await backend.open(model, { optimizer: SGD, ...options });
  await session.loadState(zeros(model));
  return session;
}

function zeros(model: Model) {
  return { parameters: initialParameters(model, 1), slots: [], step: 0 };
}

/** The same work on the engine and on the reference. */
function bothResults(model: Model, options: OpenOptions & { readonly count?: number }) {
  const { batchSize, count = 2 * batchSize + 1, optimizer = SGD } = options;
  const data = randomImages(model, count, 4);
  const work = async (session: Session) => {
    await using opened = session;
    await opened.loadState(zeros(model));
    await opened.attach(data);
    const { gradients } = await opened.gradients(data, indices(Math.min(batchSize, count)));
    const learningRates = new Float32Array(Math.ceil(count / batchSize)).fill(0.01);
    const order = indices(count).reverse();
    const { losses } = await opened.train(data, { order, batchSize, learningRates });
    const { parameters } = await opened.readState();
    return { gradients, losses, parameters, logits: await opened.predict(data) };
  };
  return Promise.all([
    open(model, options).then(work),
    referenceBackend.open(model, { optimizer, batchSize }).then(work),
  ]);
}

function indices(count: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, index) => index);
}

function assertSmall(difference: number, limit: number, where = "") {
  assert(difference <= limit, `differs by ${difference}, expected ${limit} at most ${where}`);
}

function assertClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number) {
  assertEquals(actual.length, expected.length);
  for (let index = 0; index < expected.length; index++) {
    const allowed = tolerance * Math.max(1, Math.abs(expected[index]));
    assertAlmostEquals(actual[index], expected[index], allowed, `at ${index}`);
  }
}

Deno.test("a batch's memory holds what batch norm reads, but not what it can make again", () => {
  const layout = layOut(zooModel("resnet8"), { batchSize: 256, threads: 1, slotCount: 0 });
  const isNorm = layout.stages.filter(({ layer }) => layer.type === "batchNorm2d");
  assert(isNorm.length === 9 && isNorm.every(({ inputs: [input] }) => input.shared));
  assert(isNorm.every(({ output }) => !output.shared));
  assert(layout.ownStart < 150 * 2 ** 20, `found ${layout.ownStart} bytes`);
});
