/** The configuration of a run: everything needed to repeat it or go on with it. */

import type { BackendName, Device, OptimizerSpec } from "../backends/backend.ts";
import { BACKEND_NAMES } from "../backends/registry.ts";
import type { PictureFacts } from "../data/dataset.ts";
import type { WeightInit } from "../nn/init.ts";
import { modelOf, type ModelSpec } from "../nn/model_spec.ts";
import { isOptimizerSpec } from "../nn/optimizers.ts";
import type { Model } from "../nn/sequential.ts";
import { isRecord, parseJson } from "../parse_json.ts";
import type { TrainPlan } from "../train/plan.ts";
import type { CheckpointInterval } from "../train/trainer.ts";
import type { Environment } from "./environment.ts";
import {
  type FieldTable,
  isCount,
  isFlat,
  isList,
  isOneOf,
  isOptional,
  isPositive,
  isShare,
  isText,
  requireFields,
  valueAt,
} from "./field_checks.ts";
import { formatCount } from "./table.ts";

/** Content of `config.json`. */
export interface RunConfig {
  /** When the run began, ISO 8601. */
  readonly started: string;
  readonly model: ModelSpec;
  readonly dataset: {
    /** Registry name, or the folder relative to where the run was started, as `./photos`; of one
     * that is not below, `.../photos`. */
    readonly name: string;
    readonly digest: string;
    readonly trainCount: number;
    readonly testCount: number;
    /** Images to choose the best epoch by; left out where it is chosen on the test set. */
    readonly validationCount?: number;
    /** Share of the training set that became them; left out where the dataset had them. */
    readonly validSplit?: number;
    readonly classNames: readonly string[];
    /** How pictures were made into it; left out where it was none. */
    readonly pictures?: PictureFacts;
    /** Whether rows and columns of IDX images were swapped; left out where not. */
    readonly transposed?: true;
    /** What reading it left out, took for something or missed. */
    readonly notes?: readonly string[];
  };
  /** The way from the run's folder up to where it was started, as `../..`; left out if not up. */
  readonly workingDirectory?: string;
  readonly plan: TrainPlan;
  readonly optimizer: OptimizerSpec;
  /** Flags that were chosen to fit the dataset; left out where the recipe is the model's own. */
  readonly chosen?: readonly string[];
  /** How the first parameters came to be: drawn, or read from a file. */
  readonly init: WeightInit | { readonly type: "file"; readonly path: string };
  readonly backend: BackendName;
  readonly device: Device;
  /** MPI ranks that shared the training; left out for one process. */
  readonly ranks?: number;
  readonly environment: Environment;
  /** Whether every step is written to `steps.jsonl`. */
  readonly logSteps?: boolean;
  /** How often a checkpoint is written within an epoch. */
  readonly checkpointEvery?: CheckpointInterval;
  /** Where the run was gone on with, in order; left out if it never stopped. */
  readonly resumed?: readonly Resumption[];
  /** How its training diverged, in a sentence; left out if it has not, or was gone on with since. */
  readonly diverged?: string;
}

/** One going on of a run that had stopped. */
export interface Resumption {
  /** When it went on, ISO 8601. */
  readonly started: string;
  /** Steps done before. */
  readonly step: number;
  readonly backend: BackendName;
  readonly device: Device;
  /** MPI ranks that share the training from here; left out for one process. */
  readonly ranks?: number;
}

/** Parses a `config.json`.
 *
 * @param label Names the file in errors.
 * @throws {SyntaxError} If it is not the configuration of a run.
 */
export function parseRunConfig(text: string, label: string): RunConfig {
  const invalid = (reason: string) =>
    new SyntaxError(`Cannot read ${label} as the configuration of a run: ${reason}`);
  let fields: unknown;
  try {
    fields = parseJson(text);
  } catch (error) {
    throw invalid(`it is ${(error as SyntaxError).message}`);
  }
  requireFields(fields, FIELDS, invalid);
  return withTestSplit(fields as RunConfig);
}

/** What the rest of the program relies on; the layers are checked when the model is built. */
const FIELDS: FieldTable = {
  "started": isText,
  "model.name": isText,
  "model.inputShape": isList(isCount),
  "model.layers": isList(() => true),
  "dataset.name": isNameOrPathBelow,
  "dataset.digest": isText,
  "dataset.trainCount": isCount,
  "dataset.testCount": isCount,
  "dataset.validationCount": isOptional(isCount),
  "dataset.validSplit": isOptional(isShare),
  "dataset.classNames": isList(isText),
  "dataset.pictures": isOptional(isPictureFacts),
  "dataset.transposed": isOptional((value) => value === true),
  "dataset.notes": isOptional(isList((value) => typeof value === "string")), // made printable where shown
  "workingDirectory": isOptional(isWayUp),
  "plan.epochs": isCount,
  "plan.batchSize": (value) => isCount(value) && isPositive(value) && Number(value) <= 65_536,
  "plan.learningRate": isPositive,
  "plan.schedule": isOneOf("constant", "cosine"),
  "plan.seed": isCount,
  "plan.shuffle": (value) => typeof value === "boolean",
  "plan.maxSteps": isOptional(isCount),
  "plan.targetAccuracy": isOptional(isPositive),
  "optimizer": isOptimizerSpec,
  "chosen": isOptional(isList(isText)),
  "backend": isOneOf(...BACKEND_NAMES),
  "device.threads": (value) => isCount(value) && Number(value) >= 1 && Number(value) <= 256,
  "logSteps": isOptional((value) => typeof value === "boolean"),
  "checkpointEvery.steps": isOptional((value) => isCount(value) && isPositive(value)),
  "checkpointEvery.seconds": isOptional(isPositive),
  "device.kind": isOneOf("cpu", "gpu"),
  "device.description": isText,
  "init.type": isText,
  "init.path": isOptional(isText), // shown, never read
  "environment": isOptional(isFlat),
  "resumed": isOptional(isList(isResumption)),
  "diverged": isOptional(isText),
};

function isPictureFacts(value: unknown): boolean {
  const { testSplit, validSplit, invert, darkOnLight, unreadable } = Object(value);
  return isOptional(isShare)(testSplit ?? validSplit) && typeof invert === "boolean" &&
    typeof darkOnLight === "boolean" && isOptional(isList(isRecord))(unreadable);
}

/** Version 0.1 called the share of pictures to test on `validSplit`. */
function withTestSplit(config: RunConfig): RunConfig {
  const { validSplit, ...pictures } = Object(config.dataset.pictures);
  if (validSplit === undefined) return config;
  return {
    ...config,
    dataset: { ...config.dataset, pictures: { ...pictures, testSplit: validSplit } },
  };
}

/** A run may come from anybody: what it names must not lead out of the folder it is used in. */
function isNameOrPathBelow(value: unknown): boolean {
  return isText(value) && !/^([\\/]|[A-Za-z]:)|(^|[\\/])\.\.([\\/]|$)/.test(String(value));
}

/** Up alone: what is found from there lies beside the run's folder or one that holds it. */
function isWayUp(value: unknown): boolean {
  return isText(value) && /^\.\.(\/\.\.){0,15}$/.test(String(value));
}

function isResumption(value: unknown): boolean {
  return isRecord(value) && isText(value.started) && isCount(value.step) &&
    isOneOf(...BACKEND_NAMES)(value.backend);
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

/** Builds the model of a configuration. */
export function configuredModel({ model }: Pick<RunConfig, "model">): Model {
  return modelOf(model);
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
    const [expected, found] = [before, value].map((part) => JSON.stringify(part) ?? "nothing");
    if (expected === found) continue;
    throw new TypeError(
      `Cannot resume ${path}: its checkpoint was made with ${field} ${shorten(expected)}, ` +
        `config.json says ${shorten(found)}; put config.json back, or start a new run with --init`,
    );
  }
}

function shorten(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}
