/** Every backend against the float64 reference on the parity table, and against PyTorch. */

import type { BackendName, OptimizerSpec, Session } from "../../src/backends/backend.ts";
import { BackendUnavailableError } from "../../src/backends/backend.ts";
import { BACKEND_NAMES, loadBackend } from "../../src/backends/registry.ts";
import { sliceImages } from "../../src/data/dataset.ts";
import { loadDataset } from "../../src/data/load.ts";
import { initialParameters, initialStatistics } from "../../src/nn/init.ts";
import { flatten, linear } from "../../src/nn/layers.ts";
import { type Model, sequential } from "../../src/nn/sequential.ts";
import { lenet } from "../../src/nn/zoo.ts";
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "../assert.ts";
import { BATCH_SIZE, LEARNING_RATE, readTorchStage, STAGES } from "../fixtures/torch.ts";
import { granted } from "../permissions.ts";
import {
  caseModel,
  largestRelativeDifference,
  PARITY_CASES,
  type ParityCase,
  randomImages,
} from "./cases.ts";

/** Largest relative difference from the reference or PyTorch, per parameter tensor. */
interface Tolerance {
  readonly gradients: number;
  readonly losses: number;
  readonly parameters: number;
}

const float32: Tolerance = { gradients: 1e-4, losses: 1e-5, parameters: 1e-4 };

const TOLERANCES: Record<BackendName, Tolerance> = {
  "reference": { gradients: 1e-6, losses: 1e-6, parameters: 1e-6 },
  "tfjs-cpu": float32,
  "tfjs-wasm": float32,
  "tfjs-webgpu": { ...float32, losses: 1e-4 },
  "wasm": float32,
  "webgpu": { ...float32, losses: 1e-4 },
};

const OPTIMIZERS: readonly OptimizerSpec[] = [
  { type: "sgd", momentum: 0 },
  { type: "sgd", momentum: 0.9 },
  { type: "adam", beta1: 0.9, beta2: 0.999, epsilon: 1e-3 },
];

const SAMPLES = 11;
const EPOCH = Uint32Array.of(3, 1, 4, 10, 5, 9, 2, 6, 8, 7, 0);
const SMALL_BATCH = 4; // leaves a last batch of 3

const readable = granted({ name: "read" });

for (const name of BACKEND_NAMES) {
  const tolerance = TOLERANCES[name];
  const ignore = !readable || !await isAvailable(name);

  // The emulated GPU takes long, and its code is that of the other TensorFlow.js backends.
  const isSlow = name === "tfjs-webgpu";
  const cases = PARITY_CASES.filter((_, place) => !isSlow || place % 3 === 0);
  for (const parityCase of cases) {
    Deno.test({
      name: `${name} equals the reference: ${parityCase.name}`,
      ignore,
      fn: () => compareWithReference(name, parityCase, tolerance),
    });
  }

  // A step of 256 images takes the plain JavaScript backend 16 s: it has the small steps below.
  // The reference takes a second a step: one stage is enough for it.
  const stages = name === "tfjs-cpu" ? [] : STAGES.slice(isSlow || name === "reference" ? 1 : 0);
  for (const stage of stages) {
    Deno.test({
      name: `${name} equals PyTorch on LeNet's first gradient and ten steps: ${stage}`,
      ignore,
      fn: () => compareWithTorch(name, stage, tolerance),
    });
  }

  Deno.test({
    name: `${name} equals the reference on ten small steps of LeNet`,
    ignore,
    fn: () => compareLenet(name, tolerance),
  });

  Deno.test({
    name: `${name} trains batches of 1, and smaller data than a batch`,
    ignore,
    async fn() {
      const model = caseModel(PARITY_CASES[2]);
      const data = randomImages(model, 3, 5);
      await using session = await open(name, model, { batchSize: 1000 });
      await session.attach(data);
      for (const batchSize of [1, 1000]) {
        const order = Uint32Array.of(0, 1, 2);
        const steps = Math.ceil(order.length / batchSize);
        const learningRates = new Float32Array(steps).fill(0.1);
        const result = await session.train(data, { order, batchSize, learningRates });
        assertEquals(result.steps, steps);
        assert(result.losses.every((loss) => loss > 0 && loss < 10));
      }
    },
  });

  Deno.test({
    name: `${name} stops at a signal, refuses wrong images, labels and indices`,
    ignore,
    async fn() {
      const model = caseModel(PARITY_CASES[2]);
      const data = randomImages(model, 5, 6);
      await using session = await open(name, model, { batchSize: 2 });
      const rates = Float32Array.of(0.1);
      const first = { order: Uint32Array.of(0, 1), batchSize: 2, learningRates: rates };
      await assertRejects(() => session.train(data, first), TypeError, "attach");
      await assertRejects(
        async () => await session.attach({ ...data, shape: [1, 6, 7] }),
        TypeError,
        "must be [1, 7, 6]",
      );
      const mislabeled = { ...data, labels: data.labels.with(3, 3) };
      await assertRejects(async () => await session.attach(mislabeled), RangeError, "label 3");
      await session.attach(data);
      const request = { batchSize: 2, learningRates: Float32Array.of(0.1) };
      const order = Uint32Array.of(0, 5);
      await assertRejects(() => session.train(data, { ...request, order }), RangeError, "image 5");
      const stopped = await session.train(data, {
        ...request,
        order: Uint32Array.of(0, 1),
        signal: AbortSignal.abort(),
      });
      assertEquals(stopped.steps, 0);
    },
  });

  Deno.test({
    name: `${name} lets an infinite loss through instead of hiding it`,
    ignore,
    async fn() {
      const model = sequential([flatten(), linear({ outFeatures: 2 })], { inputShape: [1, 2, 2] });
      const data = randomImages(model, 4, 7);
      await using session = await open(name, model, { batchSize: 4 });
      const parameters = new Float32Array(model.parameterCount).fill(NaN);
      await session.loadState({ parameters, slots: [], step: 0 });
      await session.attach(data);
      const { losses } = await session.train(data, {
        order: Uint32Array.of(0, 1, 2, 3),
        batchSize: 4,
        learningRates: Float32Array.of(0.1),
      });
      assert(!Number.isFinite(losses[0]), `found a loss of ${losses[0]}`);
    },
  });
}

/** Opens a session with parameters of seed 1. */
async function open(
  name: BackendName,
  model: Model,
  { batchSize, optimizer = OPTIMIZERS[0] }: { batchSize: number; optimizer?: OptimizerSpec },
): Promise<Session> {
  const backend = await loadBackend(name);
  const session = await backend.open(model, { optimizer, batchSize });
  const [parameters, statistics] = [initialParameters(model, 1), initialStatistics(model)];
  await session.loadState({ parameters, statistics, slots: [], step: 0 });
  return session;
}

type Results = Awaited<ReturnType<typeof results>>;

/** What the reference gives for a row of the table with each optimiser, found once for all backends. */
const referenceResults = new Map<ParityCase, readonly Results[]>();

async function expectedResults(parityCase: ParityCase): Promise<readonly Results[]> {
  const found = referenceResults.get(parityCase) ?? await allResults("reference", parityCase);
  referenceResults.set(parityCase, found);
  return found;
}

async function allResults(name: BackendName, parityCase: ParityCase): Promise<readonly Results[]> {
  const model = caseModel(parityCase);
  const data = randomImages(model, SAMPLES, 4);
  const all: Results[] = [];
  for (const optimizer of OPTIMIZERS) {
    all.push(await results(name, model, { data, batchSize: SMALL_BATCH, optimizer }));
  }
  return all;
}

async function compareWithReference(
  name: BackendName,
  parityCase: ParityCase,
  tolerance: Tolerance,
) {
  const model = caseModel(parityCase);
  const expectedAll = await expectedResults(parityCase);
  for (const [place, actual] of (await allResults(name, parityCase)).entries()) {
    const expected = expectedAll[place];
    const difference = (a: Float32Array, b: Float32Array) => largestRelativeDifference(model, a, b);
    const gradients = difference(actual.gradients, expected.gradients);
    assert(gradients <= tolerance.gradients, `gradients differ by ${gradients}`);
    for (const [slot, vector] of actual.state.slots.entries()) {
      const slots = difference(vector, expected.state.slots[slot]);
      assert(slots <= 10 * tolerance.parameters, `slot ${slot} differs by ${slots}`);
    }
    const parameters = difference(actual.state.parameters, expected.state.parameters);
    assert(parameters <= tolerance.parameters, `parameters differ by ${parameters}`);
    assertClose(
      actual.state.statistics ?? [],
      expected.state.statistics ?? [],
      tolerance.parameters,
    );
    assertEquals(actual.state.step, 3);
    assertClose(actual.losses, expected.losses, tolerance.losses);
    assertEquals(actual.corrects, expected.corrects);
    assertClose(actual.logitsBefore, expected.logitsBefore, 1e-4);
    assertClose(actual.logits, expected.logits, 1e-4);
    assertClose([actual.evaluation.loss], [expected.evaluation.loss], tolerance.losses);
    assertEquals(actual.evaluation.predictions, expected.evaluation.predictions);
  }
}

async function results(
  name: BackendName,
  model: Model,
  { data, batchSize, optimizer }: {
    data: ReturnType<typeof randomImages>;
    batchSize: number;
    optimizer: OptimizerSpec;
  },
) {
  await using session = await open(name, model, { batchSize, optimizer });
  await session.attach(data);
  const { gradients } = await session.gradients(data, EPOCH.subarray(0, SMALL_BATCH));
  // Before training and after it: what is folded for inference must follow.
  const logitsBefore = await session.predict(data);
  const learningRates = Float32Array.of(0.1, 0.05, 0.2);
  const trained = await session.train(data, { order: EPOCH, batchSize, learningRates });
  return {
    gradients,
    logitsBefore,
    ...trained,
    state: await session.readState(),
    logits: await session.predict(data),
    evaluation: await session.evaluate(data),
  };
}

async function compareLenet(name: BackendName, tolerance: Tolerance) {
  const model = lenet();
  const { start } = await readTorchStage("epoch5");
  const { train } = await loadDataset("sample");
  const [steps, batchSize] = [10, 6];
  const data = sliceImages(train, 0, steps * batchSize);
  const order = Uint32Array.from({ length: data.count }, (_, n) => n);
  const learningRates = new Float32Array(steps).fill(LEARNING_RATE);
  const runs = [];
  for (const backend of [name, "reference"] as const) {
    await using session = await open(backend, model, { batchSize });
    await session.loadState({ parameters: start, slots: [], step: 0 });
    await session.attach(data);
    const { losses } = await session.train(data, { order, batchSize, learningRates });
    const { parameters } = await session.readState();
    runs.push({ losses, parameters });
  }
  const [actual, expected] = runs;
  assertClose(actual.losses, expected.losses, tolerance.losses);
  const error = largestRelativeDifference(model, actual.parameters, expected.parameters);
  assert(error <= tolerance.parameters, `parameters differ by ${error}`);
}

async function compareWithTorch(
  name: BackendName,
  stage: typeof STAGES[number],
  tolerance: Tolerance,
) {
  const model = lenet();
  const torch = await readTorchStage(stage);
  // The sample keeps the file order of the whole set, so that it starts with the same images.
  const { train, test } = await loadDataset("sample");
  const steps = torch.losses.length;
  const data = sliceImages(train, 0, steps * BATCH_SIZE);
  const testImages = sliceImages(test, 0, torch.testLogits.length / model.classCount);
  await using session = await open(name, model, { batchSize: BATCH_SIZE });
  await session.loadState({ parameters: torch.start, slots: [], step: 0 });
  await session.attach(data);
  await session.attach(testImages);
  const order = Uint32Array.from({ length: data.count }, (_, n) => n);
  const { gradients } = await session.gradients(data, order.subarray(0, BATCH_SIZE));
  const gradientError = largestRelativeDifference(model, gradients, torch.gradients);
  assert(gradientError <= tolerance.gradients, `gradients differ by ${gradientError}`);
  const learningRates = new Float32Array(steps).fill(LEARNING_RATE);
  const result = await session.train(data, { order, batchSize: BATCH_SIZE, learningRates });
  assertClose(result.losses, torch.losses, tolerance.losses);
  assertEquals([...result.corrects], torch.corrects);
  const { parameters } = await session.readState();
  const parameterError = largestRelativeDifference(model, parameters, torch.after10);
  assert(parameterError <= tolerance.parameters, `parameters differ by ${parameterError}`);
  assertClose(await session.predict(testImages), torch.testLogits, 1e-4);
}

function assertClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number) {
  assertEquals(actual.length, expected.length);
  for (let index = 0; index < expected.length; index++) {
    const allowed = tolerance * Math.max(1, Math.abs(expected[index]));
    assertAlmostEquals(actual[index], expected[index], allowed, `at ${index}`);
  }
}

async function isAvailable(name: BackendName): Promise<boolean> {
  const model = sequential([flatten(), linear({ outFeatures: 2 })], { inputShape: [1, 1, 1] });
  try {
    await using _session = await open(name, model, { batchSize: 1 });
    return true;
  } catch (error) {
    if (error instanceof BackendUnavailableError) return false;
    throw error;
  }
}
