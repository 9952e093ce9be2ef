/** The flags of the train command, and what they say by themselves. */

import { type Augmentation, AUGMENTATION_EXAMPLES, parseAugmentation } from "../data/augment.ts";
import { MODEL_NAMES } from "../nn/zoo.ts";
import { invocation } from "../quote.ts";
import type { CheckpointInterval } from "../train/trainer.ts";
import { DEVICE_FLAGS } from "./backend_flags.ts";
import { UsageError } from "./errors.ts";
import type { Command, FlagTable, Parsed } from "./flag_types.ts";
import { defineCommand, OUTPUT_FLAGS, parseFlags } from "./flags.ts";
import { PICTURE_FLAGS } from "./picture_flags.ts";
import { checkRecipe, RECIPE_FLAGS } from "./recipe_flags.ts";

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
    [
      "--dataset photos/ --init runs/first/best.safetensors --freeze 'conv*'",
      "what a model has learned, for classes of your own",
    ],
    ["--augment flip,shift=2", "each image as it is or mirrored, moved by up to 2 pixels"],
    ["--resume runs/first --epochs 5", "go on with a run, up to 5 epochs in all"],
  ],
  flags: {
    model: {
      type: "choice",
      choices: MODEL_NAMES,
      defaultText: "lenet, of colours cnn-rgb; for your own grey data vgg-small",
      help: "what to train, by its own recipe",
    },
    dataset: {
      type: "string",
      placeholder: "NAME|DIR",
      defaultText: "fashion-mnist, or the sample if it cannot be had",
      help:
        "fashion-mnist, mnist, kmnist, emnist-letters, cifar10, sample, ... (fetch --list), or a " +
        "folder of pictures, of IDX files or of CIFAR-10's batches",
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
      defaultText: "the model's, 10 to 30; 10 to 100 for your own data, by its size",
      help: "passes over the training set",
    },
    "batch-size": {
      type: "integer",
      min: 1,
      max: 65_536,
      defaultText: "the model's, 256 or 128; 16 to 128 for your own data, by its size",
      help: "images per step",
    },
    lr: {
      type: "number",
      exclusiveMin: 0,
      max: 1000,
      defaultText: "the model's; with another optimizer named, what suits that",
      help: "learning rate",
    },
    ...RECIPE_FLAGS,
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
      defaultText: "the model's; none of those without batch norm",
      help: `change training images at each step: ${AUGMENTATION_EXAMPLES.join(",")}`,
    },
    init: {
      type: "string",
      placeholder: "FILE",
      help: "start from this model: .safetensors, .onnx or a LayersModel; of other classes too",
    },
    freeze: {
      type: "string",
      placeholder: "LAYERS",
      help: "leave layers or blocks as they are: names, or beginnings and a star, as conv1,bn*",
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
  ...["json", "debug", "patience"],
];

/** Checks that no flag contradicts another.
 *
 * @throws {UsageError} If one does.
 */
export function checkCombination(args: readonly string[], flags: TrainFlags): void {
  checkRecipe(flags);
  if (flags.normalize && flags.standardize) {
    throw new UsageError("Cannot use --normalize and --standardize together: choose one of them");
  }
  checkpointIntervalOf(flags);
  frozenOf(flags);
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

/** The layers and blocks that `--freeze` names.
 *
 * @throws {UsageError} If it is no list of names.
 */
export function frozenOf({ freeze }: Pick<TrainFlags, "freeze">): readonly string[] {
  const names = freeze?.split(",").map((name) => name.trim()) ?? [];
  if (!names.includes("")) return names;
  throw new UsageError(
    `Invalid --freeze "${freeze}": expected names of layers, as in conv1,conv2 or conv*`,
  );
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
