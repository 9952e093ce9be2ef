/** The configuration of a run: everything needed to repeat it or resume it. */

import { isDeepStrictEqual } from "node:util";
import * as v from "valibot";
import type { Device } from "../backends/backend.ts";
import { BACKEND_NAMES } from "../backends/registry.ts";
import { type Augmentation, isAugmentation } from "../data/augment.ts";
import type { PictureFacts } from "../data/dataset.ts";
import type { WeightInit } from "../nn/init.ts";
import type { LossOptions } from "../nn/loss.ts";
import { modelOf, type ModelSpec } from "../nn/model_spec.ts";
import { isOptimizerSpec, type OptimizerSpec } from "../nn/optimizers.ts";
import { freeze, type Model } from "../nn/sequential.ts";
import { formatCount } from "../quote.ts";
import { MONITORS, SCHEDULES, type TrainPlan } from "../train/plan.ts";
import type { CheckpointInterval } from "../train/trainer.ts";
import {
  count,
  ENVIRONMENT,
  fields,
  list,
  notNegative,
  parseBy,
  positive,
  type Schema,
  share,
  text,
} from "./schema.ts";

const atLeastOne = v.pipe(count, v.minValue(1));

const MODEL: Schema<ModelSpec> = fields({
  name: text,
  inputShape: v.tuple([count, count, count]),
  standardization: v.optional(v.any()), // like the layers, checked when the model is built
  layers: v.array(v.any()),
});

/** A run may come from anybody: what it names must not lead out of the folder it is used in. */
const nameOrPathBelow = v.pipe(
  text,
  v.check((value) => !/^([\\/]|[A-Za-z]:)|(^|[\\/])\.\.([\\/]|$)/.test(value)),
);

const PICTURES: Schema<PictureFacts> = fields({
  testSplit: v.optional(share),
  validSplit: v.optional(share), // what version 0.1 called testSplit
  invert: v.boolean(),
  darkOnLight: v.boolean(),
  hasGrey: v.optional(v.literal(true)),
  unreadable: v.optional(v.array(fields({ name: v.string(), reason: v.string() }))),
});

const PLAN: Schema<TrainPlan> = fields({
  epochs: count,
  batchSize: v.pipe(atLeastOne, v.maxValue(65_536)),
  learningRate: positive,
  schedule: v.picklist(SCHEDULES),
  seed: count,
  shuffle: v.boolean(),
  maxSteps: v.optional(count),
  targetAccuracy: v.optional(positive),
  warmup: v.optional(notNegative),
  stepSize: v.optional(atLeastOne),
  gamma: v.optional(positive),
  anneal: v.optional(v.picklist(["cosine", "linear"])),
  monitor: v.optional(v.picklist(MONITORS)),
  patience: v.optional(atLeastOne),
});

const LOSS: Schema<LossOptions> = fields({
  labelSmoothing: v.optional(share),
  classWeights: v.optional(list(positive)),
});

const DEVICE: Schema<Device> = fields({
  threads: v.pipe(atLeastOne, v.maxValue(256)),
  kind: v.picklist(["cpu", "gpu"]),
  description: text,
  software: v.boolean(),
});

const INTERVAL: Schema<CheckpointInterval> = fields({
  steps: v.optional(atLeastOne),
  seconds: v.optional(positive),
});

const RESUMPTION = fields({
  /** When it went on, ISO 8601. */
  started: text,
  /** Steps done before. */
  step: count,
  backend: v.picklist(BACKEND_NAMES),
  device: DEVICE,
  /** MPI ranks that share the training from here; left out for one process. */
  ranks: v.optional(count),
});

const CONFIG = fields({
  /** When the run began, ISO 8601. */
  started: text,
  model: MODEL,
  dataset: fields({
    /** Registry name, or the folder relative to where the run was started, as `./photos`; of one
     * that is not below, `.../photos`. */
    name: nameOrPathBelow,
    digest: text,
    trainCount: count,
    testCount: count,
    /** Images to choose the best epoch by; left out where it is chosen on the test set. */
    validationCount: v.optional(count),
    /** Share of the training set that became them; left out where the dataset had them. */
    validSplit: v.optional(share),
    classNames: list(text),
    /** How pictures were made into it; left out where it was none. */
    pictures: v.optional(PICTURES),
    /** Share of an image's side that what it shows takes, see `PicturePolarity`; of IDX files. */
    objectShare: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(1))),
    /** Whether rows and columns of IDX images were swapped; left out where not. */
    transposed: v.optional(v.literal(true)),
    /** What reading it left out, took for something or missed; made printable where shown. */
    notes: v.optional(list(v.string())),
  }),
  /** The way from the run's folder up to where it was started, as `../..`; left out if not up: what
   * is found from there lies beside the run's folder or one that holds it. */
  workingDirectory: v.optional(v.pipe(v.string(), v.regex(/^\.\.(\/\.\.){0,15}$/))),
  plan: PLAN,
  optimizer: v.custom<OptimizerSpec>(isOptimizerSpec),
  /** What was trained towards; left out where that is plain cross-entropy, which is measured always. */
  loss: v.optional(LOSS),
  /** Largest norm of a step's gradient; left out where there was none. */
  clipNorm: v.optional(positive),
  /** How training images are changed; left out where they are not. */
  augmentation: v.optional(v.custom<Augmentation>(isAugmentation)),
  /** Flags that were chosen to fit the dataset; left out where the recipe is the model's own. */
  chosen: v.optional(list(text)),
  /** How the first parameters came to be: drawn, or read from a file, whose path is only shown, but for the
   * layers that were drawn anew for other classes. */
  init: fields({ type: text, path: v.optional(text), replaced: v.optional(list(text)) }) as Schema<
    | WeightInit
    | { readonly type: "file"; readonly path: string; readonly replaced?: readonly string[] }
  >,
  /** Layers and blocks that training leaves as they are, as `freeze` takes them; left out if none. */
  frozen: v.optional(list(v.string())),
  backend: v.picklist(BACKEND_NAMES),
  /** Why `auto` chose it; left out where it was asked for by name. */
  backendReason: v.optional(v.string()),
  device: DEVICE,
  /** Whether convolutions are computed product by product, see `SessionOptions.exact`; see {@linkcode wasExact}. */
  exact: v.optional(v.boolean()),
  /** MPI ranks that shared the training; left out for one process. */
  ranks: v.optional(count),
  environment: ENVIRONMENT,
  /** Whether every step is written to `steps.jsonl`. */
  logSteps: v.optional(v.boolean()),
  /** How often a checkpoint is written within an epoch. */
  checkpointEvery: v.optional(INTERVAL),
  /** Where the run was resumed, in order; left out if it never stopped. */
  resumed: v.optional(list(RESUMPTION)),
  /** How its training diverged, in a sentence; left out if it has not, or was resumed since. */
  diverged: v.optional(text),
});

/** Content of `config.json`. */
export type RunConfig = v.InferOutput<typeof CONFIG>;

/** One going on of a run that had stopped. */
export type Resumption = v.InferOutput<typeof RESUMPTION>;

/** Parses a `config.json`, whose layers must make a model with a name for each class.
 *
 * @param label Names the file in errors.
 * @throws {SyntaxError} If it is not the configuration of a run.
 */
export function parseRunConfig(json: string, label: string): RunConfig {
  const invalid = (reason: string) =>
    new SyntaxError(`Cannot read ${label} as the configuration of a run: ${reason}`);
  parseBy(CONFIG, json, invalid);
  // The text itself again: its order of names goes into the next checkpoint's bytes.
  const config: RunConfig = JSON.parse(json);
  const [names, weights] = [config.dataset.classNames.length, config.loss?.classWeights?.length];
  const classCount = classCountOf(config, invalid);
  if (![undefined, names].includes(weights)) {
    throw invalid(`it has ${weights} weights for ${names} classes`);
  }
  if (names !== classCount) {
    throw invalid(`it has names for ${names} classes, its model ${classCount}`);
  }
  // Version 0.1 called the share of pictures to test on `validSplit`.
  const { validSplit, ...pictures } = Object(config.dataset.pictures);
  if (validSplit === undefined) return config;
  const renamed = { ...pictures, testSplit: validSplit };
  return { ...config, dataset: { ...config.dataset, pictures: renamed } };
}

function classCountOf(config: RunConfig, invalid: (reason: string) => SyntaxError): number {
  try {
    return configuredModel(config).classCount;
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof RangeError)) throw error;
    throw invalid(`${error.message.charAt(0).toLowerCase()}${error.message.slice(1)}`);
  }
}

/** Version 0.1 did not measure a set; these it knew by name. */
const KNOWN_SHARES = new Map([["fashion-mnist", 1], ["sample", 1], ["mnist", 0.714]]);

/** How a model of the run is to take pictures; undefined where nobody knows. */
export function knownPictures(
  { dataset }: RunConfig,
): PictureFacts | undefined {
  const { name, pictures, objectShare = KNOWN_SHARES.get(name) } = dataset;
  if (pictures !== undefined || objectShare === undefined) return pictures;
  return { invert: false, darkOnLight: false, objectShare };
}

/** What stands for the way to a place outside of the folder that a run was started in. */
export const ELSEWHERE = ".../";

/** Whether a recorded dataset is a folder that cannot be found by what is recorded of it. */
export function isElsewhere(name: string): boolean {
  return name.startsWith(ELSEWHERE);
}

/** `576 training, 144 validation and 180 test`: of how many images. */
export function partsText(
  { trainCount, validationCount, testCount }: RunConfig["dataset"],
): string {
  const validation = validationCount === undefined
    ? ""
    : `, ${formatCount(validationCount)} validation`;
  return `${formatCount(trainCount)} training${validation} and ${formatCount(testCount)} test`;
}

/** Whether a run computes its convolutions product by product: version 0.1 knew no other way. */
export function wasExact({ exact = true }: Pick<RunConfig, "exact">): boolean {
  return exact;
}

/** Builds the model of a configuration. */
export function configuredModel(
  { model, frozen = [] }: Pick<RunConfig, "model" | "frozen">,
): Model {
  return freeze(modelOf(model), frozen);
}

/** What a checkpoint must have in common with the run that goes on from it. */
const FIXED = [
  "model",
  "dataset.digest",
  "dataset.trainCount",
  "plan.batchSize",
  "plan.learningRate",
  "plan.schedule",
  "plan.seed",
  "plan.shuffle",
  "optimizer",
  // Left out where they are, as version 0.1 did:
  "loss",
  "clipNorm",
  "frozen",
  "plan.warmup",
  "plan.stepSize",
  "plan.gamma",
  "plan.anneal",
  "plan.monitor",
  "augmentation",
] as const;

/** The part of a configuration that decides what every step computes, by field. */
export function fixedConfiguration(config: RunConfig): Record<string, unknown> {
  return Object.fromEntries(FIXED.map((path) => [path, valueAt(config, path)]));
}

/** Checks that a run can go on from a checkpoint.
 *
 * @param saved What {@linkcode fixedConfiguration} gave when the checkpoint was written.
 * @throws {TypeError} If a field differs.
 */
export function requireSameConfiguration(config: RunConfig, saved: unknown, path: string): void {
  for (const [field, value] of Object.entries(fixedConfiguration(config))) {
    const before = Object.hasOwn(Object(saved), field) ? Object(saved)[field] : undefined;
    if (isDeepStrictEqual(before, value)) continue;
    const [expected, found] = [before, value].map((part) => JSON.stringify(part) ?? "nothing");
    throw new TypeError(
      `Cannot resume ${path}: its checkpoint was made with ${field} ${shorten(expected)}, ` +
        `config.json says ${shorten(found)}; put config.json back, or start a new run with --init`,
    );
  }
}

function shorten(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}

/** The value at a path of own fields such as `plan.epochs`. */
function valueAt(fields: unknown, path: string): unknown {
  return path.split(".").reduce(
    (value, key) => Object.hasOwn(Object(value), key) ? Object(value)[key] : undefined,
    fields,
  );
}
