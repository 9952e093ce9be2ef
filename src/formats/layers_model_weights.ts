/** The weights of a TensorFlow.js model: a manifest that says which bytes of which files are what. */

import { quote } from "../quote.ts";
import type { Tensor } from "./safetensors.ts";

/** Reads one of the files that a manifest names, by its name beside `model.json`. */
export type ReadWeights = (name: string) => Promise<Uint8Array>;

const FLOAT_BYTES = 4;
const MAX_BYTES = 2 ** 30;

/** Reads all weights by their name.
 *
 * @throws {TypeError} If the manifest is malformed, or a weight is not float32; the message is the
 * reason alone.
 */
export async function readManifest(
  manifest: unknown,
  read: ReadWeights,
): Promise<Map<string, Tensor>> {
  if (!Array.isArray(manifest)) throw new TypeError("it has no list weightsManifest");
  const tensors = new Map<string, Tensor>();
  let budget = MAX_BYTES;
  for (const group of manifest) {
    const { paths, weights } = Object(group);
    if (!Array.isArray(paths) || !Array.isArray(weights)) {
      throw new TypeError("each group of weightsManifest must have paths and weights");
    }
    const entries = weights.map(readEntry);
    const size = entries.reduce((sum, { bytes }) => sum + bytes, 0);
    budget -= size;
    if (budget < 0) throw new TypeError(`its weights are larger than ${MAX_BYTES} bytes`);
    const content = await readParts(paths, size, read);
    const view = new DataView(content.buffer);
    let offset = 0;
    for (const { name, shape, bytes } of entries) {
      if (tensors.has(name)) throw new TypeError(`weight ${quote(name)} is given twice`);
      const start = offset;
      const data = Float32Array.from(
        { length: bytes / FLOAT_BYTES },
        (_, n) => view.getFloat32(start + n * FLOAT_BYTES, true),
      );
      tensors.set(name, { shape, data });
      offset += bytes;
    }
  }
  return tensors;
}

function readEntry(entry: unknown) {
  const { name, shape, dtype, quantization } = Object(entry);
  if (typeof name !== "string") throw new TypeError("a weight of weightsManifest has no name");
  if (dtype !== "float32" || quantization !== undefined) {
    const found = quantization === undefined ? quote(dtype) : "a quantised one";
    throw new TypeError(`weight ${quote(name)} must be float32, found ${found}`);
  }
  const isShape = Array.isArray(shape) && shape.length <= 8 &&
    shape.every((size) => Number.isSafeInteger(size) && size >= 0);
  const bytes = isShape ? shape.reduce((product, size) => product * size, FLOAT_BYTES) : NaN;
  if (!isShape || bytes > MAX_BYTES) {
    throw new TypeError(`weight ${quote(name)} has no valid shape: ${quote(shape)}`);
  }
  return { name, shape: shape as number[], bytes };
}

/** Reads the files of a group, one behind the other. */
async function readParts(
  paths: readonly unknown[],
  size: number,
  read: ReadWeights,
): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = [];
  let found = 0;
  for (const path of paths) {
    // The name comes from the file: it must not lead out of the folder.
    if (typeof path !== "string" || !/^[^/\\:]+$/.test(path) || /^\.+$/.test(path)) {
      throw new TypeError(`${quote(path)} is no name of a file beside it`);
    }
    const part = await read(path);
    parts.push(part);
    found += part.length;
    if (found > size) break;
  }
  if (found !== size) throw new TypeError(`its weights need ${size} bytes, found ${found}`);
  const content = new Uint8Array(size);
  let offset = 0;
  for (const part of parts) {
    content.set(part, offset);
    offset += part.length;
  }
  return content;
}
