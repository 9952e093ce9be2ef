/** Optimisers, schedules, losses and clipping against PyTorch's numbers, on every backend. */

import { BackendUnavailableError, type SessionOptions } from "../../src/backends/backend.ts";
import { BACKEND_NAMES, loadBackend } from "../../src/backends/registry.ts";
import { flatten, linear, tanh } from "../../src/nn/layers.ts";
import type { OptimizerOptions } from "../../src/nn/optimizers.ts";
import { sequential } from "../../src/nn/sequential.ts";
import { completePlan, learningRates, type PlanOptions } from "../../src/train/plan.ts";
import { assert, assertAlmostEquals } from "../assert.ts";
import torch from "../fixtures/recipes/torch.json" with { type: "json" };
import { granted } from "../permissions.ts";
import { largestRelativeDifference } from "./cases.ts";

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
  const order = Uint32Array.from({ length: DATA.count }, (_, index) => index);
  const learningRates = Float32Array.from({ length: STEPS }, (_, step) => 0.05 / (1 + step));
  const { losses } = await session.train(DATA, { order, batchSize: BATCH, learningRates });
  const { parameters } = await session.readState();
  const label = `${name}, ${JSON.stringify(options)}`;
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
        await compare(name, options, expected);
        await using session = await open(name, options);
        const indices = Uint32Array.from({ length: 16 }, (_, index) => index);
        const actual = await session.gradients(DATA, indices);
        assertAlmostEquals(actual.loss, first16, 1e-5);
        requireSimilar(actual.gradients, gradient, `gradient of ${JSON.stringify(options)}`);
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
