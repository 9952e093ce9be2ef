/** The flags of the train command, and the configuration they ask for. */

import type { OptimizerSpec } from "../backends/backend.ts";
import type { Dataset } from "../data/dataset.ts";
import { invocation } from "../invocation.ts";
import type { Model } from "../nn/sequential.ts";
import { standardizationOf } from "../nn/standardization.ts";
import { MODEL_NAMES, ZOO, zooModel } from "../nn/zoo.ts";
import type { TrainPlan } from "../train/plan.ts";
import type { CheckpointInterval } from "../train/trainer.ts";
import { DEVICE_FLAGS } from "./backend_flags.ts";
import { PICTURE_FLAGS } from "./picture_flags.ts";
import { UsageError } from "./errors.ts";
import { defineCommand, type parseFlags } from "./flags.ts";

/** The train command. */
export const TRAIN_COMMAND = defineCommand({
  usage: invocation("train"),
  summary: "Train a model and save it with its metrics and curves in a folder below runs/.",
  examples: [
    ["", "LeNet on Fashion-MNIST, 20 epochs, on the fastest backend"],
    ["--epochs 3 --out runs/first", "a short run, in a folder of your choice"],
    ["--backend tfjs-wasm --model mlp", "another backend, another model"],
    ["--dataset photos/", "your own pictures, in a folder for each class"],
    ["--resume runs/first --epochs 5", "go on with a run, up to 5 epochs in all"],
  ],
  flags: {
    model: { type: "choice", choices: MODEL_NAMES, default: "lenet", help: "what to train" },
    dataset: {
      type: "string",
      placeholder: "NAME|DIR",
      defaultText: "fashion-mnist, or the sample if it cannot be had",
      help: "fashion-mnist, mnist, sample, or a folder of pictures or of IDX files",
    },
    ...PICTURE_FLAGS,
    ...DEVICE_FLAGS,
    epochs: {
      type: "integer",
      min: 1,
      max: 1_000_000,
      defaultText: "20 for lenet, else 10",
      help: "passes over the training set",
    },
    "batch-size": {
      type: "integer",
      min: 1,
      max: 65_536,
      defaultText: "256",
      help: "images per step",
    },
    lr: {
      type: "number",
      exclusiveMin: 0,
      max: 1000,
      defaultText: "the model's, times (1 - momentum); 0.001 for adam",
      help: "learning rate",
    },
    optimizer: {
      type: "choice",
      choices: ["sgd", "momentum", "adam"],
      default: "sgd",
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
      help: "draws initial weights and order",
    },
    shuffle: {
      type: "boolean",
      negatable: true,
      default: true,
      help: "a new order every epoch, or the file's",
    },
    normalize: { type: "boolean", help: "pixel / 255, which is also the default" },
    standardize: {
      type: "boolean",
      help: "(pixel / 255 - mean) / std, with mean and std of the training set",
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
      help: "end after the epoch that reaches this test accuracy",
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
    quiet: { type: "boolean", help: "print nothing but errors" },
    json: { type: "boolean", help: "print one JSON object a line on standard output" },
  },
});

/** Values of the train command's flags. */
export type TrainFlags = ReturnType<typeof parseFlags<typeof TRAIN_COMMAND.flags>>["flags"];

/** Whether a command line asks for MPI: what is wrong with it, too, is then for rank 0 to print. */
export function asksForMpi(args: readonly string[]): boolean {
  return args.some((arg) => arg === "--mpi" || arg === "--mpi=true");
}

/** Flags that may accompany `--resume`; the rest is fixed by the run's configuration. */
const RESUME_FLAGS = [
  "resume",
  "epochs",
  "backend",
  "threads",
  "device-index",
  "power-preference",
  "dataset",
  "max-steps",
  "target-accuracy",
  "checkpoint-every",
  "mpi",
  "log-steps",
  "live",
  "quiet",
  "json",
  "debug",
];

/** Checks that no flag contradicts another.
 *
 * @throws {UsageError} If one does.
 */
export function checkCombination(args: readonly string[], flags: TrainFlags): void {
  if (flags.optimizer === "adam" && flags.momentum !== undefined) {
    throw new UsageError("Cannot use --momentum with --optimizer adam: choose one of them");
  }
  if (flags.normalize && flags.standardize) {
    throw new UsageError("Cannot use --normalize and --standardize together: choose one of them");
  }
  checkpointIntervalOf(flags);
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

/** The model that the flags ask for, for a dataset's images and classes. */
export function modelFor(
  { model, standardize }: TrainFlags,
  { train: { shape, images }, classNames }: Dataset,
): Model {
  return zooModel(model, {
    inputShape: shape,
    classCount: classNames.length,
    ...(standardize && { standardization: standardizationOf(images) }),
  });
}

/** The plan that the flags ask for; the model's recipe fills the gaps. */
export function planOf(flags: TrainFlags): TrainPlan {
  const { recipe } = ZOO[flags.model];
  const optimizer = optimizerOf(flags);
  const defaultRate = optimizer.type === "adam"
    ? 0.001
    : recipe.learningRate * (1 - optimizer.momentum);
  return {
    epochs: flags.epochs ?? recipe.epochs,
    batchSize: flags.batchSize ?? recipe.batchSize,
    learningRate: flags.lr ?? Number(defaultRate.toPrecision(12)),
    schedule: flags.schedule,
    seed: flags.seed,
    shuffle: flags.shuffle,
    ...(flags.maxSteps !== undefined && { maxSteps: flags.maxSteps }),
    ...(flags.targetAccuracy !== undefined && { targetAccuracy: flags.targetAccuracy }),
  };
}

/** The optimiser that the flags ask for. */
export function optimizerOf({ optimizer, momentum }: TrainFlags): OptimizerSpec {
  if (optimizer === "adam") return { type: "adam", beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
  return { type: "sgd", momentum: momentum ?? (optimizer === "momentum" ? 0.9 : 0) };
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
