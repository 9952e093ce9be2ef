/** A trained model as text inside a page: what the writer puts there and the page's script reads. */

import type { PicturePolarity } from "../data/dataset.ts";
import { littleEndian } from "../formats/tensors.ts";
import { knownOf, type TrainedModel } from "../formats/trained_model.ts";
import { fromBase64, toBase64 } from "../platform.ts";
import { modelOf, type ModelSpec, specOf } from "../nn/model_spec.ts";

/** A model that knows what its classes are called. */
export interface NamedModel extends TrainedModel {
  /** One name per class, in label order. */
  readonly classNames: readonly string[];
}

interface PageModel extends ModelSpec {
  readonly classNames: readonly string[];
  readonly pictures?: PicturePolarity;
  /** Little-endian float32, as base64. */
  readonly parameters: string;
  readonly statistics?: string;
}

/** Writes a model as JSON without a `<`, so that no name in it can end the element it stands in. */
export function encodePageModel(
  { parameters, statistics, model, classNames, pictures }: NamedModel,
): string {
  const page: PageModel = {
    ...specOf(model),
    ...{ classNames, ...knownOf(model, { pictures }) },
    parameters: encode(parameters),
    ...(statistics && { statistics: encode(statistics) }),
  };
  return JSON.stringify(page).replaceAll("<", "\\u003c");
}

/** Reads what {@linkcode encodePageModel} wrote. */
export function decodePageModel(text: string): NamedModel {
  const { classNames, pictures, parameters, statistics, ...spec } = JSON.parse(text) as PageModel;
  return {
    model: modelOf(spec),
    parameters: decode(parameters),
    ...(statistics !== undefined && { statistics: decode(statistics) }),
    ...{ classNames, ...(pictures && { pictures }) },
  };
}

function encode(values: Float32Array): string {
  return toBase64(littleEndian(values));
}

function decode(text: string): Float32Array {
  const view = new DataView(fromBase64(text).buffer);
  return Float32Array.from({ length: view.byteLength / 4 }, (_, n) => view.getFloat32(4 * n, true));
}
