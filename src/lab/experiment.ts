/** An experiment of the lab: data, network and training as plain data, and as a page's address. */

import { isNumber } from "../check.ts";
import type { WeightInit } from "../nn/init.ts";
import type { LayerSpec } from "../nn/layers.ts";
import {
  completeOptimizer,
  optimizerPresets,
  type OptimizerSpec,
  suitingRate,
} from "../nn/optimizers.ts";
import { type ImageShape, type Model, sequential } from "../nn/sequential.ts";
import type { Standardization } from "../nn/standardization.ts";
import { MODEL_NAMES, type ModelName, ZOO, zooModel } from "../nn/zoo.ts";
import { type Schedule, SCHEDULES } from "../train/plan.ts";

/** Engines that run in a browser, the fastest first. */
export const ENGINE_NAMES = ["webgpu", "wasm", "reference"] as const;

/** One of them. */
export type EngineName = typeof ENGINE_NAMES[number];

/** Sets of images that a page may offer, beside pictures of one's own. */
export const SERVED_NAMES = ["sample", "fashion-mnist", "mnist"] as const;

/** What is trained on. */
export type DataName = typeof SERVED_NAMES[number] | "own";

/** All that decides what training gives, apart from the images and the engine's rounding. */
export interface Experiment {
  readonly data: DataName;
  /** A model of the zoo, or layers of one's own. */
  readonly model: ModelName | "own";
  /** The layers, whoever chose them. */
  readonly layers: readonly LayerSpec[];
  /** Name of an optimiser on the command line. */
  readonly optimizer: string;
  readonly learningRate: number;
  readonly batchSize: number;
  /** After so many it stops by itself. */
  readonly epochs: number;
  readonly schedule: Schedule;
  /** How long the rate rises: 1 or more are epochs, less is a share of all steps. */
  readonly warmup: number;
  /** Share of each label that all classes get alike. */
  readonly labelSmoothing: number;
  readonly seed: number;
  /** Whether pixels get the mean 0 and the deviation 1. */
  readonly standardize: boolean;
  readonly engine: EngineName;
  /** Threads of `wasm`; 0 for all there are. */
  readonly threads: number;
}

/** Ranges of an experiment's numbers. */
export const RANGES = {
  learningRate: { above: 0, max: 1000 },
  batchSize: { whole: true, min: 1, max: 4096 },
  epochs: { whole: true, min: 1, max: 10_000 },
  warmup: { min: 0, max: 1000 },
  labelSmoothing: { min: 0, max: 0.99 },
  seed: { whole: true, min: 0, max: Number.MAX_SAFE_INTEGER },
  threads: { whole: true, min: 0, max: 64 },
} as const;

/** A model of the zoo with its recipe: all of it, or by another optimiser.
 *
 * @param optimizer Default: the recipe's.
 */
export function zooExperiment(
  model: ModelName,
  { classCount = 10, optimizer }: {
    readonly classCount?: number;
    readonly optimizer?: string;
  } = {},
): Omit<Experiment, "data" | "seed" | "engine" | "threads"> {
  const { specs, recipe } = ZOO[model];
  const { epochs, batchSize, schedule = "constant", warmup = 0, labelSmoothing = 0 } = recipe;
  const own = recipe.optimizer?.type ?? "sgd";
  return {
    model,
    layers: specs(classCount),
    optimizer: optimizer ?? own,
    learningRate: rateFor(model, optimizer ?? own),
    ...{ epochs, batchSize, schedule, warmup, labelSmoothing },
    standardize: recipe.standardize ?? false,
  };
}

/** The rate of the recipe that an optimiser is of, or one that suits it. */
export function rateFor(model: ModelName, optimizer: string): number {
  const { recipe } = ZOO[model];
  if (optimizer === (recipe.optimizer?.type ?? "sgd")) return recipe.learningRate;
  // Recipes of other optimisers know no rate of SGD: this one suits most networks.
  const rate = recipe.optimizer ? 0.1 : recipe.learningRate;
  return Number(suitingRate(optimizerOf({ model, optimizer }), rate).toPrecision(12));
}

/** The experiment that a page begins with: learns in a moment, also from the sample. */
export const FIRST: Experiment = {
  data: "sample",
  ...zooExperiment("lenet-relu", { optimizer: "adam" }),
  batchSize: 64,
  epochs: 20,
  seed: 0,
  standardize: true,
  engine: "wasm",
  threads: 0,
};

/** The optimiser of an experiment: with the numbers of the model's recipe, where that is by it. */
export function optimizerOf(
  { model, optimizer }: Pick<Experiment, "model" | "optimizer">,
): OptimizerSpec {
  return completeOptimizer(ownOptimizer({ model, optimizer }) ?? optimizerPresets()[optimizer]);
}

/** The optimiser of a model's recipe, if the experiment's is that. */
export function ownOptimizer(
  { model, optimizer }: Pick<Experiment, "model" | "optimizer">,
): OptimizerSpec | undefined {
  const own = model === "own" ? undefined : ZOO[model].recipe.optimizer;
  return own?.type === optimizer ? own : undefined;
}

/** How weights are drawn: as the zoo's recipe says, and of own layers by Xavier's rule. */
export function initOf({ model }: Pick<Experiment, "model">): WeightInit {
  return model === "own" ? { type: "xavierUniform" } : ZOO[model].recipe.init;
}

/** The model of an experiment.
 *
 * @throws {TypeError} If a layer does not fit.
 * @throws {RangeError} Likewise.
 */
export function modelOf(
  { model, layers }: Pick<Experiment, "model" | "layers">,
  { inputShape, classCount, standardization }: {
    readonly inputShape: ImageShape;
    readonly classCount: number;
    readonly standardization?: Standardization;
  },
): Model {
  if (model !== "own") return zooModel(model, { inputShape, classCount, standardization });
  const made = sequential(layers, { name: "own", inputShape, standardization });
  if (made.classCount === classCount) return made;
  throw new TypeError(
    `Cannot tell ${classCount} classes apart: the last layer gives ${made.classCount} numbers; ` +
      `give it ${classCount}`,
  );
}

/** What an address says of a field that is as in {@linkcode FIRST}: nothing. */
export function toAddress(experiment: Experiment): string {
  const words = new URLSearchParams();
  for (const [key, value] of Object.entries(experiment)) {
    if (key === "layers" || value === FIRST[key as keyof Experiment]) continue;
    words.set(key, String(value));
  }
  if (experiment.model === "own") words.set("layers", JSON.stringify(experiment.layers));
  return words.toString();
}

/** Reads an address; what it does not say, or says wrongly, is as in {@linkcode FIRST}. */
export function fromAddress(address: string): Experiment {
  const words = new URLSearchParams(address.replace(/^#/, ""));
  const choice = <Value extends string>(key: string, values: readonly Value[], usual: Value) =>
    values.find((value) => value === words.get(key)) ?? usual;
  const number = (key: keyof typeof RANGES, usual: number) => {
    const value = Number(words.get(key) ?? NaN);
    return isNumber(value, RANGES[key]) ? value : usual;
  };
  const optimizer = choice("optimizer", Object.keys(optimizerPresets()), FIRST.optimizer);
  const name = choice("model", [...MODEL_NAMES, "own" as const], FIRST.model);
  const layers = name === "own" ? layersOf(words.get("layers")) : undefined;
  const model = name === "own" && layers === undefined ? FIRST.model : name;
  return {
    data: choice("data", [...SERVED_NAMES, "own" as const], FIRST.data),
    model,
    layers: layers ?? ZOO[model as ModelName].specs(10),
    optimizer,
    learningRate: number("learningRate", FIRST.learningRate),
    batchSize: number("batchSize", FIRST.batchSize),
    epochs: number("epochs", FIRST.epochs),
    schedule: choice("schedule", SCHEDULES, FIRST.schedule),
    warmup: number("warmup", FIRST.warmup),
    labelSmoothing: number("labelSmoothing", FIRST.labelSmoothing),
    seed: number("seed", FIRST.seed),
    standardize: choice("standardize", ["true", "false"] as const, "true") === "true",
    engine: choice("engine", ENGINE_NAMES, FIRST.engine),
    threads: number("threads", FIRST.threads),
  };
}

/** The layers of an address; undefined where they are none: whether they fit shows in the editor. */
function layersOf(text: string | null): readonly LayerSpec[] | undefined {
  try {
    const layers = JSON.parse(text ?? "");
    return Array.isArray(layers) && layers.length <= 100 &&
        layers.every((layer) => typeof layer?.type === "string")
      ? layers
      : undefined;
  } catch {
    return undefined;
  }
}
