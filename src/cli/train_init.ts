/** What `--init` starts from: what its file says stands, and flags that say otherwise are refused. */

import type { TrainingState } from "../backends/backend.ts";
import { checkSmallestBatch } from "../backends/check_data.ts";
import type { Dataset } from "../data/dataset.ts";
import type { PictureOptions } from "../data/picture_choices.ts";
import { findDataset } from "../data/registry.ts";
import { haveSameLayers, sizedAs, type TrainedModel } from "../formats/trained_model.ts";
import { type Learned, replaceHead } from "../nn/head.ts";
import { initialParameters, initialStatistics, type WeightInit } from "../nn/init.ts";
import { freeze, showShape } from "../nn/sequential.ts";
import { isNormalized, showPixels, standardizationOf } from "../nn/standardization.ts";
import { MODEL_NAMES, type ModelName, ZOO } from "../nn/zoo.ts";
import { countOf, printable, quote, quoteWhole } from "../quote.ts";
import type { RunConfig } from "../run/config.ts";
import { deviceOptions } from "./backend_flags.ts";
import { readModelFile } from "./model_files.ts";
import { pictureOptions, picturesFor } from "./picture_flags.ts";
import { lossOf, optimizerOf } from "./recipe_flags.ts";
import { recordedPath } from "./recorded_path.ts";
import { augmentationOf, frozenOf, type TrainFlags } from "./train_flags.ts";
import { type FilledFlags, fillFlags, modelFor, planOf } from "./train_recipe.ts";
import { said } from "./wrap.ts";

/** Whose recipe trains layers that no model of the zoo has. */
const RECIPE: ModelName = "lenet-relu";

/** A file's model as training starts from it. */
export interface InitialModel extends TrainedModel {
  /** Path of the file. */
  readonly label: string;
  /** The model of the zoo with its layers, or the one whose recipe trains it. */
  readonly recipe: ModelName;
  readonly notes: readonly string[];
}

/** Reads the file of `--init`; undefined without one.
 *
 * @throws {TypeError} If the file is of another model, or flags contradict what it says.
 */
export async function readInitialModel(flags: TrainFlags): Promise<InitialModel | undefined> {
  const { init: label } = flags;
  if (label === undefined) return undefined;
  const trained = await readModelFile(label, flags.model);
  const { standardization, inputShape: [channels, height, width] } = trained.model;
  const isPlain = isNormalized(standardization);
  const isFree = trained.assumesPixels === true;
  const pixels = showPixels(standardization);
  const { imageSize, channels: asked = "auto" } = flags;
  const contradicted = flags.normalize && !isPlain
    ? [`--normalize`, `its pixels are ${pixels}`]
    : flags.standardize && isPlain && !isFree
    ? [`--standardize`, `its pixels are ${pixels}`]
    : imageSize !== undefined && (imageSize !== height || imageSize !== width)
    ? [`--image-size ${imageSize}`, `its images are ${height} x ${width}`]
    : asked !== "auto" && Number(asked) !== channels
    ? [`--channels ${asked}`, `its images have ${countOf(channels, "channel")}`]
    : undefined;
  if (contradicted) {
    const [flag, fact] = contradicted;
    throw new TypeError(`Cannot start from ${label} with ${flag}: ${fact}; leave the flag out`);
  }
  const own = MODEL_NAMES.find((name) => {
    const model = sizedAs(trained.model, name);
    return model !== undefined && haveSameLayers(trained.model, model);
  });
  return {
    ...trained,
    label,
    recipe: own ?? RECIPE,
    model: own === undefined ? trained.model : { ...trained.model, name: own },
    notes: said([
      ...(trained.notes ?? []),
      !isPlain && flags.standardize && `pixels become ${pixels}, as it says`,
      own === undefined && `no model here has its layers: ${RECIPE}'s recipe trains it`,
    ]),
  };
}

/** What becomes of pictures, as the flags and the model of `--init` say, where there is one. */
export function picturesOf(flags: TrainFlags, source: InitialModel | undefined): PictureOptions {
  const options = pictureOptions(flags);
  if (source === undefined) return options;
  const invert = flags.invert || (source.pictures?.invert ?? false);
  const { size, channels } = picturesFor(source.model);
  return { ...options, invert, size, channels };
}

/** Fills the flags' gaps by the recipe of the file's model, or one that fits the user's own data. */
function fillFrom(
  { recipe }: InitialModel,
  flags: TrainFlags,
  dataset: Dataset,
): FilledFlags {
  const isOwn = flags.model === undefined && findDataset(dataset.name) === undefined;
  const { chosen, ...filled } = fillFlags(isOwn ? flags : { ...flags, model: recipe }, dataset);
  const fitted = chosen?.filter((name) => name !== "model" && name !== "standardize");
  return { ...filled, model: recipe, ...(fitted && { chosen: fitted }) };
}

/** How parameters are drawn. */
interface Drawing {
  readonly seed: number;
  readonly init: WeightInit;
}

/** What training starts from, and what to say of it. */
interface Beginning extends Learned {
  readonly notes: readonly string[];
  /** Layers of a file's model that are drawn anew. */
  readonly replaced?: readonly string[];
}

/** The file's model as it is to be trained on a dataset: of other classes its head is new.
 *
 * @throws {TypeError} If it cannot take the images, or has no head to replace.
 */
function fitToDataset(
  { model, parameters, statistics, classNames, pictures, label, notes, assumesPixels }:
    InitialModel,
  { name, classNames: found, train: { shape, images }, pictures: facts }: Dataset,
  { flags, seed, init }: Drawing & { readonly flags: TrainFlags },
): Beginning {
  if (String(model.inputShape) !== String(shape)) {
    throw new TypeError(
      `Cannot start from ${label}: its model takes images of ${showShape(model.inputShape)}, ` +
        `those of dataset ${quoteWhole(name)} are ${
          showShape(shape)
        }; choose another file, or leave ` +
        `--init out`,
    );
  }
  const isSame = model.classCount === found.length;
  const before = { model: freeze(model, frozenOf(flags)), parameters, statistics };
  const learned = isSame
    ? { ...before, replaced: undefined }
    : replaceHead(before, found.length, { seed, init });
  const { replaced } = learned;
  const isFree = assumesPixels === true && flags.standardize;
  const standardization = isFree ? standardizationOf(images, shape) : model.standardization;
  const moved = isSame ? classNames?.findIndex((className, k) => className !== found[k]) ?? -1 : -1;
  const isTurned = facts && pictures && facts.darkOnLight !== pictures.darkOnLight;
  const all = said([
    ...notes,
    isFree && "pixels are standardized all the same, as --standardize says",
    facts?.invert && !flags.invert && "pictures are inverted, as it says",
    replaced &&
    `${quoteWhole(replaced.join(", "))} is drawn anew for ${found.length} classes, it had ` +
      `${model.classCount}; all before it is kept`,
    moved >= 0 &&
    `its class ${moved} was ${quote(classNames![moved])} and becomes ${quote(found[moved])}`,
    isTurned &&
    `it knows pictures of the other polarity: try ${flags.invert ? "it without " : ""}--invert`,
  ]);
  const fitted = { ...learned.model, standardization };
  return { ...learned, model: fitted, notes: all.map((note) => `${label}: ${note}`) };
}

/** Works out what a training begins with, and what its session is opened with, from the flags and the
 * file of `--init` where there is one.
 *
 * @throws {TypeError} If the file's model, or that of class weights, does not fit the dataset.
 */
export async function beginningOf(
  given: TrainFlags,
  dataset: Dataset,
  source: InitialModel | undefined,
) {
  const flags = source === undefined ? fillFlags(given, dataset) : fillFrom(source, given, dataset);
  const plan = planOf(flags);
  const { batchSize, seed } = plan;
  const { init } = ZOO[flags.model].recipe;
  const { model, notes, replaced, parameters, statistics } = source
    ? fitToDataset(source, dataset, { flags: given, seed, init })
    : drawn(flags, dataset, { seed, init });
  checkSmallestBatch(model, dataset.train.count, batchSize);
  const state: TrainingState = {
    parameters,
    statistics: statistics ?? initialStatistics(model),
    slots: [],
    step: 0,
  };
  const recorded: RunConfig["init"] = flags.init === undefined ? init : {
    type: "file",
    path: recordedPath(flags.init),
    ...(replaced && { replaced: replaced.map((name) => printable(name)) }),
  };
  const options = {
    ...{ optimizer: optimizerOf(flags), batchSize, seed, augmentation: augmentationOf(flags) },
    ...await lossOf(flags, dataset),
    ...deviceOptions(flags),
  };
  return { flags, plan, options, model, state, notes, init: recorded };
}

/** A model of the zoo as it is drawn. */
function drawn(
  flags: FilledFlags,
  dataset: Dataset,
  { seed, init }: Drawing,
): Beginning {
  const frozen = frozenOf(flags);
  const model = freeze(modelFor(flags, dataset), frozen);
  const notes = said([
    frozen.length > 0 &&
    "what is frozen keeps the numbers that were drawn: give trained ones with --init",
  ]);
  return { model, parameters: initialParameters(model, seed, init), notes };
}
