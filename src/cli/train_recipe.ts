/** What training takes from a recipe where the flags leave a gap: the model, its optimiser and its plan. */

import type { Augmentation } from "../data/augment.ts";
import type { Dataset } from "../data/dataset.ts";
import { findDataset } from "../data/registry.ts";
import { splitValidation } from "../data/split.ts";
import { completeOptimizer, suitingRate } from "../nn/optimizers.ts";
import type { Model } from "../nn/sequential.ts";
import { standardizationOf } from "../nn/standardization.ts";
import { fittedRecipe, type ModelName, type Recipe, ZOO, zooModel } from "../nn/zoo.ts";
import { completePlan, type TrainPlan } from "../train/plan.ts";
import { asUsage, optimizerOf } from "./recipe_flags.ts";
import type { TrainFlags } from "./train_flags.ts";

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
 * over the recipe, which still decides the rest; but the optimiser's numbers, and a schedule with its
 * warm-up, are the recipe's or the flags' as a whole.
 */
export function fillFlags(flags: TrainFlags, { name, train }: Dataset): FilledFlags {
  const isOwn = flags.model === undefined && findDataset(name) === undefined;
  const fitted = isOwn ? fittedRecipe(train) : undefined;
  const usual = train.shape[0] > 1 ? "cnn-rgb" : "lenet";
  const model = flags.model ?? fitted?.model ?? usual;
  const recipe: Recipe = fitted ?? ZOO[model].recipe;
  const filled: Partial<TrainFlags> = {
    epochs: recipe.epochs,
    batchSize: recipe.batchSize,
    labelSmoothing: recipe.labelSmoothing,
    ...optimizerFlags(flags, recipe),
    augment: augmentFlag(recipe.augmentation, findDataset(name)?.isWriting),
    ...(flags.schedule === undefined && { schedule: recipe.schedule, warmup: recipe.warmup }),
    ...(recipe.standardize && !flags.normalize && { standardize: true }),
  };
  const gaps = Object.entries(filled).filter(([key, value]) =>
    value !== undefined && !isNamed(flags[key as keyof TrainFlags])
  );
  return {
    ...flags,
    ...{ model, ...Object.fromEntries(gaps) } as FilledFlags,
    ...(fitted && { chosen: ["model", ...gaps.map(([key]) => kebab(key))] }),
  };
}

/** Whether a flag is on the command line; false is what a flag without a value is by default. */
function isNamed(value: unknown): boolean {
  return value !== undefined && value !== false;
}

function kebab(key: string): string {
  return key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** A recipe's augmentation; of writing, no mirror image is the same. */
function augmentFlag(augmentation: Augmentation | undefined, isWriting = false) {
  const entries = Object.entries(augmentation ?? {}).filter(([name]) =>
    !isWriting || name !== "flip"
  );
  if (entries.length === 0) return undefined;
  return entries.map(([name, value]) => value === true ? name : `${name}=${value}`);
}

/** Fields of an optimiser. */
type Numbers = Readonly<Record<string, number>>;

/** The optimiser's flags: the recipe's, unless others are named, which get the rate that suits them. */
function optimizerFlags(flags: TrainFlags, { optimizer: own, learningRate }: Recipe) {
  const isOwn = own && flags.optimizer === undefined && flags.momentum === undefined;
  if (!isOwn) {
    const optimizer = flags.optimizer ?? "sgd";
    // Recipes of other optimisers know no rate of SGD: this one suits most networks.
    const rate = suitingRate(optimizerOf({ ...flags, optimizer }), own ? 0.1 : learningRate);
    return { optimizer, lr: Number(rate.toPrecision(12)) };
  }
  const { beta1, beta2, weightDecay } = completeOptimizer(own) as unknown as Numbers;
  return { optimizer: own.type, betas: `${beta1},${beta2}`, weightDecay, lr: learningRate };
}

/** The model that the flags ask for, for a dataset's images and classes. */
export function modelFor(
  { model, standardize }: Pick<FilledFlags, "model" | "standardize">,
  { train: { shape, images }, classNames }: Dataset,
): Model {
  return zooModel(model, {
    inputShape: shape,
    classCount: classNames.length,
    ...(standardize && { standardization: standardizationOf(images, shape) }),
  });
}

/** The plan that the flags ask for.
 *
 * @throws {UsageError} If the warm-up is as long as the run.
 */
export function planOf(flags: FilledFlags): TrainPlan {
  return asUsage(() => completePlan({ ...flags, learningRate: flags.lr }));
}
