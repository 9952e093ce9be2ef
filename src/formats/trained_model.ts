/** A trained model as files carry it, and the description of it that travels in their metadata. */

import type { Layer, Model } from "../nn/sequential.ts";
import { modelOf, specOf } from "../nn/model_spec.ts";
import { parseJson } from "../parse_json.ts";

/** A model, its parameters and what its classes are called. */
export interface TrainedModel {
  /** The layers. */
  readonly model: Model;
  /** A flat vector, laid out as {@linkcode Model.parameters} says. */
  readonly parameters: Float32Array;
  /** One name per class, in label order; left out where nobody knows. */
  readonly classNames?: readonly string[];
}

/** What a file's metadata says about the model in it. */
export interface ModelDescription {
  /** The layers it names. */
  readonly model: Model;
  /** One name per class; left out where the file has none that fit. */
  readonly classNames?: readonly string[];
}

/** The key under which every format's metadata holds the description. */
export const DESCRIPTION_KEY = "lenet";

/** Describes a model as JSON: enough to build it again, without its parameters. */
export function describeModel({ model, classNames }: ModelDescription): string {
  return JSON.stringify({ ...specOf(model), classNames });
}

/** Builds the model that a description describes.
 *
 * @throws {Error} If it is not JSON, or describes no model; the message says what is wrong.
 */
export function parseDescription(description: string): ModelDescription {
  const { classNames, ...spec } = Object(parseFields(description));
  const model = modelOf(spec);
  return { model, ...(areNamesOf(model, classNames) && { classNames }) };
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
    names.every((name) => typeof name === "string" && /^\P{C}{0,200}$/u.test(name));
}

/** Gives a model read from a file's layers the names that the file's description has for them.
 *
 * What is computed comes from the layers alone: a description of other layers, or a damaged one, only
 * lends its class names, if their number fits.
 */
export function withDescription(
  { model, parameters }: TrainedModel,
  description: string | undefined,
): TrainedModel {
  if (description === undefined) return { model, parameters };
  let described: ModelDescription;
  try {
    described = parseDescription(description);
  } catch {
    return { model, parameters };
  }
  const { classNames } = described;
  return {
    model: computesTheSame(described.model, model) ? described.model : model,
    parameters,
    ...(areNamesOf(model, classNames) && { classNames }),
  };
}

/** Whether two models do the same to pixels and have the same layers, whatever they are called. */
export function computesTheSame(one: Model, other: Model): boolean {
  const plain = ({ standardization: { mean, std }, layers }: Model) =>
    JSON.stringify([mean, std, layers.map(geometry)]);
  return plain(one) === plain(other);
}

function geometry(layer: Layer): unknown[] {
  const { type, inputShape, outputShape } = layer;
  const sizes = type === "conv2d"
    ? [layer.kernelSize, layer.stride, layer.padding]
    : type === "avgPool2d" || type === "maxPool2d"
    ? [layer.poolSize, layer.stride]
    : [];
  return [type, inputShape, outputShape, ...sizes];
}
