/** The trained model that a command is to use: a run's, or a file's. */

import { dirname, join } from "node:path";
import type { PictureFacts } from "../data/dataset.ts";
import { areNamesOf, type TrainedModel } from "../formats/trained_model.ts";
import type { Model } from "../nn/sequential.ts";
import { MODEL_NAMES, type ModelName } from "../nn/zoo.ts";
import { invocation } from "../quote.ts";
import { configuredModel, knownPictures, type RunConfig, wasExact } from "../run/config.ts";
import { readRunConfig, readRunParameters } from "../run/folder.ts";
import {
  type DEVICE_FLAGS,
  deviceOptions,
  type OpenedSession,
  openSession,
} from "./backend_flags.ts";
import { UsageError } from "./errors.ts";
import type { FlagTable, FlagValues } from "./flag_types.ts";
import { readModelFile, requireFinite } from "./model_files.ts";
import { said } from "./wrap.ts";

/** The flags that name a trained model. */
export const MODEL_FLAGS = {
  run: { type: "string", placeholder: "DIR", defaultText: "newest below runs/", help: "a run" },
  weights: {
    type: "string",
    placeholder: "FILE",
    help: "a model: .safetensors, .onnx or a LayersModel",
  },
  model: {
    type: "choice",
    choices: MODEL_NAMES,
    defaultText: "what the file says",
    help: "the model of --weights, for a file that does not say",
  },
} as const satisfies FlagTable;

export interface LoadedModel extends TrainedModel {
  /** Path of the run or the file. */
  readonly label: string;
  /** Folder of its run; left out for a file. */
  readonly run?: string;
  /** Configuration of its run; for a file, of the run in whose folder it lies. */
  readonly config?: RunConfig;
  /** The dataset it was trained on, or Fashion-MNIST where nobody knows. */
  readonly datasetName: string;
  /** Digest of that dataset; undefined where nobody knows. */
  readonly digest?: string;
  /** One name per class; numbers where nobody knows. */
  readonly classNames: readonly string[];
  /** How pictures are to be taken, and were made into what it was trained on, where that is known. */
  readonly pictures?: PictureFacts;
  readonly notes: readonly string[];
  /** Whether its training swapped rows and columns of IDX images. */
  readonly transposed?: boolean;
}

/** Loads the model that `--run`, `--weights` and `--model` name; without them the newest run's.
 *
 * @throws {UsageError} If the flags contradict one another.
 * @throws {SyntaxError} If a file is damaged.
 * @throws {TypeError} If there is no run, or the parameters are of another model.
 */
export async function loadModel(
  { run, weights, model }: Partial<FlagValues<typeof MODEL_FLAGS>>,
): Promise<LoadedModel> {
  if (run !== undefined && weights !== undefined) {
    throw new UsageError("Cannot use --run and --weights together: choose one of them");
  }
  if (model !== undefined && weights === undefined) {
    throw new UsageError("Cannot use --model without --weights: a run knows its model");
  }
  if (weights !== undefined) return await modelOfFile(weights, model);
  return await modelOfRun(run ?? await newestRun(), run === undefined);
}

/** Opens a trained model on the backend that `--backend` and its like name, to ask it for answers; of a
 * run in the way in which that computed, so that equal questions get equal answers.
 *
 * @throws {BackendUnavailableError} If that backend cannot run here.
 */
export async function openTrained(
  { model, parameters, statistics, config }: LoadedModel,
  flags: FlagValues<typeof DEVICE_FLAGS>,
): Promise<OpenedSession> {
  const opened = await openSession(flags.backend, model, {
    optimizer: { type: "sgd", momentum: 0 },
    batchSize: 1,
    ...deviceOptions(flags),
    exact: flags.exact || (config !== undefined && wasExact(config)),
  });
  await opened.session.loadState({ parameters, statistics, slots: [], step: 0 });
  return opened;
}

async function modelOfRun(path: string, isNewest: boolean): Promise<LoadedModel> {
  const config = await readRunConfig(path);
  const model = configuredModel(config);
  const learned = await readRunParameters(path, model).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    const run = isNewest ? `${path}, the newest run` : path;
    throw new TypeError(
      `Cannot use ${run}: ` +
        (config.diverged === undefined
          ? `it has saved no model yet; go on with ${invocation("train")} --resume ${path}`
          : `its training diverged before a model was saved; train again with a --lr below ` +
            config.plan.learningRate) +
        ", or name another run with --run",
    );
  });
  requireFinite({ model, ...learned }, path);
  const { name: datasetName, classNames: names, ...facts } = config.dataset;
  const classNames = namesFor(model, names);
  const notes = said([
    isNewest && "it is the newest run below runs/",
    config.diverged !== undefined &&
    `its training diverged later, this is what it saved before: ${config.diverged}`,
  ]);
  const { digest, transposed } = facts;
  const pictures = knownPictures(config);
  const trainedOn = { datasetName, digest, classNames, pictures, transposed, notes };
  return { label: path, run: path, config, model, ...learned, ...trainedOn };
}

async function modelOfFile(path: string, name: ModelName | undefined): Promise<LoadedModel> {
  const trained = await readModelFile(path, name);
  const { model, classNames, notes = [] } = trained;
  // A file that lies in a run's folder, as best.safetensors does, was trained on what the run was.
  const config = await readRunConfig(dirname(path)).catch(() => undefined);
  const known = { datasetName: "fashion-mnist", classNames: namesFor(model, classNames), notes };
  return { ...trained, label: path, config, ...known };
}

/** Names of the model's classes; numbers where the file has none that fit. */
function namesFor(model: Model, names: unknown): readonly string[] {
  return areNamesOf(model, names)
    ? names
    : Array.from({ length: model.classCount }, (_, label) => String(label));
}

async function newestRun(): Promise<string> {
  const runs: { path: string; started: string }[] = [];
  try {
    for await (const entry of Deno.readDir("runs")) {
      const path = join("runs", entry.name);
      const config = entry.isDirectory
        ? await readRunConfig(path).catch(() => undefined)
        : undefined;
      if (config !== undefined) runs.push({ path, started: config.started });
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const newest = runs.sort((a, b) => a.started < b.started ? 1 : -1).at(0);
  if (newest === undefined) {
    throw new TypeError("Cannot find a run below runs/: train one, or name one with --run");
  }
  return newest.path;
}
