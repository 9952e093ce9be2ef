/** Which recipe trains what: the model's own, one that fits the data, and what flags make of it. */

import { flagsOf } from "../../src/cli/sweep_flags.ts";
import { parseTraining, TRAIN_COMMAND } from "../../src/cli/train_flags.ts";
import { fillFlags, planOf } from "../../src/cli/train_recipe.ts";
import { optimizerOf } from "../../src/cli/recipe_flags.ts";
import type { Dataset } from "../../src/data/dataset.ts";
import { fittedRecipe, zooRecipe } from "../../src/nn/zoo.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { UsageError } from "../../src/cli/errors.ts";

/** What the flags of a command line become for a dataset of a name and a number of images. */
function filled(name: string, count: number, ...args: string[]) {
  const train = { images: new Uint8Array(), labels: new Uint8Array(), count };
  const dataset = { name, classNames: ["a", "b"], train: { ...train, shape: [1, 28, 28] } };
  const { flags } = parseTraining(TRAIN_COMMAND, args);
  return fillFlags(flags, dataset as unknown as Dataset);
}

Deno.test("a fitted recipe makes 20 steps an epoch and 1,000 in all, in bounded time", () => {
  const shape = [1, 28, 28] as const;
  const sizes = [1, 8, 64, 192, 720, 5_000, 60_000, 1_000_000].map((count) => {
    const { batchSize, epochs } = fittedRecipe({ count, shape });
    return [count, batchSize, epochs];
  });
  assertEquals(sizes, [
    [1, 16, 100],
    [8, 16, 100],
    [64, 16, 100],
    [192, 16, 84],
    [720, 32, 44],
    [5_000, 128, 25],
    [60_000, 128, 10],
    [1_000_000, 128, 3],
  ]);
  // Large pictures take longer: fewer epochs, though some.
  const large = fittedRecipe({ count: 5_000, shape: [1, 128, 128] });
  assert(large.epochs < 25 && large.epochs >= 3, `${large.epochs}`);
  // Of narrow pictures the shorter side says how far they are moved.
  assertEquals(fittedRecipe({ count: 64, shape: [1, 8, 200] }).augmentation?.shift, 1);
  assertThrows(() => fittedRecipe({ count: 0, shape }), RangeError, "expected 1 or more");
});

Deno.test("the recipe is fitted to own data, and the model's for data known by name or a model named", () => {
  const own = filled("./photos", 720);
  assertEquals([own.model, own.optimizer, own.lr, own.standardize], [
    "vgg-small",
    "adamw",
    0.01,
    true,
  ]);
  assertEquals(optimizerOf(own), zooRecipe("vgg-small").optimizer!);
  const { schedule, warmup } = planOf(own);
  assertEquals([schedule, warmup, own.labelSmoothing], ["cosine", 0.25, 0.1]);
  assertEquals([own.batchSize, own.epochs], [32, 44]);
  assertEquals(own.chosen, [
    ...["model", "epochs", "batch-size", "label-smoothing", "optimizer", "betas", "weight-decay"],
    ...["lr", "augment", "schedule", "warmup", "standardize"],
  ]);
  assertEquals(own.augment, ["shift=2", "rotate=10", "brightness=0.2"]);
  const named = ["--model", "resnet8"];
  assertEquals(filled("fashion-mnist", 720, ...named).augment, ["flip", "shift=2", "erase=0.3"]);
  assertEquals(filled("mnist", 720, ...named).augment, ["shift=2", "erase=0.3"]);
  const { learningRate: lr, epochs, batchSize } = zooRecipe("lenet");
  for (const seed of [filled("fashion-mnist", 720), filled("./photos", 720, "--model", "lenet")]) {
    assertEquals([seed.model, seed.optimizer, seed.standardize], ["lenet", "sgd", false]);
    assertEquals([seed.lr, seed.epochs, seed.batchSize, seed.chosen], [
      lr,
      epochs,
      batchSize,
      undefined,
    ]);
  }
});

Deno.test("what a flag names wins over the recipe, which decides the rest", () => {
  assertEquals(filled("fashion-mnist", 720, "--standardize").standardize, true);
  const named = filled("./photos", 720, "--epochs", "2", "--lr", "0.01", "--normalize");
  assertEquals([named.epochs, named.lr, named.standardize, named.batchSize], [2, 0.01, false, 32]);
  assertEquals(named.chosen, [
    ...["model", "batch-size", "label-smoothing", "optimizer", "betas", "weight-decay", "augment"],
    ...["schedule", "warmup"],
  ]);
  const constant = filled("./photos", 720, "--schedule", "constant", "--label-smoothing", "0");
  assertEquals([constant.schedule, constant.warmup, constant.labelSmoothing], [
    "constant",
    undefined,
    0,
  ]);
  assertEquals(filled("./photos", 720, "--standardize=false").standardize, false);
  const base = parseTraining(TRAIN_COMMAND, []).flags;
  assertEquals(flagsOf(base, { standardize: "false" }).normalize, true);
  const momentum = filled("./photos", 720, "--momentum", "0.9");
  assertEquals(optimizerOf(momentum), { type: "sgd", momentum: 0.9 });
  assertEquals([planOf(momentum).learningRate, momentum.batchSize], [0.01, 32]);
  const adam = filled("fashion-mnist", 720, "--optimizer", "adam");
  assertEquals([adam.model, adam.lr, adam.batchSize], ["lenet", 0.001, 256]);
  const decay = filled("./photos", 720, "--weight-decay", "0.1");
  assertEquals([decay.optimizer, decay.lr], ["adamw", 0.01]);
  assertEquals(optimizerOf(decay), {
    type: "adamw",
    beta1: 0.9,
    beta2: 0.99,
    epsilon: 1e-8,
    weightDecay: 0.1,
  });
  const seed = filled("fashion-mnist", 720, "--optimizer", "nesterov", "--weight-decay", "0.1");
  const nesterov = { type: "sgd", momentum: 0.9, weightDecay: 0.1, nesterov: true } as const;
  assertEquals([optimizerOf(seed), seed.lr], [nesterov, 0.02]);
  assertThrows(
    () => optimizerOf(filled("fashion-mnist", 720, "--betas", "0.9,0.99")),
    Error,
    "Cannot use --betas with --optimizer sgd",
  );
});

Deno.test("the flags of the schedule become the plan, and a rise as long as the run is refused", () => {
  const plan = (...args: string[]) =>
    planOf(filled("fashion-mnist", 720, "--epochs", "9", ...args));
  const { schedule, stepSize, warmup, patience, monitor } = plan(
    ...["--schedule", "step", "--warmup", "2", "--patience", "3", "--monitor", "loss"],
  );
  assertEquals([schedule, stepSize, warmup, patience, monitor], ["step", 3, 2, 3, "loss"]);
  assertThrows(() => plan("--warmup", "9"), UsageError, "expected less than 9 epochs");
});
