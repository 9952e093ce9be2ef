/** A trained model as files carry it, and the description of it that travels in their metadata. */

import type { PicturePolarity } from "../data/dataset.ts";
import type { Field } from "../nn/layers/layer.ts";
import { definitionOf } from "../nn/layers/table.ts";
import { type Layer, type Model, showShape } from "../nn/sequential.ts";
import { modelOf, specOf } from "../nn/model_spec.ts";
import {
  channelsOf,
  isNormalized,
  joinChannels,
  NORMALIZED,
  showPixels,
} from "../nn/standardization.ts";
import { type ModelName, zooModel } from "../nn/zoo.ts";
import { parseJson } from "../parse_json.ts";
import { isPrintable } from "../quote.ts";

/** What a file's metadata says about the model in it. */
export interface ModelDescription {
  /** The layers. */
  readonly model: Model;
  /** One name per class, in label order; left out where nobody knows any that fit. */
  readonly classNames?: readonly string[];
  /** How pictures are to be taken; left out where nobody knows. */
  readonly pictures?: PicturePolarity;
}

/** A model, its parameters and what else is known of it. */
export interface TrainedModel extends ModelDescription {
  /** A flat vector, laid out as {@linkcode Model.parameters} says. */
  readonly parameters: Float32Array;
  /** Likewise, as {@linkcode Model.statistics} says; left out of a model without any. */
  readonly statistics?: Float32Array;
  /** What reading it assumed, left out or changed, a sentence each; every command shows them to its user. */
  readonly notes?: readonly string[];
  /** Whether what becomes of pixels is taken for granted, as its file does not say. */
  readonly assumesPixels?: boolean;
}

/** What to throw where a part of a file cannot be read: the error, with the part's name before it. */
export function inPart(part: string, cause: unknown): unknown {
  if (!(cause instanceof TypeError || cause instanceof RangeError)) return cause;
  return new TypeError(`${part}: ${cause.message}`, { cause });
}

/** The key under which every format's metadata holds the description. */
export const DESCRIPTION_KEY = "lenet";

/** Describes a model as JSON: enough to build it again, without its parameters. */
export function describeModel({ model, classNames, pictures }: ModelDescription): string {
  return JSON.stringify({ ...specOf(model), classNames, pictures: polarityOf(pictures) });
}

/** Builds the model that a description describes.
 *
 * @throws {Error} If it is not JSON, or describes no model; the message says what is wrong.
 */
export function parseDescription(description: string): ModelDescription {
  let fields: unknown;
  try {
    fields = parseJson(description);
  } catch (error) {
    throw new SyntaxError(`its description is ${(error as SyntaxError).message}`);
  }
  const { classNames, pictures, ...spec } = Object(fields);
  const model = modelOf(spec);
  return { model, ...knownOf(model, { classNames, pictures }) };
}

/** Of what a file says of a model beside its layers, what fits; the rest is as if it were not there. */
export function knownOf(
  model: Model,
  { classNames, pictures }: { readonly classNames?: unknown; readonly pictures?: unknown } = {},
): Omit<ModelDescription, "model"> {
  const polarity = polarityOf(pictures);
  return {
    ...(areNamesOf(model, classNames) && { classNames }),
    ...(polarity && { pictures: polarity }),
  };
}

/** Of what is known of pictures, what every file says. */
function polarityOf(pictures: unknown): PicturePolarity | undefined {
  const { invert, darkOnLight, objectShare, hasGrey } = Object(pictures);
  const isKnown = typeof invert === "boolean" && typeof darkOnLight === "boolean";
  const isShare = typeof objectShare === "number" && objectShare >= 0 && objectShare <= 1;
  if (!isKnown) return undefined;
  const known = { ...(isShare && { objectShare }), ...(hasGrey === true && { hasGrey }) };
  return { invert, darkOnLight, ...known };
}

/** Whether a value from a file is a list of one name per class, fit to be shown on a terminal. */
export function areNamesOf({ classCount }: Model, names: unknown): names is readonly string[] {
  return Array.isArray(names) && names.length === classCount &&
    names.every(isPrintable);
}

/** Gives a model read from a file's layers the names that the file's description has for them.
 *
 * What is computed comes from the layers alone: a description of other layers, or a damaged one, only
 * lends its class names, if their number fits, and how pictures are taken. The notes say so, and what
 * the file leaves open.
 */
export function withDescription(
  { model, notes = [], ...values }: TrainedModel,
  description: string | undefined,
): TrainedModel {
  const described = description === undefined ? undefined : tryDescription(description);
  const isOwn = described !== undefined && haveSameLayers(described.model, model) &&
    areClose(described.model, model);
  const known = knownOf(model, described);
  if (isOwn) return { ...values, model: described.model, notes, ...known };
  const taken = takingPixels(model);
  return {
    ...values,
    model: taken.model,
    ...known,
    notes: [
      ...notes,
      ...taken.notes,
      ...(description === undefined ? [] : ["its description is not used: it is of other layers"]),
      ...(known.classNames ? [] : ["it does not name its classes: they are numbered"]),
    ],
    ...(taken.assumesPixels && { assumesPixels: true }),
  };
}

/** The description, or nothing if it describes no model. */
export function tryDescription(description: string): ModelDescription | undefined {
  try {
    return parseDescription(description);
  } catch {
    return undefined;
  }
}

/** Gives a model read from a file the names of a model whose layers it must have.
 *
 * What becomes of pixels stays as the file says.
 *
 * @param expected The model, or a name of the zoo, for the images and classes of the file's.
 * @throws {TypeError} If it has other layers; says which is the first.
 */
export function asModel(
  trained: TrainedModel,
  expected: Model | ModelName,
  label: string,
): TrainedModel {
  const model = typeof expected === "string" ? sizedAs(trained.model, expected) : expected;
  const { standardization } = trained.model;
  if (model !== undefined && haveSameLayers(trained.model, model)) {
    return { ...trained, model: { ...model, standardization } };
  }
  const [wanted, found] = [model, trained.model].map((one) => one?.layers.map(showLayer) ?? []);
  const differs = wanted.findIndex((layer, index) => layer !== found[index]);
  const place = differs < 0 ? wanted.length : differs;
  const reason = model === undefined
    ? `its images of ${showShape(trained.model.inputShape)} are too small for that`
    : `expected ${wanted[place] ?? "no more layers"} as layer ${place}, found ` +
      (found[place] ?? "none");
  throw new TypeError(
    `Cannot load ${label} into model "${model?.name ?? expected}": ${reason}; its layers are in ` +
      `the file, leave --model out`,
  );
}

/** A model of the zoo for another's images and classes; undefined where its windows do not fit. */
export function sizedAs(
  { inputShape, classCount }: Pick<Model, "inputShape" | "classCount">,
  name: ModelName,
): Model | undefined {
  try {
    return zooModel(name, { inputShape, classCount });
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** What float32 makes of a file's 1 / 255. */
const ROUNDING = 2 ** -22;

/** A foreign model as this project's take pixels, and what had to be assumed of its ends.
 *
 * A first step that makes its input smaller, such as Keras's Rescaling by 1/255, or takes more than 1
 * from it, such as x - 128, was made for bytes: pixels in [0, 1] have a mean and a deviation of less.
 */
function takingPixels(model: Model) {
  const channels = channelsOf(model.standardization, model.inputShape[0]);
  const isForBytes = channels.some(({ mean, std }) =>
    std > 1 + ROUNDING || Math.abs(mean) > 1 + ROUNDING
  );
  const most = isForBytes ? 255 : 1;
  const taken = channels.map(({ mean, std }) => ({ mean: mean / most, std: std / most }));
  const isPlain = taken.every(({ mean, std }) =>
    Math.abs(mean) <= ROUNDING && Math.abs(std - 1) <= ROUNDING
  );
  const last = model.layers.at(-1)!;
  const standardization = isPlain ? NORMALIZED : joinChannels(taken);
  return {
    model: { ...model, standardization },
    assumesPixels: isPlain && !isForBytes,
    notes: [
      isForBytes
        ? `its first step is made for bytes: pixels are taken as 0 to 255`
        : isPlain
        ? "it does not say what pixels become: they are taken as pixel / 255"
        : `pixels become ${showPixels(standardization)}, as its first step says`,
      ...(definitionOf(last).isActivation
        ? [
          `its outputs end in a ${last.type} each: the largest wins, percentages are a softmax of them`,
        ]
        : []),
    ],
  };
}

/** Whether two are the same but for the rounding of a file's float32 numbers. */
function areClose(one: Model, other: Model): boolean {
  const [isPlain, isOtherPlain] = [one, other].map((model) => isNormalized(model.standardization));
  if (isPlain || isOtherPlain) return isPlain && isOtherPlain;
  const [channels, others] = [one, other].map(({ standardization, inputShape: [count] }) =>
    channelsOf(standardization, count)
  );
  return channels.every(({ mean, std }, channel) => {
    const differences = [mean - others[channel].mean, std - others[channel].std];
    return differences.every((value) => Math.abs(value) <= 1e-6 * (Math.abs(mean) + std));
  });
}

/** Whether two compute the same of parameters and pixels that are. */
export function haveSameLayers({ layers }: Model, { layers: others }: Model): boolean {
  return layers.length === others.length &&
    layers.every((layer, index) =>
      showLayer(layer) === showLayer(others[index]) &&
      `${layer.inputs}` === `${others[index].inputs}`
    );
}

/** All that decides what a layer computes, apart from its parameters. */
function showLayer(layer: Layer): string {
  const { type: kind, inputShape, outputShape } = layer;
  const values: Readonly<Record<string, unknown>> = { ...layer };
  const fields = Object.entries<Field>(definitionOf(layer).fields).flatMap(([name, { type }]) => {
    const value = values[name];
    if (type === "flag") return value === undefined ? [` ${name} false,`] : []; // else a tensor
    if (value === undefined) return []; // it is in the shapes
    // A file may round.
    const shown = type === "number"
      ? Number(Number(value).toPrecision(4))
      : [value].flat().join("x");
    return [` ${name} ${shown},`];
  });
  return `${kind}${fields.join("") || ","} ${showShape(inputShape)} to ${showShape(outputShape)}`;
}
