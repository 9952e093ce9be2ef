import type { BackendName, OptimizerSpec, TrainResult } from "../../src/backends/backend.ts";
import { listAvailable, loadBackend } from "../../src/backends/registry.ts";
import { supports } from "../../src/backends/wasm/kernels.ts";
import type { Dataset } from "../../src/data/dataset.ts";
import { initialParameters } from "../../src/nn/init.ts";
import { conv2d, flatten, linear, tanh } from "../../src/nn/layers.ts";
import { type Model, sequential } from "../../src/nn/sequential.ts";
import { zooModel } from "../../src/nn/zoo.ts";
import { openBackend } from "../../src/train/open_backend.ts";
import { completePlan, epochOrder, learningRates, type TrainPlan } from "../../src/train/plan.ts";
import {
  bestEpoch,
  type Checkpoint,
  type EpochMetrics,
  NOT_STARTED,
} from "../../src/train/progress.ts";
import {
  type CheckpointInterval,
  DivergedError,
  train,
  type TrainHooks,
} from "../../src/train/trainer.ts";
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "../assert.ts";
import { randomImages } from "../parity/cases.ts";
import { granted } from "../permissions.ts";

const MODEL = sequential(
  [conv2d({ outChannels: 2, kernelSize: 2 }), tanh(), flatten(), linear({ outFeatures: 3 })],
  { inputShape: [1, 4, 4] },
);
const SGD: OptimizerSpec = { type: "sgd", momentum: 0 };
const PLAN: TrainPlan = {
  epochs: 3,
  batchSize: 4,
  learningRate: 0.5,
  schedule: "constant",
  seed: 9,
  shuffle: true,
};
const TRAIN_COUNT = 11; // steps of 4, 4 and 3 images
const STEPS_PER_EPOCH = 3;

function smallDataset(model = MODEL): Dataset {
  return {
    name: "random",
    classNames: ["a", "b", "c"],
    train: randomImages(model, TRAIN_COUNT, 1),
    test: randomImages(model, 7, 2),
    digest: "",
  };
}

interface Setup {
  readonly backend?: BackendName;
  readonly model?: Model;
  readonly optimizer?: OptimizerSpec;
  readonly dataset?: Dataset;
  readonly plan?: Partial<TrainPlan>;
  readonly from?: Checkpoint;
  readonly hooks?: TrainHooks;
}

/** Trains on a real backend and collects all that the trainer tells. */
async function run(setup: Setup = {}) {
  const { backend = "reference", model = MODEL, optimizer = SGD, from, hooks } = setup;
  const dataset = setup.dataset ?? smallDataset(model);
  const plan = { ...PLAN, ...setup.plan };
  const epochs: EpochMetrics[] = [];
  const saved: Checkpoint[] = [];
  const within: Checkpoint[] = [];
  const steps: { first: number; result: TrainResult }[] = [];
  await using session = await (await loadBackend(backend)).open(model, {
    optimizer,
    batchSize: plan.batchSize,
  });
  const fresh = { parameters: initialParameters(model, plan.seed), slots: [], step: 0 };
  await session.loadState(from?.state ?? fresh);
  await session.attach(dataset.train);
  await session.attach(dataset.test);
  const ended = await train(session, dataset, plan, {
    start: from?.progress ?? NOT_STARTED,
    onEpoch: (metrics, checkpoint) => {
      epochs.push(metrics);
      saved.push(checkpoint);
      return Promise.resolve();
    },
    onCheckpoint: (checkpoint) => {
      saved.push(checkpoint);
      within.push(checkpoint);
      return Promise.resolve();
    },
    onSteps: (first, result) => {
      steps.push({ first, result });
      return Promise.resolve();
    },
    ...hooks,
  });
  return { ...ended, epochs, saved, within, steps, state: await session.readState() };
}

/** Stops a run after a number of steps of its first epoch. */
function stopAfter(count: number): TrainHooks {
  const controller = new AbortController();
  return {
    signal: controller.signal,
    onProgress: ({ steps }) => {
      if (steps === count) controller.abort();
    },
  };
}

Deno.test("an epoch's loss and accuracy weigh a smaller last batch by its images", async () => {
  const { epochs, steps, outcome } = await run();
  assertEquals(outcome, "finished");
  assertEquals(steps.map(({ first }) => first), [1, 4, 7]);
  assertEquals(epochs.map(({ epoch, step }) => [epoch, step]), [[1, 3], [2, 6], [3, 9]]);
  for (const [n, { trainLoss, trainAccuracy }] of epochs.entries()) {
    const { losses: [first, second, third], corrects } = steps[n].result;
    assertAlmostEquals(trainLoss, (4 * first + 4 * second + 3 * third) / TRAIN_COUNT, 1e-12);
    const correct = corrects.reduce((sum, count) => sum + count, 0);
    assertAlmostEquals(trainAccuracy, correct / TRAIN_COUNT, 1e-12);
  }
});

Deno.test("training is what the session does over the plan's order and rates", async () => {
  const dataset = smallDataset();
  await using session = await (await loadBackend("reference")).open(MODEL, {
    optimizer: SGD,
    batchSize: 4,
  });
  await session.loadState({ parameters: initialParameters(MODEL, 9), slots: [], step: 0 });
  await session.attach(dataset.train);
  await session.attach(dataset.test);
  for (const epoch of [1, 2, 3]) {
    await session.train(dataset.train, {
      order: epochOrder(PLAN, epoch, TRAIN_COUNT),
      batchSize: 4,
      learningRates: new Float32Array(STEPS_PER_EPOCH).fill(0.5),
    });
  }
  const { loss, predictions } = await session.evaluate(dataset.test);
  const { state, epochs } = await run();
  assertEquals(state, await session.readState());
  assertEquals(epochs[2].testLoss, loss);
  const correct = predictions.filter((guess, n) => guess === dataset.test.labels[n]).length;
  assertEquals(epochs[2].testAccuracy, correct / 7);
});

Deno.test("every epoch has an order of its own, the same in every run; unshuffled, the file's", () => {
  const orders = [1, 2, 3].map((epoch) => epochOrder(PLAN, epoch, 50).join());
  assertEquals(new Set(orders).size, 3);
  assertEquals(orders[1], epochOrder({ ...PLAN }, 2, 50).join());
  assertNotEquals(orders[0], epochOrder({ ...PLAN, seed: 10 }, 1, 50).join());
  assertEquals([...epochOrder({ ...PLAN, shuffle: false }, 2, 3)], [0, 1, 2]);
});

Deno.test("the cosine schedule falls from the rate through its half towards zero", () => {
  const cosine: TrainPlan = { ...PLAN, schedule: "cosine", epochs: 4, learningRate: 0.8 };
  const whole = learningRates(cosine, { first: 0, count: 40, stepsPerEpoch: 10 });
  for (
    const [step, rate] of [[0, 0.8], [10, 0.682843], [20, 0.4], [30, 0.117157], [39, 0.001233]]
  ) {
    assertAlmostEquals(whole[step], rate, 1e-6, `step ${step}`);
  }
  assert(whole.every((rate, step) => step === 0 || rate < whole[step - 1]), "it rises somewhere");
  const part = learningRates(cosine, { first: 17, count: 5, stepsPerEpoch: 10 });
  assertEquals(part, whole.slice(17, 22));
  const constant = learningRates(PLAN, { first: 5, count: 3, stepsPerEpoch: 3 });
  assertEquals([...constant], [0.5, 0.5, 0.5]);
});

Deno.test("a schedule may be a function of the place in the run", async () => {
  const { schedule: _, ...rest } = PLAN;
  const options = { ...rest, epochs: 2, learningRate: 0.5 };
  const places: unknown[] = [];
  const plan = completePlan({
    ...options,
    schedule: (place) => {
      places.push(place);
      return 1 / (1 + place.epoch);
    },
  });
  const rates = learningRates(plan, { first: 2, count: 2, stepsPerEpoch: 2 });
  assertEquals([...rates], [0.25, Math.fround(0.2)]);
  assertEquals(places, [
    { epoch: 1, epochs: 2, step: 2, steps: 4 },
    { epoch: 1.5, epochs: 2, step: 3, steps: 4 },
  ]);
  const warm = completePlan({ ...options, warmup: 1, schedule: () => 1 });
  const warming = learningRates(warm, { first: 0, count: 4, stepsPerEpoch: 3 });
  assertEquals([...warming], [0.125, 0.25, 0.375, 0.5]);
  for (const factor of [NaN, -1, Infinity, undefined, "1"]) {
    const wrong = completePlan({ ...options, schedule: () => factor as number });
    assertThrows(
      () => learningRates(wrong, { first: 3, count: 1, stepsPerEpoch: 2 }),
      RangeError,
      "Invalid schedule at step 3: expected a number, 0 or more, found",
    );
  }
  assertThrows(
    () => completePlan({ ...options, gamma: 0.5, schedule: () => 1 }),
    TypeError,
    "Cannot use gamma with a function as schedule: it belongs to step",
  );
  // What a name gives, a function of the same factors gives, to the bit.
  const states = [];
  for (
    const schedule of [
      "step",
      ({ epoch }: { readonly epoch: number }) => 0.1 ** Math.floor(epoch),
    ] as const
  ) {
    await using session = await openBackend("reference", zooModel("softmax"), { seed: 1 });
    const data = randomImages(zooModel("softmax"), 20, 1);
    await train(session, { train: data }, {
      epochs: 3,
      batchSize: 8,
      learningRate: 0.1,
      schedule,
      ...(schedule === "step" && { stepSize: 1 }),
    }, { onEpoch: () => {} });
    states.push((await session.readState()).parameters);
  }
  assertEquals(states[1], states[0]);
});

Deno.test("a run ends after --max-steps, within an epoch or at its end", async () => {
  for (
    const [maxSteps, epochs, epochsDone, partialSteps] of [[2, 1, 0, 2], [3, 1, 1, 0], [5, 2, 1, 2]]
  ) {
    const ended = await run({ plan: { maxSteps } });
    assertEquals(ended.outcome, "max steps reached");
    assertEquals([ended.progress.step, ended.progress.epochsDone], [maxSteps, epochsDone]);
    assertEquals(ended.progress.partial.steps, partialSteps);
    assertEquals(ended.epochs.map(({ epoch }) => epoch), [1, 2].slice(0, epochs));
    assertEquals(ended.saved.at(-1)!.progress, ended.progress);
  }
  assertEquals((await run({ plan: { maxSteps: 9 } })).outcome, "finished");
});

Deno.test("a run ends after the first epoch that reaches the target accuracy", async () => {
  const { train: images } = smallDataset();
  const easy: Dataset = { ...smallDataset(), test: images };
  const long = await run({ dataset: easy, plan: { epochs: 40 } });
  const target = 0.9;
  const first = long.epochs.find(({ testAccuracy }) => testAccuracy >= target)!.epoch;
  assert(first > 1 && first < 40, `reached at epoch ${first}`);
  const short = await run({ dataset: easy, plan: { epochs: 40, targetAccuracy: target } });
  assertEquals([short.outcome, short.progress.epochsDone], ["target reached", first]);
  assertEquals(short.progress.bestAccuracy, short.epochs.at(-1)!.testAccuracy);
});

/** Training images that are learned by heart while the validation set, of other labels, gets worse. */
function overfitting(): Dataset {
  const { train: images, ...rest } = smallDataset();
  const labels = images.labels.map((label, n) => n % 2 ? label : (label + 1) % 3);
  return { ...rest, train: images, validation: { ...images, labels } };
}

for (const monitor of ["accuracy", "loss"] as const) {
  Deno.test(`a run whose ${monitor} has not improved for a while ends, and goes back to its best`, async () => {
    const dataset = overfitting();
    const long = await run({ dataset, plan: { epochs: 30, monitor } });
    assertEquals([long.outcome, long.restored], ["finished", false]);
    const scores = long.epochs.map(({ validationLoss, validationAccuracy }) =>
      monitor === "loss" ? -validationLoss! : validationAccuracy!
    );
    const patience = 4;
    const isStale = (n: number) =>
      Math.max(...scores.slice(0, n + 1 - patience)) >=
        Math.max(...scores.slice(n + 1 - patience, n + 1));
    const expected = 1 + scores.findIndex((_, n) => n >= patience && isStale(n));
    assert(expected > patience && expected < 30, `${scores}`);
    const plan = { epochs: 30, monitor, patience };
    const short = await run({ dataset, plan });
    assertEquals([short.outcome, short.epochs.length], ["no improvement", expected]);
    assertEquals(short.progress.sinceBest, patience);
    const best = bestEpoch(short.epochs, monitor)!.metrics.epoch;
    assert(short.restored && best < expected);
    assertEquals(short.state.parameters, short.saved[best - 1].state.parameters);
    assertNotEquals(short.state.parameters, short.saved.at(-1)!.state.parameters);
    // Stopped in between, it goes on counting; and once ended, it is ended.
    for (const place of [2, expected]) {
      const from = short.saved[place - 1];
      const kept = bestEpoch(short.epochs.slice(0, place), monitor)!.metrics.epoch;
      const { state } = short.saved[kept - 1];
      const rest = await run({ dataset, plan, from, hooks: { best: state } as TrainHooks });
      assertEquals([rest.outcome, rest.progress], ["no improvement", short.progress]);
      assertEquals(rest.state.parameters, short.state.parameters);
    }
    await assertRejects(
      () => run({ dataset, plan, from: short.saved[1] }),
      TypeError,
      "Cannot go on with patience without the best epoch so far",
    );
  });
}

Deno.test({
  name: "an epoch that was not finished is best only where there is no other",
  ignore: !granted({ name: "read" }),
  async fn() {
    const setup: Setup = { backend: "wasm", dataset: overfitting() };
    const whole = await run({ ...setup, plan: { epochs: 3 } });
    for (const [maxSteps, place] of [[2, 0], [5, 1]]) {
      const cut = await run({ ...setup, plan: { maxSteps } });
      assertEquals(bestEpoch(cut.epochs)!.metrics, cut.epochs[0]);
      const rest = await run({ ...setup, plan: { epochs: 3 }, from: cut.saved.at(-1)! });
      assertEquals(resultsOf(rest.epochs), resultsOf(whole.epochs.slice(place)));
      assertEquals(rest.progress, whole.progress);
    }
  },
});

Deno.test("patience needs something to measure on, and an interrupted run stays where it is", async () => {
  const { train: images } = smallDataset();
  await using session = await (await loadBackend("reference")).open(MODEL);
  await session.loadState({ parameters: initialParameters(MODEL, 9), slots: [], step: 0 });
  await assertRejects(
    () => train(session, { train: images }, { ...PLAN, patience: 2 }),
    TypeError,
    "Cannot have patience without a validation or test set to measure on",
  );
  const stopped = await run({ plan: { patience: 1, epochs: 30 }, hooks: stopAfter(2) });
  assertEquals([stopped.outcome, stopped.restored], ["interrupted", false]);
  assertEquals(stopped.state, stopped.saved.at(-1)!.state);
});

Deno.test("a validation set alone decides what is best and when the target is reached", async () => {
  const { train: images, test } = smallDataset();
  // Learned by heart, while the test set stays at chance.
  const dataset: Dataset = { ...smallDataset(), validation: images };
  const target = 0.9;
  const { outcome, epochs, progress } = await run({
    dataset,
    plan: { epochs: 40, targetAccuracy: target },
  });
  assertEquals(outcome, "target reached");
  const last = epochs.at(-1)!;
  assert(last.validationAccuracy! >= target && last.testAccuracy < target);
  assert(epochs.slice(0, -1).every(({ validationAccuracy }) => validationAccuracy! < target));
  assertEquals(progress.bestAccuracy, last.validationAccuracy);
  assertEquals(bestEpoch(epochs), {
    metrics: last,
    chosenOn: "validation",
    accuracy: last.validationAccuracy!,
  });
  // Training itself does not depend on it.
  const without = await run({ dataset: { ...dataset, validation: undefined, test } });
  assertEquals(resultsOf(without.epochs), resultsOf(epochs.slice(0, 3)));
  const [first, second, third] = without.epochs.map((epoch) => ({ ...epoch, testAccuracy: 0.5 }));
  const tied = bestEpoch([first, { ...second, testAccuracy: 0.7 }, {
    ...third,
    testAccuracy: 0.7,
  }]);
  assertEquals([tied?.metrics.epoch, tied?.chosenOn, tied?.accuracy], [3, "test", 0.7]);
  assertEquals(bestEpoch([]), undefined);
});

Deno.test("a signal stops after the step at hand, and hands out all that is needed to go on", async () => {
  const stopped = await run({ hooks: stopAfter(2) });
  assertEquals(stopped.outcome, "interrupted");
  assertEquals(stopped.epochs, []);
  assertEquals(stopped.saved.length, 1);
  const { progress, state } = stopped.saved[0];
  assertEquals([progress.step, progress.partial.steps, progress.partial.images], [2, 2, 8]);
  assertEquals(state, stopped.state);
  const before = await run({ hooks: { signal: AbortSignal.abort() } });
  assertEquals([before.outcome, before.progress.step], ["interrupted", 0]);
});

const OPTIMIZERS: Record<string, OptimizerSpec> = {
  "sgd": SGD,
  "momentum": { type: "sgd", momentum: 0.9 },
  "adam": { type: "adam", beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
  "nesterov": { type: "sgd", momentum: 0.9, weightDecay: 0.1, nesterov: true },
  "adamw": { type: "adamw", beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1 },
};

/** What an epoch's metrics say about training; the rest is time. */
function resultsOf(epochs: readonly EpochMetrics[]) {
  return epochs.map(({ epoch, step, trainLoss, trainAccuracy, testLoss, testAccuracy }) => ({
    epoch,
    step,
    trainLoss,
    trainAccuracy,
    testLoss,
    testAccuracy,
  }));
}

for (const [name, optimizer] of Object.entries(OPTIMIZERS)) {
  const plan: Partial<TrainPlan> = { learningRate: 0.05, schedule: "cosine" };

  // A float32 backend, whose whole state fits a checkpoint.
  Deno.test(`a run that ended early twice comes to the very same bits: ${name}`, async () => {
    const setup: Setup = { backend: "tfjs-cpu", optimizer, plan };
    const whole = await run(setup);
    const first = await run({ ...setup, plan: { ...plan, maxSteps: 2 } });
    const second = await run({ ...setup, plan: { ...plan, maxSteps: 7 }, from: first.saved[0] });
    const last = await run({ ...setup, from: second.saved.at(-1) });
    assertEquals([first.progress.step, second.progress.step], [2, 7]);
    assertEquals(last.state, whole.state);
    assertEquals(
      whole.state.slots.length,
      { sgd: 0, momentum: 1, adam: 2, nesterov: 1, adamw: 2 }[name],
    );
    const ended = [...first.epochs, ...second.epochs, ...last.epochs]
      .filter(({ step }) => step % STEPS_PER_EPOCH === 0);
    assertEquals(resultsOf(ended), resultsOf(whole.epochs));
  });

  // The reference computes in float64, of which a checkpoint keeps the float32 nearest to it.
  Deno.test(`a run that was interrupted goes on where it stopped: ${name}`, async () => {
    const whole = await run({ optimizer, plan });
    const first = await run({ optimizer, plan, hooks: stopAfter(2) });
    const last = await run({ optimizer, plan, from: first.saved[0] });
    assertEquals([first.outcome, last.outcome], ["interrupted", "finished"]);
    last.state.parameters.forEach((value, n) => {
      assertAlmostEquals(value, whole.state.parameters[n], 1e-6, `parameter ${n}`);
    });
    for (const [n, { trainLoss }] of last.epochs.entries()) {
      assertAlmostEquals(trainLoss, whole.epochs[n].trainLoss, 1e-6);
    }
  });
}

const INTERVALS: readonly CheckpointInterval[] = [{ steps: 1 }, { steps: 2 }, { seconds: 1e-9 }];

Deno.test({
  name: "wasm: however checkpoints cut a run, and where it goes on, the bits are the same",
  ignore: !supports("plain") || !granted({ name: "read" }),
  async fn() {
    const setup: Setup = {
      backend: "wasm",
      optimizer: OPTIMIZERS.adam,
      plan: { learningRate: 0.05, schedule: "cosine" },
    };
    const whole = await run(setup);
    assertEquals(whole.within, []);
    const losses = (steps: typeof whole.steps) => steps.flatMap(({ result }) => [...result.losses]);
    for (const checkpointEvery of INTERVALS) {
      const cut = await run({ ...setup, hooks: { checkpointEvery } });
      if (checkpointEvery.steps === undefined) {
        // Seconds are counted after each slice of steps, and later slices hold a whole epoch.
        assert(cut.within.length >= 1);
      } else {
        // Two steps of each epoch's three are within it; every second one is 2, 4 and 8.
        assertEquals(cut.within.length, checkpointEvery.steps === 2 ? 3 : 6);
      }
      assertEquals(cut.state, whole.state);
      assertEquals(resultsOf(cut.epochs), resultsOf(whole.epochs));
      assertEquals(losses(cut.steps), losses(whole.steps));
      const from = cut.within[1] ?? cut.within[0];
      const last = await run({ ...setup, from });
      assertEquals(last.state, whole.state);
      const left = resultsOf(whole.epochs).slice(from.progress.epochsDone);
      assertEquals(resultsOf(last.epochs), left);
      assertEquals(losses(last.steps), losses(whole.steps).slice(from.progress.step));
    }
  },
});

Deno.test({
  name: "webgpu: a run that goes on from a checkpoint ends within 1e-6 of the uninterrupted one",
  ignore: !granted({ name: "read" }) || !(await listAvailable()).includes("webgpu"),
  async fn() {
    const setup: Setup = { backend: "webgpu", optimizer: OPTIMIZERS.momentum };
    const whole = await run({ ...setup, hooks: { checkpointEvery: { steps: 2 } } });
    const last = await run({ ...setup, from: whole.within[1] });
    last.state.parameters.forEach((value, n) => {
      assertAlmostEquals(value, whole.state.parameters[n], 1e-6, `parameter ${n}`);
    });
  },
});

Deno.test("a clock that jumps changes neither times nor results", async () => {
  const hooks: TrainHooks = { checkpointEvery: { seconds: 3_600 } };
  const whole = await run({ hooks });
  const { now } = Date;
  const jumps = [0, 4e12, -4e12, 1];
  let calls = 0;
  Date.now = () => jumps[calls++ % jumps.length];
  try {
    const jumped = await run({ hooks });
    assertEquals(jumped.state, whole.state);
    assertEquals(jumped.within, []);
    for (const { trainMs, evalMs, imagesPerSecond } of jumped.epochs) {
      assert(trainMs > 0 && trainMs < 1e6 && evalMs > 0 && evalMs < 1e6 && imagesPerSecond > 0);
    }
  } finally {
    Date.now = now;
  }
});

Deno.test("parameters that overflow in a last step are not handed out as a checkpoint", async () => {
  // A step's loss is measured before its update: that of the first step is finite.
  const saved: Checkpoint[] = [];
  const onCheckpoint = (checkpoint: Checkpoint) => Promise.resolve(void saved.push(checkpoint));
  const hooks: TrainHooks = { checkpointEvery: { steps: 1 }, onCheckpoint };
  await assertRejects(
    () => run({ plan: { learningRate: 1e39 }, hooks }),
    DivergedError,
    "Parameters overflowed at step 1: training has diverged; try a --lr below 1e+39",
  );
  assertEquals(saved, []);
});

Deno.test("a loss that is not finite ends the run, naming the step and the rate", async () => {
  const epochs: EpochMetrics[] = [];
  const error = await assertRejects(
    () =>
      run({
        plan: { learningRate: 1e38 },
        hooks: {
          onEpoch: (metrics) => {
            epochs.push(metrics);
            return Promise.resolve();
          },
        },
      }),
    DivergedError,
    "The loss became ",
  );
  assertStringIncludes(error.message, " at step 3: training has diverged; try a --lr below 1e+38");
  assertEquals(epochs, []);
});

Deno.test("a batch larger than the data is one step an epoch", async () => {
  const { progress, epochs } = await run({ plan: { batchSize: 1000, epochs: 2 } });
  assertEquals([progress.step, progress.epochsDone], [2, 2]);
  assert(epochs.every(({ trainLoss }) => trainLoss > 0 && trainLoss < 10));
});
