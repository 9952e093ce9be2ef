/** Optimisers, schedules, losses and clipping against PyTorch's numbers, on every backend. */

import {
  BackendUnavailableError,
  type Session,
  type SessionOptions,
} from "../../src/backends/backend.ts";
import { BACKEND_NAMES, loadBackend } from "../../src/backends/registry.ts";
import { flatten, linear, tanh } from "../../src/nn/layers.ts";
import type { OptimizerOptions } from "../../src/nn/optimizers.ts";
import { sequential } from "../../src/nn/sequential.ts";
import { completePlan, learningRates, type PlanOptions, SCHEDULES } from "../../src/train/plan.ts";
import { balancedWeights, type LossOptions } from "../../src/nn/loss.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { initialParameters } from "../../src/nn/init.ts";
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertRejects,
  assertThrows,
} from "../assert.ts";
import torch from "../fixtures/recipes/torch.json" with { type: "json" };
import { granted } from "../permissions.ts";
import { caseModel, largestRelativeDifference, PARITY_CASES, randomImages } from "./cases.ts";

const STEPS = 20;
const BATCH = 4;
const MODEL = sequential(
  [flatten(), linear({ outFeatures: 5 }), tanh(), linear({ outFeatures: 3 })],
  { inputShape: [1, 3, 4] },
);
const DATA = {
  images: Uint8Array.from(torch.images),
  labels: Uint8Array.from(torch.labels),
  count: torch.labels.length,
  shape: MODEL.inputShape,
};

async function open(name: typeof BACKEND_NAMES[number], options: SessionOptions) {
  const backend = await loadBackend(name);
  const session = await backend.open(MODEL, { batchSize: 16, threads: 2, ...options });
  await session.loadState({ parameters: Float32Array.from(torch.start), slots: [], step: 0 });
  await session.attach(DATA);
  return session;
}

/** Twenty steps must give PyTorch's losses and parameters. */
async function compare(
  name: typeof BACKEND_NAMES[number],
  options: SessionOptions,
  expected: { readonly losses: readonly number[]; readonly parameters: readonly number[] },
) {
  await using session = await open(name, options);
  await compareOn(session, expected, `${name}, ${JSON.stringify(options)}`);
}

async function compareOn(
  session: Session,
  expected: { readonly losses: readonly number[]; readonly parameters: readonly number[] },
  label: string,
) {
  const order = Uint32Array.from({ length: DATA.count }, (_, index) => index);
  const learningRates = Float32Array.from({ length: STEPS }, (_, step) => 0.05 / (1 + step));
  const { losses } = await session.train(DATA, { order, batchSize: BATCH, learningRates });
  const { parameters } = await session.readState();
  for (const [step, loss] of losses.entries()) {
    assertAlmostEquals(loss, expected.losses[step], 2e-5, `loss of step ${step}: ${label}`);
  }
  requireSimilar(parameters, expected.parameters, label);
}

function requireSimilar(actual: Float32Array, expected: readonly number[], label: string): void {
  const difference = largestRelativeDifference(MODEL, actual, Float32Array.from(expected));
  assert(difference < 1e-4, `${label}: differs by ${difference}`);
}

for (const name of BACKEND_NAMES) {
  const ignore = !granted({ name: "read" }) || !await isAvailable(name);
  Deno.test({
    name: `${name}: twenty steps of every optimiser are PyTorch's`,
    ignore,
    async fn() {
      for (const { optimizer, ...expected } of torch.optimizers) {
        await compare(name, { optimizer: optimizer as OptimizerOptions }, expected);
      }
    },
  });

  Deno.test({
    name: `${name}: smoothed labels, weighted classes and clipped gradients are PyTorch's`,
    ignore,
    async fn() {
      for (const { loss, clipNorm, first16, gradient, ...expected } of torch.losses) {
        const clip = clipNorm === null ? {} : { clipNorm };
        const options = { loss, ...clip, optimizer: { type: "sgd", momentum: 0.9 } } as const;
        const label = `${name}, ${JSON.stringify(options)}`;
        await using session = await open(name, options);
        const indices = Uint32Array.from({ length: 16 }, (_, index) => index);
        const actual = await session.gradients(DATA, indices);
        assertAlmostEquals(actual.loss, first16, 1e-5);
        requireSimilar(actual.gradients, gradient, `gradient: ${label}`);
        await compareOn(session, expected, label);
      }
    },
  });

  Deno.test({
    name: `${name}: evaluation measures plain cross-entropy, whatever is trained on`,
    ignore,
    async fn() {
      await using plain = await open(name, {});
      await using other = await open(name, {
        loss: { labelSmoothing: 0.5, classWeights: [1, 2, 4] },
      });
      const [{ loss: expected }, { loss }] = [
        await plain.evaluate(DATA),
        await other.evaluate(DATA),
      ];
      assertAlmostEquals(loss, expected, 1e-6);
      const order = Uint32Array.from({ length: BATCH }, (_, index) => index);
      const request = { order, batchSize: BATCH, learningRates: new Float32Array(1) };
      const [trained, smoothed] = [
        await plain.train(DATA, request),
        await other.train(DATA, request),
      ];
      assert(Math.abs(trained.losses[0] - smoothed.losses[0]) > 0.01);
    },
  });
}

/** Rows of the parity table whose loss is a kernel of its own on some engine, and batches in chunks. */
const LOSS_CASES = [
  { row: "logits straight from a convolution", batchSize: 1100 }, // more than a chunk of any engine
  { row: "1x1 convolutions, many channels", batchSize: 29 },
];

for (const name of ["wasm", "webgpu"] as const) {
  Deno.test({
    name: `${name}: batches of any size and shape are trained as the reference trains them`,
    ignore: !granted({ name: "read" }) || !await isAvailable(name),
    async fn() {
      for (const { row, batchSize } of LOSS_CASES) {
        const model = caseModel(PARITY_CASES.find(({ name }) => name === row)!);
        const classWeights = Array.from({ length: model.classCount }, (_, k) => 0.5 + k);
        const options = {
          loss: { labelSmoothing: 0.2, classWeights },
          clipNorm: 0.05,
          optimizer: { type: "adamw", epsilon: 1e-3, weightDecay: 0.5 },
          batchSize,
        } as const;
        const data = randomImages(model, batchSize + 11, 3);
        const [actual, expected] = await Promise.all([name, "reference" as const].map(
          async (name) => {
            const backend = await loadBackend(name);
            await using session = await backend.open(model, options);
            const parameters = initialParameters(model, 2);
            await session.loadState({ parameters, slots: [], step: 0 });
            await session.attach(data);
            const order = Uint32Array.from({ length: data.count }, (_, index) => index);
            const request = { order, batchSize, learningRates: Float32Array.of(0.05, 0.05) };
            const { losses } = await session.train(data, request);
            return { losses, ...await session.readState() };
          },
        ));
        for (const [step, loss] of actual.losses.entries()) {
          assertAlmostEquals(loss, expected.losses[step], 1e-4, `${row}, step ${step}`);
        }
        const difference = largestRelativeDifference(model, actual.parameters, expected.parameters);
        assert(difference < 1e-4, `${row} differs by ${difference}`);
      }
    },
  });
}

Deno.test("what a loss cannot be is refused in one line", async () => {
  const refused: readonly (readonly [SessionOptions, ErrorConstructor, string])[] = [
    [{ loss: { labelSmoothing: 1.5 } }, RangeError, "Invalid labelSmoothing"],
    [{ loss: { labelSmoothing: NaN } }, RangeError, "Invalid labelSmoothing"],
    [
      { loss: { classWeights: [1, 2] } },
      TypeError,
      "Invalid classWeights: expected an array of 3 numbers, one a class, found 2",
    ],
    [{ loss: { classWeights: [1, 0, 1] } }, RangeError, "Invalid classWeights[1]"],
    [{ loss: { classWeights: [1, 1, Infinity] } }, RangeError, "Invalid classWeights[2]"],
    [{ loss: "smooth" as LossOptions }, TypeError, "Invalid loss: expected an object"],
    [{ clipNorm: 0 }, RangeError, "Invalid clipNorm: expected a number above 0, found 0"],
  ];
  for (const [options, kind, message] of refused) {
    await assertRejects(() => referenceBackend.open(MODEL, options), kind, message);
  }
  assertEquals(balancedWeights(Uint8Array.of(0, 0, 0, 2), 3), [4 / 9, 4 / 3, 4 / 3]);
  assertThrows(() => balancedWeights(Uint8Array.of(3), 3), RangeError, "there are 3 classes");
});

Deno.test("what a schedule cannot be is refused in one line", () => {
  const refused: readonly (readonly [Partial<PlanOptions>, ErrorConstructor, string])[] = [
    [{ warmup: 5 }, RangeError, "Invalid warmup: expected less than 5 epochs, the whole run"],
    [
      { epochs: 1, warmup: 1 },
      RangeError,
      "less than 1 epoch, the whole run, found 1; a share of all steps is below 1",
    ],
    [{ warmup: -0.5 }, RangeError, "Invalid warmup"],
    [{ gamma: 0.5 }, TypeError, "Cannot use gamma with schedule constant: it belongs to step"],
    [{ schedule: "step", gamma: 0 }, RangeError, "Invalid gamma"],
    [{ schedule: "step", stepSize: 0.5 }, RangeError, "Invalid stepSize"],
    [{ schedule: "step", anneal: "linear" }, TypeError, "it belongs to one-cycle"],
    [{ patience: 0 }, RangeError, "Invalid patience"],
    [{ monitor: "f1" as "loss" }, TypeError, "Unknown monitor"],
  ];
  for (const [plan, kind, message] of refused) {
    assertThrows(() => completePlan({ epochs: 5, learningRate: 1, ...plan }), kind, message);
  }
  assertEquals(completePlan({ epochs: 10, learningRate: 1, schedule: "step" }).stepSize, 4);
});

Deno.test("schedules of one step, of a rise of one, and beyond the end have rates", () => {
  for (const schedule of SCHEDULES) {
    for (const [epochs, warmup] of [[1, 0], [1, 0.9], [2, 0.5], [3, 1]]) {
      const plan = completePlan({ epochs, learningRate: 1, schedule, warmup });
      const rates = learningRates(plan, { first: 0, count: 6, stepsPerEpoch: 1 });
      assert(rates.every((rate) => rate >= 0 && rate <= 1), `${schedule} ${epochs}: ${rates}`);
      if (schedule !== "step") assertEquals(rates[5], rates[4]);
      assert(Math.max(...rates) > 0);
    }
  }
});

Deno.test("twenty steps of every schedule have PyTorch's learning rates", () => {
  for (const { plan: options, rates } of torch.schedules) {
    const plan = completePlan({ epochs: 5, learningRate: 0.4, ...options } as PlanOptions);
    const actual = learningRates(plan, { first: 0, count: STEPS, stepsPerEpoch: 4 });
    for (const [step, rate] of actual.entries()) {
      assertAlmostEquals(rate, rates[step], 1e-7, `step ${step} of ${JSON.stringify(options)}`);
    }
    const part = learningRates(plan, { first: 7, count: 3, stepsPerEpoch: 4 });
    assertAlmostEquals(part[1], actual[8], 0);
  }
});

async function isAvailable(name: typeof BACKEND_NAMES[number]): Promise<boolean> {
  try {
    await using _session = await open(name, {});
    return true;
  } catch (error) {
    if (error instanceof BackendUnavailableError) return false;
    throw error;
  }
}
