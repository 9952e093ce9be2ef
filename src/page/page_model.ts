/** A trained model as text inside a page: what the writer puts there and the page's script reads. */

import { knownOf, type PicturePolarity, type TrainedModel } from "../formats/trained_model.ts";
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
}

const FLOAT_BYTES = 4;

/** Writes a model as JSON without a `<`, so that no name in it can end the element it stands in. */
export function encodePageModel({ parameters, model, classNames, pictures }: NamedModel): string {
  const bytes = new Uint8Array(FLOAT_BYTES * parameters.length);
  const view = new DataView(bytes.buffer);
  parameters.forEach((value, index) => view.setFloat32(FLOAT_BYTES * index, value, true));
  const known = { classNames, ...knownOf(model, { pictures }) };
  const page: PageModel = { ...specOf(model), ...known, parameters: bytes.toBase64() };
  return JSON.stringify(page).replaceAll("<", "\\u003c");
}

/** Reads what {@linkcode encodePageModel} wrote. */
export function decodePageModel(text: string): NamedModel {
  const { classNames, pictures, parameters, ...spec } = JSON.parse(text) as PageModel;
  const view = new DataView(Uint8Array.fromBase64(parameters).buffer);
  const values = Float32Array.from(
    { length: view.byteLength / FLOAT_BYTES },
    (_, index) => view.getFloat32(FLOAT_BYTES * index, true),
  );
  return { model: modelOf(spec), parameters: values, classNames, ...(pictures && { pictures }) };
}
