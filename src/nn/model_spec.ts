/** Models as plain data: what files hold of a model beside its parameters. */

import type { LayerSpec } from "./layers.ts";
import { type ImageShape, type Model, sequential } from "./sequential.ts";
import { NORMALIZED, type Standardization } from "./standardization.ts";

/** Enough to make a model again; survives JSON. */
export interface ModelSpec {
  /** Name of the model. */
  readonly name: string;
  /** Shape of one image. */
  readonly inputShape: ImageShape;
  /** What pixels become before the first layer; left out: pixel / 255. */
  readonly standardization?: Standardization;
  /** In the order of computation. */
  readonly layers: readonly LayerSpec[];
}

/** Describes a model. */
export function specOf(model: Model): ModelSpec {
  const { name, inputShape, standardization, specs } = model;
  return { name, inputShape, standardization, layers: specs };
}

/** Makes the model that a description is of.
 *
 * @throws {TypeError} As {@linkcode sequential}: the description may come from a file.
 * @throws {RangeError} Likewise.
 */
export function modelOf(description: ModelSpec): Model {
  const { name, inputShape, standardization = NORMALIZED, layers } = description;
  return sequential(layers, { name, inputShape, standardization });
}
