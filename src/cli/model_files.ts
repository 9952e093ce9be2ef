/** Files of trained models, told apart by their content; each format's code loads when it is needed. */

import { dirname, join } from "node:path";
import { decodeSafetensorsModel } from "../formats/safetensors/model.ts";
import { asModel, type TrainedModel } from "../formats/trained_model.ts";
import type { ModelName } from "../nn/zoo.ts";
import { countOf, quote } from "../quote.ts";
import { readBounded, readUnlinked } from "../read_bounded.ts";
import { adviceOnFolder, describeForeign } from "./foreign_files.ts";

/** Reads a trained model: a `.safetensors` or `.onnx` file, or a TensorFlow.js LayersModel, named
 * by its folder or its `model.json`.
 *
 * @param name Which model it is, where it does not say; where it does, it must be that one.
 * @throws {SyntaxError} If the file is damaged.
 * @throws {TypeError} If it is of another model or kind, holds what is not supported, or parameters
 * that are no numbers.
 */
export async function readModelFile(path: string, name?: ModelName): Promise<TrainedModel> {
  const trained = await readAnyModel(path, name);
  requireFinite(trained, path);
  const notes = constantNotes(trained);
  return notes.length === 0 ? trained : { ...trained, notes: [...trained.notes ?? [], ...notes] };
}

/** What to say of channels that were the same for all images a model was trained on, a sentence a layer:
 * of others they make far larger numbers.
 */
function constantNotes({ model, statistics = new Float32Array() }: TrainedModel): string[] {
  return model.statistics.flatMap(({ name, initial, offset, size }) => {
    const values = statistics.subarray(offset, offset + size);
    const count = values.filter((value) => value === 0).length;
    // What begins as 1 is a variance.
    if (initial === 0 || count === 0) return [];
    return [
      `${count} of ${countOf(size, "variance")} in ${quote(name)} ` +
      `${count === 1 ? "is" : "are"} 0, ` +
      `as of what never changes: anything else there is divided by the root of eps alone`,
    ];
  });
}

/** Checks that parameters are numbers: what a model answers without would look like an answer.
 *
 * @param label Names the file or run in errors.
 * @throws {TypeError} If one is NaN or infinite; the message names its tensor.
 */
export function requireFinite(
  { model, parameters, statistics = new Float32Array() }: Omit<TrainedModel, "notes">,
  label: string,
): void {
  const vectors = [[parameters, model.parameters], [statistics, model.statistics]] as const;
  for (const [values, tensors] of vectors) {
    const index = values.findIndex((value) => !Number.isFinite(value));
    if (index < 0) continue;
    const { name } = tensors.findLast(({ offset }) => offset <= index)!;
    throw new TypeError(
      `Cannot use ${label}: expected numbers in ${quote(name)}, found ${values[index]}; ` +
        `its training has diverged, or the file is damaged`,
    );
  }
}

async function readAnyModel(path: string, name: ModelName | undefined): Promise<TrainedModel> {
  const { isDirectory } = await Deno.stat(path);
  const file = isDirectory ? join(path, "model.json") : path;
  const bytes = await readBounded(file).catch(async (error) => {
    if (!isDirectory || !(error instanceof Deno.errors.NotFound)) throw error;
    const advice = await adviceOnFolder(path);
    throw new TypeError(`Cannot find a LayersModel in ${path}: it has no model.json; ${advice}`);
  });
  if (isSafetensors(bytes)) return decodeSafetensorsModel(bytes, path, { model: name });
  const read = await readLayers(bytes, file);
  return name === undefined ? read : asModel(read, name, path);
}

/** Reads a format that holds the layers themselves. */
async function readLayers(bytes: Uint8Array, path: string): Promise<TrainedModel> {
  const foreign = describeForeign(bytes, path);
  if (foreign !== undefined) throw new TypeError(`Cannot read ${path} as a model: ${foreign}`);
  const readBeside = (name: string) => readUnlinked(join(dirname(path), name));
  if (/\.json$/i.test(path)) {
    const { decodeLayersModel } = await import("../formats/layers_model/file.ts");
    return await decodeLayersModel(new TextDecoder().decode(bytes), readBeside, path);
  }
  if (/\.onnx$/i.test(path) || isOnnx(bytes)) {
    const { decodeOnnx } = await import("../formats/onnx/file.ts");
    return await decodeOnnx(bytes, path, readBeside);
  }
  if (/\.safetensors$/i.test(path)) return decodeSafetensorsModel(bytes, path);
  throw new TypeError(
    `Cannot read ${path} as a model: expected .safetensors, .onnx or the folder of a LayersModel, ` +
      `found none of these; choose another file`,
  );
}

/** Whether a file begins with a length and a JSON object, as nothing else does. */
function isSafetensors(bytes: Uint8Array): boolean {
  if (bytes.length < 10 || bytes[8] !== 0x7b) return false;
  const { buffer, byteOffset } = bytes;
  return new DataView(buffer, byteOffset).getBigUint64(0, true) <= BigInt(bytes.length);
}

/** Whether a file begins as ONNX is mostly written: with its version of 3 to 31. */
function isOnnx([tag, version]: Uint8Array): boolean {
  return tag === 0x08 && version >= 3 && version < 32;
}
