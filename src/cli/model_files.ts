/** Files of trained models, told apart by their names; each format's code loads when it is needed. */

import { decodeSafetensorsModel } from "../formats/safetensors_model.ts";
import type { TrainedModel } from "../formats/trained_model.ts";
import type { Model } from "../nn/sequential.ts";
import { readBounded } from "../train/checkpoint.ts";

/** Whose parameters a file holds, as far as the caller knows. */
export interface ExpectedModel {
  /** Whose they must be. */
  readonly model?: Model;
  /** Whose they are if the file does not say. */
  readonly fallback?: Model;
}

/** Reads a trained model.
 *
 * @throws {SyntaxError} If the file is damaged.
 * @throws {TypeError} If it is of another model than expected.
 */
export async function readModelFile(path: string, expected: ExpectedModel): Promise<TrainedModel> {
  return decodeSafetensorsModel(await readBounded(path), path, expected);
}
