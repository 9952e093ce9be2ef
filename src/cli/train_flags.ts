/** The flags of the train command, and the configuration they ask for. */

import { type Augmentation, AUGMENTATION_EXAMPLES, parseAugmentation } from "../data/augment.ts";
import type { Dataset } from "../data/dataset.ts";
import { findDataset } from "../data/registry.ts";
import { splitValidation } from "../data/split.ts";
import { invocation } from "../quote.ts";
import {
  completeOptimizer,
  definitionOf,
  optimizerPresets,
  type OptimizerSpec,
  suitingRate,
} from "../nn/optimizers.ts";
import type { Model } from "../nn/sequential.ts";
import { standardizationOf } from "../nn/standardization.ts";
import { fittedRecipe, MODEL_NAMES, type ModelName, ZOO, zooModel } from "../nn/zoo.ts";
import type { TrainPlan } from "../train/plan.ts";
import type { CheckpointInterval } from "../train/trainer.ts";
import { DEVICE_FLAGS } from "./backend_flags.ts";
import { PICTURE_FLAGS } from "./picture_flags.ts";
import { UsageError } from "./errors.ts";
import type { Command, FlagTable, Parsed } from "./flag_types.ts";
import { defineCommand, OUTPUT_FLAGS, parseFlags } from "./flags.ts";

/** The train command. */
export const TRAIN_COMMAND = defineCommand({
  usage: invocation("train"),
  summary: "Train a model and save it with its metrics and curves in a folder below runs/.",
  examples: [
    ["", "LeNet on Fashion-MNIST, 20 epochs, on the fastest backend"],
    ["--epochs 3 --out runs/first", "a short run, in a folder of your choice"],
    ["--backend tfjs-wasm --model mlp", "another backend, another model"],
    [
      "--dataset photos/",
      "your own pictures, a folder for each class; the recipe fits their number",
    ],
    ["--augment flip,shift=2", "each image as it is or mirrored, moved by up to 2 pixels"],
    ["--resume runs/first --epochs 5", "go on with a run, up to 5 epochs in all"],
  ],
  flags: {
    model: {
      type: "choice",
      choices: MODEL_NAMES,
      defaultText: "lenet; for your own data lenet-relu",
      help: "what to train, by its own recipe",
    },
    dataset: {
      type: "string",
      placeholder: "NAME|DIR",
      defaultText: "fashion-mnist, or the sample if it cannot be had",
      help: "fashion-mnist, mnist, sample, or a folder of pictures or of IDX files",
    },
    ...PICTURE_FLAGS,
    "valid-split": {
      type: "number",
      exclusiveMin: 0,
      exclusiveMax: 1,
      defaultText: "0: chosen on the test set",
      help: "share of each class's training images to choose the best epoch by",
    },
    ...DEVICE_FLAGS,
    epochs: {
      type: "integer",
      min: 1,
      max: 1_000_000,
      defaultText: "20 for lenet, else 10; 10 to 100 for your own data, by its size",
      help: "passes over the training set",
    },
    "batch-size": {
      type: "integer",
      min: 1,
      max: 65_536,
      defaultText: "256; 4 to 128 for your own data, by its size",
      help: "images per step",
    },
    lr: {
      type: "number",
      exclusiveMin: 0,
      max: 1000,
      defaultText: "the model's, times (1 - momentum); for adam 0.001, of your own data 0.002",
      help: "learning rate",
    },
    optimizer: {
      type: "choice",
      choices: Object.keys(optimizerPresets()),
      defaultText: "sgd; for your own data adam",
      help: "how parameters follow from gradients",
    },
    momentum: {
      type: "number",
      min: 0,
      exclusiveMax: 1,
      defaultText: "0.9 for momentum, else 0",
      help: "share of the last update that is kept",
    },
    schedule: {
      type: "choice",
      choices: ["constant", "cosine"],
      default: "constant",
      help: "how the learning rate changes over the run",
    },
    seed: {
      type: "integer",
      min: 0,
      max: Number.MAX_SAFE_INTEGER,
      default: 0,
      help: "draws initial weights, order and how images are changed",
    },
    shuffle: {
      type: "boolean",
      negatable: true,
      default: true,
      help: "a new order every epoch, or the file's",
    },
    normalize: { type: "boolean", help: "pixel / 255, the default of data known by name" },
    standardize: {
      type: "boolean",
      help: "(pixel / 255 - mean) / std of the training set, the default for your own data",
    },
    augment: {
      type: "list",
      offers: AUGMENTATION_EXAMPLES,
      placeholder: "LIST",
      defaultText: "none",
      help: `change training images at each step: ${AUGMENTATION_EXAMPLES.join(",")}`,
    },
    init: {
      type: "string",
      placeholder: "FILE",
      help: "start from these parameters: .safetensors, .onnx or a LayersModel",
    },
    out: {
      type: "string",
      placeholder: "DIR",
      defaultText: "runs/MODEL-DATE-TIME",
      help: "folder of the run; must be new",
    },
    resume: { type: "string", placeholder: "DIR", help: "go on with the run in this folder" },
    "max-steps": { type: "integer", min: 1, help: "end after this many steps in all" },
    "target-accuracy": {
      type: "number",
      exclusiveMin: 0,
      max: 1,
      help: "end after the epoch that reaches this accuracy: validation's if any, else test's",
    },
    "checkpoint-every": {
      type: "string",
      placeholder: "N|Ns",
      defaultText: "30s",
      help: "save within epochs too: every N steps, or every N seconds",
    },
    mpi: { type: "boolean", help: "train on all processes that mpirun started, as one" },
    "log-steps": { type: "boolean", help: "write every step's loss to steps.jsonl" },
    "dry-run": { type: "boolean", help: "train one step, fetch and write nothing" },
    live: { type: "boolean", help: "draw loss and accuracy as the run goes on, on a terminal" },
    ...OUTPUT_FLAGS,
  },
});

/** Values of the train command's flags. */
export type TrainFlags = ReturnType<typeof parseFlags<typeof TRAIN_COMMAND.flags>>["flags"];

/** Parses a command line of `train` or, by the command given, of one with the same flags.
 *
 * `--standardize=false` is `--normalize`: both refuse what is else chosen for own data.
 */
export function parseTraining<Table extends FlagTable>(
  command: Command<Table>,
  args: readonly string[],
): Parsed<Table> {
  const parsed = parseFlags(command, args);
  if (!args.includes("--standardize=false")) return parsed;
  return { ...parsed, flags: { ...parsed.flags, normalize: true } };
}

/** Whether a command line asks for MPI: what is wrong with it, too, is then for rank 0 to print. */
export function asksForMpi(args: readonly string[]): boolean {
  return args.some((arg) => arg === "--mpi" || arg === "--mpi=true");
}

/** Flags that may accompany `--resume`; the rest is fixed by the run's configuration. */
const RESUME_FLAGS = [
  ...["resume", "epochs", "backend", "threads", "device-index", "power-preference", "dataset"],
  ...["max-steps", "target-accuracy", "checkpoint-every", "mpi", "log-steps", "live", "quiet"],
  ...["json", "debug"],
];

/** Checks that no flag contradicts another.
 *
 * @throws {UsageError} If one does.
 */
export function checkCombination(args: readonly string[], flags: TrainFlags): void {
  const { optimizer, momentum } = flags;
  if (optimizer !== undefined && momentum !== undefined && !("momentum" in fieldsOf(optimizer))) {
    throw new UsageError(`Cannot use --momentum with --optimizer ${optimizer}: choose one of them`);
  }
  if (flags.normalize && flags.standardize) {
    throw new UsageError("Cannot use --normalize and --standardize together: choose one of them");
  }
  checkpointIntervalOf(flags);
  augmentationOf(flags);
  if (flags.resume === undefined) return;
  const given = args.filter((arg) => arg.startsWith("--"))
    .map((arg) => arg.slice(2).split("=")[0]);
  const wrong = given.find((name) => !RESUME_FLAGS.includes(name));
  if (wrong !== undefined) {
    throw new UsageError(
      `Cannot use --${wrong} with --resume: the run's config.json decides it; start a new run`,
    );
  }
}

/** The dataset with the share set apart that `--valid-split` asks for.
 *
 * @throws {DatasetError} If it has a validation set of its own, or too few images.
 */
export function setApart(
  dataset: Dataset,
  { validSplit, seed }: { readonly validSplit?: number; readonly seed: number },
): Dataset {
  return validSplit === undefined ? dataset : splitValidation(dataset, validSplit, seed);
}

/** Flags whose gaps a recipe has filled. */
export interface FilledFlags extends TrainFlags {
  readonly model: ModelName;
  readonly optimizer: NonNullable<TrainFlags["optimizer"]>;
  readonly epochs: number;
  readonly batchSize: number;
  readonly lr: number;
  /** The flags that were chosen for the dataset; left out where the model's own recipe was taken. */
  readonly chosen?: readonly string[];
}

/** Fills the flags' gaps by a recipe.
 *
 * That is the recipe of the model that is named, or of LeNet for datasets that are known by name. For
 * others, without a model named, {@linkcode fittedRecipe} chooses. In each case, what a flag names wins
 * over the recipe, which still decides the rest.
 */
export function fillFlags(flags: TrainFlags, { name, train }: Dataset): FilledFlags {
  const isOwn = flags.model === undefined && findDataset(name) === undefined;
  const fitted = isOwn ? fittedRecipe(train) : undefined;
  const model = flags.model ?? fitted?.model ?? "lenet";
  const { recipe } = ZOO[model];
  const optimizer = flags.optimizer ??
    (flags.momentum === undefined ? fitted?.optimizer : undefined) ?? "sgd";
  const spec = optimizerOf({ ...flags, optimizer });
  const rate = fitted?.optimizer === spec.type
    ? fitted.learningRate
    : suitingRate(spec, recipe.learningRate);
  const filled = {
    model,
    epochs: flags.epochs ?? (fitted ?? recipe).epochs,
    batchSize: flags.batchSize ?? (fitted ?? recipe).batchSize,
    optimizer,
    lr: flags.lr ?? Number(rate.toPrecision(12)),
    standardize: flags.standardize || (!flags.normalize && fitted !== undefined),
  };
  const chosen = fitted && {
    model: true,
    epochs: flags.epochs === undefined,
    "batch-size": flags.batchSize === undefined,
    optimizer: flags.optimizer === undefined && flags.momentum === undefined,
    lr: flags.lr === undefined,
    standardize: !flags.standardize && !flags.normalize,
  };
  return {
    ...flags,
    ...filled,
    ...(chosen && { chosen: Object.entries(chosen).filter(([, is]) => is).map(([flag]) => flag) }),
  };
}

/** The model that the flags ask for, for a dataset's images and classes. */
export function modelFor(
  { model, standardize }: FilledFlags,
  { train: { shape, images }, classNames }: Dataset,
): Model {
  return zooModel(model, {
    inputShape: shape,
    classCount: classNames.length,
    ...(standardize && { standardization: standardizationOf(images, shape) }),
  });
}

/** The plan that the flags ask for. */
export function planOf(flags: FilledFlags): TrainPlan {
  return {
    epochs: flags.epochs,
    batchSize: flags.batchSize,
    learningRate: flags.lr,
    schedule: flags.schedule,
    seed: flags.seed,
    shuffle: flags.shuffle,
    ...(flags.maxSteps !== undefined && { maxSteps: flags.maxSteps }),
    ...(flags.targetAccuracy !== undefined && { targetAccuracy: flags.targetAccuracy }),
  };
}

/** The optimiser that the flags ask for. */
export function optimizerOf(
  { optimizer, momentum }: Pick<FilledFlags, "optimizer" | "momentum">,
): OptimizerSpec {
  return completeOptimizer({
    ...optimizerPresets()[optimizer],
    ...(momentum !== undefined && { momentum }),
  });
}

/** The augmentation that `--augment` asks for; undefined for none.
 *
 * @throws {UsageError} If it names an unknown one, one twice, or a number out of range.
 */
export function augmentationOf(
  { augment }: Pick<TrainFlags, "augment">,
): Augmentation | undefined {
  if (augment === undefined) return undefined;
  try {
    return parseAugmentation(augment.join());
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function fieldsOf(optimizer: string): object {
  return definitionOf(optimizerPresets()[optimizer].type).fields;
}

/** The interval that `--checkpoint-every` asks for: `100` is steps, `30s` seconds.
 *
 * @throws {UsageError} If it is neither.
 */
export function checkpointIntervalOf(
  { checkpointEvery: text }: Pick<TrainFlags, "checkpointEvery">,
): CheckpointInterval | undefined {
  if (text === undefined) return undefined;
  const [, digits, unit] = /^(\d{1,9})(s?)$/.exec(text) ?? [];
  const count = Number(digits);
  if (count > 0) return unit === "s" ? { seconds: count } : { steps: count };
  throw new UsageError(
    `Invalid --checkpoint-every "${text}": expected steps, as in 100, or seconds, as in 30s`,
  );
}
