/** What `eval` evaluates: which images of a dataset, labelled by the model's classes. */

import { basename, resolve } from "node:path";
import type { Dataset, LabeledImages } from "../data/dataset.ts";
import { DatasetError } from "../data/errors.ts";
import { DEFAULT_TEST_SPLIT } from "../data/image_folder.ts";
import { loadDataset } from "../data/load.ts";
import { joinImages } from "../data/split.ts";
import { countOf, quote, quoteWhole } from "../quote.ts";
import {
  type PICTURE_FLAGS,
  picturesFor,
  requirePictures,
  sayNotes,
  showPictures,
} from "./picture_flags.ts";
import type { FlagValues } from "./flag_types.ts";
import { findRecorded } from "./recorded_path.ts";
import type { LoadedModel } from "./loaded_model.ts";

/** Which images of a dataset are evaluated, as JSON has it. */
export type EvaluatedPart =
  | "test set"
  /** What training kept back. */
  | "test share"
  /** As large a part of others, or of what has changed since. */
  | "share"
  | "all";

export interface Evaluated {
  readonly dataset: Dataset;
  /** The images, with labels of the model's classes. */
  readonly test: LabeledImages;
  /** Names of the model's classes; the dataset's where nobody knows them. */
  readonly classNames: readonly string[];
  readonly part: EvaluatedPart;
  /** What was assumed, a sentence each. */
  readonly notes: readonly string[];
}

type EvalFlags =
  & Partial<Omit<FlagValues<typeof PICTURE_FLAGS>, "imageSize" | "channels">>
  & { readonly dataset?: string; readonly json: boolean };

/** Loads what is to be evaluated: the test set, or of pictures that have none what fits the case.
 *
 * Of the pictures that the model was trained on, only the share that training kept back says
 * anything; of others, all do.
 *
 * @throws {TypeError} If the classes are not the model's, or the run's own data are not what they were.
 */
export async function loadForEvaluation(
  loaded: LoadedModel,
  flags: EvalFlags,
): Promise<Evaluated> {
  const { run, config } = loaded;
  const isOwn = flags.dataset === undefined;
  const place = isOwn && run !== undefined && config !== undefined
    ? await findRecorded(config, run)
    : { name: flags.dataset ?? loaded.datasetName };
  const split = flags.testSplit ?? config?.dataset.pictures?.testSplit;
  const dataset = await load(place, { loaded, flags, testSplit: split }).catch((error) => {
    // One picture a class is enough to evaluate, though not to split.
    if (!(error instanceof DatasetError) || flags.testSplit !== undefined) throw error;
    return load(place, { loaded, flags, testSplit: 1 });
  });
  requirePictures(dataset, flags);
  requireColors(dataset, loaded);
  sayNotes(dataset);
  const { pictures } = dataset;
  if (!pictures && isOwn && run !== undefined) requireOwnDataset(dataset, loaded);
  const found = matchClasses(dataset, loaded);
  const matched = { ...found, notes: [...found.notes, ...polarityNotes(dataset, loaded, flags)] };
  if (pictures?.testSplit === undefined) return { dataset, ...matched, part: "test set" };
  if (flags.testSplit === 1) return { dataset, ...matched, part: "all" };
  const name = quoteWhole(dataset.name);
  const isTrainedOn = config?.dataset.digest === dataset.digest; // which depends on the split as well
  const isSame = isTrainedOn || isOwn || await isFolderOf(loaded, dataset);
  if (isTrainedOn || config === undefined && flags.testSplit !== undefined) {
    return { dataset, ...matched, part: "test share" };
  }
  if (dataset.train.count > 0 && (isSame || flags.testSplit !== undefined)) {
    const which = flags.testSplit === undefined ? "" : ", or not by this --test-split";
    const note = `dataset ${name} is not what it was trained on${which}: the test share may hold ` +
      `pictures that it knows; if they are all others, take all with --test-split 1`;
    return {
      dataset,
      ...matched,
      notes: [...matched.notes, ...(isSame ? [note] : [])],
      part: "share",
    };
  }
  const note = `it does not say what it was trained on: if it was on pictures of ${name}, take ` +
    `those that training kept back with --test-split ${DEFAULT_TEST_SPLIT}`;
  const { train, test, validation = [] } = dataset;
  const whole = joinImages([train, test].concat(validation));
  const all = matchClasses({ ...dataset, test: whole }, loaded);
  const notes = [...matched.notes, ...(config === undefined ? [note] : [])];
  return { dataset, ...all, notes, part: "all" };
}

/** What of pictures is not as in those that the model knows; predicting sees to it for each by itself. */
function polarityNotes(
  { pictures }: Dataset,
  { pictures: known, model }: LoadedModel,
  { invert }: EvalFlags,
): string[] {
  if (pictures === undefined || known === undefined || model.inputShape[0] !== 1) return [];
  const advice = invert ? ": try it without --invert" : known.invert ? "" : ": try --invert";
  return [
    ...(known.darkOnLight === pictures.darkOnLight
      ? []
      : [`it knows pictures of the other polarity${advice}`]),
    ...(known.objectShare
      ? ["it knows things cut out on black, and these pictures are taken whole"]
      : []),
  ];
}

/** Pictures of one channel say little of a model of colours, unless it was trained on such, too.
 *
 * @throws {TypeError} If images have other channels than the model takes.
 */
function requireColors(
  { name, pictures, train: { shape: [channels] } }: Dataset,
  { label, model: { inputShape: [expected] }, pictures: known }: LoadedModel,
): void {
  const isShort = channels === expected && pictures?.hasGrey && !known?.hasGrey;
  if (channels === expected && !isShort) return;
  const found = isShort ? "some of its pictures have 1" : `its images have ${channels}`;
  throw new TypeError(
    `Cannot evaluate ${label} on dataset ${quoteWhole(name)}: the model takes ` +
      `${countOf(expected, "channel")}, ${found}; give it others with --dataset`,
  );
}

async function load(
  { name, dataDir }: { readonly name: string; readonly dataDir?: string },
  { loaded: { model, pictures, transposed }, flags, testSplit }: {
    readonly loaded: LoadedModel;
    readonly flags: EvalFlags;
    readonly testSplit?: number;
  },
): Promise<Dataset> {
  const { stop, ...hooks } = showPictures(flags.json);
  const invert = flags.invert || pictures?.invert;
  try {
    const recorded = picturesFor(model, { ...pictures, testSplit, invert });
    const skipUnreadable = flags.skipUnreadable || recorded.skipUnreadable;
    const transpose = flags.transpose || transposed;
    const options = { ...recorded, skipUnreadable };
    return await loadDataset(name, { dataDir, pictures: options, transpose, ...hooks });
  } finally {
    stop();
  }
}

/** Whether a dataset is the folder that a run was trained on; of one elsewhere, its last name tells. */
async function isFolderOf(
  { config, label, run = resolve(label, "..") }: LoadedModel,
  { name }: Dataset,
): Promise<boolean> {
  if (config === undefined) return false;
  const recorded = await findRecorded(config, run).catch(() => undefined);
  return recorded
    ? resolve(recorded.name) === resolve(name)
    : basename(config.dataset.name) === basename(resolve(name));
}

/** What a run's own name leads to must be what it was trained on, not another set of this name.
 *
 * @throws {TypeError} If it is not.
 */
function requireOwnDataset({ name, digest: found }: Dataset, { label, digest }: LoadedModel): void {
  if (digest === undefined || digest === found) return;
  throw new TypeError(
    `Cannot evaluate ${label} on dataset ${quoteWhole(name)}: its content is not what the run ` +
      `was trained on (SHA-256 ${digest.slice(0, 16)}, found ${
        found.slice(0, 16)
      }); give that with ` +
      `--dataset DIR, or use this one with --dataset ${name}`,
  );
}

/** Whether anybody has named the classes: without names they are called by their numbers. */
function isNamed({ classNames }: Pick<Dataset, "classNames">): boolean {
  return classNames.some((className, label) => className !== String(label));
}

/** The test set with labels of the model's classes, and what is assumed of them.
 *
 * Named classes of pictures are found by name, so that a folder may lack some of them.
 *
 * @throws {TypeError} If the classes are not the model's.
 */
function matchClasses(
  dataset: Dataset,
  { label, classNames, model, config }: LoadedModel,
): Pick<Evaluated, "test" | "classNames" | "notes"> {
  const { test, classNames: found } = dataset;
  const name = quoteWhole(dataset.name);
  const invalid = (reason: string) =>
    new TypeError(`Cannot evaluate ${label} on dataset ${name}: ${reason}`);
  const isByName = config?.dataset.pictures !== undefined || isNamed({ classNames }) ||
    found.every((one) => classNames.includes(one));
  if (dataset.pictures && isByName) {
    const indices = found.map((className) => classNames.indexOf(className));
    const unknown = indices.indexOf(-1);
    if (unknown >= 0) {
      const some = classNames.slice(0, 10).map((className) => quote(className)).join(", ");
      throw invalid(
        `it has the class ${quote(found[unknown])}, which the model does not know: expected ` +
          `some of ${some}${classNames.length > 10 ? ", ..." : ""}`,
      );
    }
    const missing = classNames.filter((className) => !found.includes(className)).map(quote);
    const notes = missing.length === 0 ? [] : [`${name} has no pictures of ${missing.join(", ")}`];
    return { test: { ...test, labels: test.labels.map((k) => indices[k]) }, classNames, notes };
  }
  if (found.length !== model.classCount) {
    throw invalid(
      `the model has ${model.classCount} classes, the dataset ${found.length}; give one of its ` +
        `classes with --dataset`,
    );
  }
  const wrong = classNames.findIndex((className, k) => className !== found[k]);
  if (wrong < 0) return { test, classNames, notes: [] };
  if (!isNamed({ classNames })) {
    const note = `its classes are taken to be those of ${name}, in order`;
    return { test, classNames: found, notes: [note] };
  }
  const differing = `number ${wrong} is ${quote(classNames[wrong])}, in ${name} ` +
    quote(found[wrong]);
  if (found.every((one) => classNames.includes(one))) {
    throw invalid(
      `its classes are in another order, ${differing}; put the labels of one of them in order`,
    );
  }
  const note = `its names of classes are shown: ${differing}`;
  return { test, classNames, notes: [note] };
}
