/** Files of trained models, told apart by their names; each format's code loads when it is needed. */

import { dirname, join } from "node:path";
import { decodeSafetensorsModel } from "../formats/safetensors_model.ts";
import { asModel, type TrainedModel } from "../formats/trained_model.ts";
import type { Model } from "../nn/sequential.ts";
import { quote } from "../quote.ts";
import { readBounded, readUnlinked } from "../read_bounded.ts";

/** Whose parameters a file holds, as far as the caller knows. */
export interface ExpectedModel {
  /** Whose they must be. */
  readonly model?: Model;
  /** Whose they are if the file does not say. */
  readonly fallback?: Model;
}

/** Reads a trained model: a `.safetensors` or `.onnx` file, or a TensorFlow.js LayersModel, named
 * by its folder or its `model.json`.
 *
 * @throws {SyntaxError} If the file is damaged.
 * @throws {TypeError} If it is of another model than expected, or holds what is not supported, or
 * parameters that are no numbers.
 */
export async function readModelFile(path: string, expected: ExpectedModel): Promise<TrainedModel> {
  const trained = await readAnyModel(path, expected);
  requireFinite(trained, path);
  return trained;
}

/** Checks that parameters are numbers: what a model answers without would look like an answer.
 *
 * @param label Names the file or run in errors.
 * @throws {TypeError} If one is NaN or infinite; the message names its tensor.
 */
export function requireFinite(
  { model, parameters }: Pick<TrainedModel, "model" | "parameters">,
  label: string,
): void {
  const index = parameters.findIndex((value) => !Number.isFinite(value));
  if (index < 0) return;
  const { name } = model.parameters.findLast(({ offset }) => offset <= index)!;
  throw new TypeError(
    `Cannot use ${label}: expected numbers in ${quote(name)}, found ${parameters[index]}; ` +
      `its training has diverged, or the file is damaged`,
  );
}

async function readAnyModel(path: string, expected: ExpectedModel): Promise<TrainedModel> {
  const { isDirectory } = await Deno.stat(path);
  const read = isDirectory || path.endsWith(".json")
    ? await readLayersModel(isDirectory ? join(path, "model.json") : path)
    : path.endsWith(".onnx")
    ? await readOnnx(path)
    : undefined;
  if (read === undefined) {
    return decodeSafetensorsModel(await readBounded(path), path, expected);
  }
  return expected.model === undefined ? read : asModel(read, expected.model, path);
}

async function readLayersModel(path: string): Promise<TrainedModel> {
  const { decodeLayersModel } = await import("../formats/layers_model_decode.ts");
  const json = new TextDecoder().decode(await readTopology(path));
  return await decodeLayersModel(json, (name) => readUnlinked(join(dirname(path), name)), path);
}

async function readTopology(path: string): Promise<Uint8Array> {
  try {
    return await readBounded(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new TypeError(`Cannot find a LayersModel in ${dirname(path)}: it has no model.json`);
  }
}

async function readOnnx(path: string): Promise<TrainedModel> {
  const { decodeOnnx } = await import("../formats/onnx/decode.ts");
  const read = (name: string) => readUnlinked(join(dirname(path), name));
  return await decodeOnnx(await readBounded(path), path, read);
}
