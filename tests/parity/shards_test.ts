/** Sessions that share a training are together what one session is. */

import {
  type BackendName,
  BackendUnavailableError,
  type Session,
  type SessionOptions,
} from "../../src/backends/backend.ts";
import { loadBackend } from "../../src/backends/registry.ts";
import { initialParameters } from "../../src/nn/init.ts";
import { avgPool2d, conv2d, flatten, linear, sigmoid, tanh } from "../../src/nn/layers.ts";
import { sequential } from "../../src/nn/sequential.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";
import { granted } from "../permissions.ts";
import { largestRelativeDifference, randomImages } from "./cases.ts";

const model = sequential([
  conv2d({ outChannels: 3, kernelSize: 3 }),
  sigmoid(),
  avgPool2d({ poolSize: 2 }),
  flatten(),
  linear({ outFeatures: 7 }),
  tanh(),
  linear({ outFeatures: 3 }),
], { inputShape: [1, 8, 8] });

/** A loss whose divisor is the whole batch's, and gradients that the whole norm shortens. */
const RECIPE = {
  loss: { labelSmoothing: 0.1, classWeights: [0.5, 2, 1] },
  clipNorm: 0.05,
} as const;

const STEPS = 3;
const LEARNING_RATE = 0.5;

/** Batch size and shards; a shard of one, parts of unequal length, and parts without an image. */
const SPLITS: readonly (readonly [number, number])[] = [[300, 1], [300, 2], [29, 3], [3, 5]];

const BACKENDS: readonly { readonly name: BackendName; readonly splits: typeof SPLITS }[] = [
  { name: "reference", splits: SPLITS.slice(2) },
  { name: "wasm", splits: SPLITS },
  { name: "webgpu", splits: SPLITS.slice(2) },
];

for (const { name, splits } of BACKENDS) {
  Deno.test({
    name: `${name}: shards add up to the whole step, and to the next ones`,
    ignore: !granted({ name: "read" }) || !await isAvailable(name),
    async fn() {
      for (const [batchSize, count] of splits) await compareShards(name, batchSize, { count });
      await compareShards(name, 29, { count: 3, ...RECIPE });
    },
  });
}

async function compareShards(
  name: BackendName,
  batchSize: number,
  { count, ...recipe }: { readonly count: number } & Partial<typeof RECIPE>,
): Promise<void> {
  const data = randomImages(model, batchSize, 6);
  const request = (steps: number) => ({
    order: Uint32Array.from({ length: steps * batchSize }, (_, n) => n % batchSize),
    batchSize,
    learningRates: new Float32Array(steps).fill(LEARNING_RATE),
  });
  await using whole = await open(name, batchSize, recipe);
  await whole.attach(data);
  const expected = await whole.train(data, request(STEPS));

  // One after the other, each session first leaves its gradients, then gets their sum.
  let sumGradients: (gradients: Float32Array) => void;
  await using stack = new AsyncDisposableStack();
  const sessions: Session[] = [];
  for (let index = 0; index < count; index++) {
    const shard = { index, count, sumGradients: (own: Float32Array) => sumGradients(own) };
    const session = stack.use(await open(name, batchSize, { ...recipe, shard }));
    await session.attach(data);
    sessions.push(session);
  }
  for (let step = 0; step < STEPS; step++) {
    const before = await sessions[0].readState();
    const sum = new Float32Array(model.parameterCount);
    sumGradients = (own) => own.forEach((value, n) => sum[n] += value);
    let loss = 0, correct = 0;
    for (const session of sessions) {
      const { losses, corrects } = await session.train(data, request(1));
      loss += losses[0];
      correct += corrects[0];
    }
    assertAlmostEquals(loss, expected.losses[step], 1e-5);
    assertEquals(correct, expected.corrects[step]);
    sumGradients = (own) => own.set(sum);
    for (const session of sessions) {
      await session.loadState(before);
      await session.train(data, request(1));
    }
  }
  const { parameters } = await whole.readState();
  for (const session of sessions) {
    const difference = largestRelativeDifference(
      model,
      (await session.readState()).parameters,
      parameters,
    );
    assert(difference < 1e-5, `parameters differ by ${difference}`);
  }
}

async function open(
  name: BackendName,
  batchSize: number,
  options: SessionOptions = {},
): Promise<Session> {
  const optimizer = { type: "sgd", momentum: 0 } as const;
  const session = await (await loadBackend(name)).open(model, {
    optimizer,
    batchSize,
    threads: 2,
    ...options,
  });
  await session.loadState({ parameters: initialParameters(model, 1), slots: [], step: 0 });
  return session;
}

async function isAvailable(name: BackendName): Promise<boolean> {
  try {
    await using _session = await open(name, 1);
    return true;
  } catch (error) {
    if (error instanceof BackendUnavailableError) return false;
    throw error;
  }
}
