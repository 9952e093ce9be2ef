/** A trained model as files carry it, and the description of it that travels in their metadata. */

import { type Layer, type Model, showShape } from "../nn/sequential.ts";
import { modelOf, specOf } from "../nn/model_spec.ts";
import { isNormalized, type Standardization } from "../nn/standardization.ts";
import { parseJson } from "../parse_json.ts";
import { isPrintable } from "../printable.ts";

/** Which of light and dark the thing in a picture was, where a model was trained on pictures. */
export interface PicturePolarity {
  /** Whether light and dark of the pictures were swapped. */
  readonly invert: boolean;
  /** Whether most of them were dark on light all the same: such pictures are what the model knows. */
  readonly darkOnLight: boolean;
}

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
  /** What reading it assumed, left out or changed, a sentence each, for whoever uses it to be told. */
  readonly notes?: readonly string[];
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
  const { classNames, pictures, ...spec } = Object(parseFields(description));
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

/** The polarity alone of what is known of pictures. */
function polarityOf(pictures: unknown): PicturePolarity | undefined {
  const { invert, darkOnLight } = Object(pictures);
  const isKnown = typeof invert === "boolean" && typeof darkOnLight === "boolean";
  return isKnown ? { invert, darkOnLight } : undefined;
}

function parseFields(description: string): unknown {
  try {
    return parseJson(description);
  } catch (error) {
    throw new SyntaxError(`its description is ${(error as SyntaxError).message}`);
  }
}

/** Whether a value from a file is a list of one name per class, fit to be shown on a terminal. */
export function areNamesOf({ classCount }: Model, names: unknown): names is readonly string[] {
  return Array.isArray(names) && names.length === classCount &&
    names.every(isPrintable);
}

/** Gives a model read from a file's layers the names that the file's description has for them.
 *
 * What is computed comes from the layers alone: a description of other layers, or a damaged one, only
 * lends its class names, if their number fits, and how pictures are taken.
 */
export function withDescription(
  { model, parameters }: TrainedModel,
  description: string | undefined,
): TrainedModel {
  const described = description === undefined ? undefined : tryDescription(description);
  const isOwn = described !== undefined && haveSameLayers(described.model, model) &&
    areClose(described.model.standardization, model.standardization);
  return {
    model: isOwn ? described.model : takingPixels(model),
    parameters,
    ...knownOf(model, described),
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

/** Gives a model read from a file's layers the names of a model whose layers it must have.
 *
 * What becomes of pixels stays as the file says.
 *
 * @throws {TypeError} If it has other layers; says which is the first.
 */
export function asModel(trained: TrainedModel, model: Model, label: string): TrainedModel {
  const { standardization } = trained.model;
  if (haveSameLayers(trained.model, model)) {
    return { ...trained, model: { ...model, standardization } };
  }
  const [expected, found] = [model, trained.model].map(({ layers }) => layers.map(showLayer));
  const differs = expected.findIndex((layer, index) => layer !== found[index]);
  const place = differs < 0 ? expected.length : differs;
  throw new TypeError(
    `Cannot load ${label} into model "${model.name}": expected ` +
      `${expected[place] ?? "no more layers"} as layer ${place}, ` +
      `found ${found[place] ?? "none"}; choose the --model it was trained as`,
  );
}

/** A foreign model as this project's take pixels, in [0, 1].
 *
 * A first step that makes its input smaller, such as Keras's Rescaling by 1/255, was made for bytes:
 * pixels in [0, 1] have a deviation of 0.5 at most, and would be made larger.
 */
function takingPixels(model: Model): Model {
  const { mean, std } = model.standardization;
  return std > 1 ? { ...model, standardization: { mean: mean / 255, std: std / 255 } } : model;
}

/** Whether two are the same but for the rounding of a file's float32 numbers. */
function areClose(one: Standardization, other: Standardization): boolean {
  if (isNormalized(one) || isNormalized(other)) return isNormalized(one) && isNormalized(other);
  const tolerance = 1e-6 * (Math.abs(one.mean) + one.std);
  return Math.abs(one.mean - other.mean) <= tolerance && Math.abs(one.std - other.std) <= tolerance;
}

function haveSameLayers({ layers }: Model, { layers: others }: Model): boolean {
  return layers.length === others.length &&
    layers.every((layer, index) =>
      showLayer(layer) === showLayer(others[index]) &&
      `${layer.inputs}` === `${others[index].inputs}`
    );
}

/** All that decides what a layer computes, apart from its parameters. */
function showLayer(layer: Layer): string {
  const { type, inputShape, outputShape } = layer;
  const sizes = type === "conv2d"
    ? ` ${layer.kernelSize.join("x")}, stride ${layer.stride}, padding ${layer.padding}`
    : type === "avgPool2d" || type === "maxPool2d"
    ? ` ${layer.poolSize.join("x")}, stride ${layer.stride}`
    : "";
  return `${type}${sizes}, ${showShape(inputShape)} to ${showShape(outputShape)}`;
}
