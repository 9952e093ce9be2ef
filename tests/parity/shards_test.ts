/** Sessions that share a training are together what one session is. */

import {
  type BackendName,
  BackendUnavailableError,
  type Session,
  type SessionOptions,
} from "../../src/backends/backend.ts";
import { loadBackend } from "../../src/backends/registry.ts";
import { initialParameters, initialStatistics } from "../../src/nn/init.ts";
import {
  avgPool2d,
  batchNorm2d,
  conv2d,
  dropout,
  flatten,
  linear,
  relu,
  residual,
  sigmoid,
  tanh,
} from "../../src/nn/layers.ts";
import { type Model, sequential } from "../../src/nn/sequential.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";
import { granted } from "../permissions.ts";
import { largestRelativeDifference, randomImages } from "./cases.ts";

const PLAIN = sequential([
  conv2d({ outChannels: 3, kernelSize: 3 }),
  sigmoid(),
  avgPool2d({ poolSize: 2 }),
  flatten(),
  linear({ outFeatures: 7 }),
  tanh(),
  linear({ outFeatures: 3 }),
], { inputShape: [1, 8, 8] });

/** What must know the whole batch, and what draws by chance. */
const NORMALIZED = sequential([
  conv2d({ outChannels: 3, kernelSize: 3, bias: false }),
  batchNorm2d(),
  relu(),
  residual([conv2d({ outChannels: 3, kernelSize: 3, padding: 1 }), batchNorm2d()]),
  dropout(0.3),
  flatten(),
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
      for (const [batchSize, count] of splits) {
        await compareShards(name, PLAIN, { batchSize, count });
      }
      for (const [batchSize, count] of SPLITS.slice(2)) {
        await compareShards(name, NORMALIZED, { batchSize, count });
      }
      await compareShards(name, PLAIN, { batchSize: 29, count: 3, ...RECIPE });
    },
  });
}

async function compareShards(
  name: BackendName,
  model: Model,
  { batchSize, count, ...recipe }:
    & { readonly batchSize: number; readonly count: number }
    & Partial<typeof RECIPE>,
): Promise<void> {
  const data = randomImages(model, batchSize, 6);
  const request = (steps: number) => ({
    order: Uint32Array.from({ length: steps * batchSize }, (_, n) => n % batchSize),
    batchSize,
    learningRates: new Float32Array(steps).fill(LEARNING_RATE),
  });
  await using whole = await open(name, model, { batchSize, ...recipe });
  await whole.attach(data);
  const expected = await whole.train(data, request(STEPS));

  // One after the other, the sessions make a step as often as it takes: what is not known yet of its sums
  // is added up, and known in the next round, until all are known in the last.
  let sum: (own: Float32Array) => void;
  await using stack = new AsyncDisposableStack();
  const sessions: Session[] = [];
  for (let index = 0; index < count; index++) {
    const shard = { index, count, sum: (own: Float32Array) => sum(own) };
    const session = stack.use(await open(name, model, { batchSize, ...recipe, shard }));
    await session.attach(data);
    sessions.push(session);
  }
  for (let step = 0; step < STEPS; step++) {
    const before = await sessions[0].readState();
    const known: Float32Array[] = [];
    for (let round = 0, sums = Infinity; round <= sums; round++) {
      let [loss, correct] = [0, 0];
      let added: Float32Array | undefined;
      for (const session of sessions) {
        let call = 0;
        sum = (own) => {
          if (call < known.length) own.set(known[call]);
          else if (call === known.length) {
            added ??= new Float32Array(own.length);
            own.forEach((value, n) => added![n] += value);
          }
          call++;
        };
        await session.loadState(before);
        const { losses, corrects } = await session.train(data, request(1));
        loss += losses[0];
        correct += corrects[0];
        sums = call;
      }
      if (added) known.push(added);
      if (round < sums) continue;
      assertAlmostEquals(loss, expected.losses[step], 1e-5);
      assertEquals(correct, expected.corrects[step]);
    }
  }
  const { parameters, statistics = new Float32Array() } = await whole.readState();
  for (const session of sessions) {
    const state = await session.readState();
    const difference = largestRelativeDifference(model, state.parameters, parameters);
    assert(difference < 1e-5, `parameters differ by ${difference}`);
    for (const [n, value] of (state.statistics ?? []).entries()) {
      assertAlmostEquals(value, statistics[n], 1e-5);
    }
  }
}

async function open(
  name: BackendName,
  model: Model,
  options: SessionOptions,
): Promise<Session> {
  const session = await (await loadBackend(name)).open(model, { ...options, threads: 2 });
  await session.loadState({
    parameters: initialParameters(model, 1),
    statistics: initialStatistics(model),
    slots: [],
    step: 0,
  });
  return session;
}

async function isAvailable(name: BackendName): Promise<boolean> {
  try {
    await using _session = await open(name, PLAIN, { batchSize: 1 });
    return true;
  } catch (error) {
    if (error instanceof BackendUnavailableError) return false;
    throw error;
  }
}
