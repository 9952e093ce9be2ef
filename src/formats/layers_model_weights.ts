/** The weights of a TensorFlow.js model: a manifest that says which bytes of which files are what. */

import { quote } from "../quote.ts";
import type { Tensor } from "./safetensors.ts";

/** Reads one of the files that a manifest names, by its name beside `model.json`. */
export type ReadWeights = (name: string) => Promise<Uint8Array>;

const FLOAT_BYTES = 4;
const MAX_BYTES = 2 ** 30;

/** How a type's numbers are read, each with its size in bytes. */
const TYPES: Readonly<
  Record<string, { bytes: number; read: (view: DataView, at: number) => number }>
> = {
  float32: { bytes: 4, read: (view, at) => view.getFloat32(at, true) },
  float16: { bytes: 2, read: (view, at) => view.getFloat16(at, true) },
  int32: { bytes: 4, read: (view, at) => view.getInt32(at, true) },
  uint16: { bytes: 2, read: (view, at) => view.getUint16(at, true) },
  uint8: { bytes: 1, read: (view, at) => view.getUint8(at) },
};

/** Weights by their name, and what is to be said of them. */
export interface ManifestWeights {
  readonly tensors: Map<string, Tensor>;
  readonly notes: readonly string[];
}

/** Reads all weights by their name; quantised ones become numbers again.
 *
 * @throws {TypeError} If the manifest is malformed, a file of weights is missing, or a weight's type
 * is not known; the message is the reason alone.
 */
export async function readManifest(manifest: unknown, read: ReadWeights): Promise<ManifestWeights> {
  if (!Array.isArray(manifest)) throw new TypeError("it has no list weightsManifest");
  const tensors = new Map<string, Tensor>();
  const notes = new Set<string>();
  let budget = MAX_BYTES;
  for (const group of manifest) {
    const { paths, weights } = Object(group);
    if (!Array.isArray(paths) || !Array.isArray(weights)) {
      throw new TypeError("each group of weightsManifest must have paths and weights");
    }
    const entries = weights.map(readEntry);
    // What they take in memory: a quantised weight takes less in the file.
    budget -= entries.reduce((sum, { count }) => sum + count * FLOAT_BYTES, 0);
    if (budget < 0) throw new TypeError(`its weights are larger than ${MAX_BYTES} bytes`);
    const size = entries.reduce((sum, { count, type }) => sum + count * type.bytes, 0);
    const view = new DataView((await readParts(paths, size, read)).buffer);
    let offset = 0;
    for (const { name, shape, count, type, stored, scale, min } of entries) {
      if (tensors.has(name)) throw new TypeError(`weight ${quote(name)} is given twice`);
      const start = offset;
      const numberAt = (n: number) => type.read(view, start + n * type.bytes) * scale + min;
      tensors.set(name, {
        shape,
        data: Float32Array.from({ length: count }, (_, n) => numberAt(n)),
      });
      offset += count * type.bytes;
      if (stored !== undefined) {
        notes.add(`its weights are stored as ${stored}, which is less exact`);
      }
    }
  }
  return { tensors, notes: [...notes] };
}

function readEntry(entry: unknown) {
  const { name, shape, dtype, quantization } = Object(entry);
  if (typeof name !== "string") throw new TypeError("a weight of weightsManifest has no name");
  const { dtype: stored, scale = 1, min = 0 } = Object(quantization);
  const found = quantization == null ? dtype : stored;
  const isKnown = (dtype === "float32" || dtype === "int32") && Object.hasOwn(TYPES, found);
  if (!isKnown || ![scale, min].every(Number.isFinite)) {
    const shown = quantization == null ? quote(dtype) : `quantised ${quote(quantization)}`;
    throw new TypeError(
      `weight ${quote(name)} must be float32, or quantised as float16, uint16 or uint8 with ` +
        `scale and min, found ${shown}`,
    );
  }
  const isShape = Array.isArray(shape) && shape.length <= 8 &&
    shape.every((size) => Number.isSafeInteger(size) && size >= 0);
  const count = isShape ? shape.reduce((product, size) => product * size, 1) : NaN;
  if (!isShape || count > MAX_BYTES / FLOAT_BYTES) {
    throw new TypeError(`weight ${quote(name)} has no valid shape: ${quote(shape)}`);
  }
  return { name, shape: shape as number[], count, type: TYPES[found], stored, scale, min };
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
    const part = await read(path).catch((cause: Error) => {
      if (cause.name !== "NotFound") throw cause;
      throw new TypeError(
        `its file of weights ${quote(path)} is missing; put it beside model.json`,
        { cause },
      );
    });
    parts.push(part);
    found += part.length;
    if (found > size) break;
  }
  if (found !== size) {
    throw new TypeError(`its weights need ${size} bytes, found ${found} in ${quote(paths)}`);
  }
  const content = new Uint8Array(size);
  let offset = 0;
  for (const part of parts) {
    content.set(part, offset);
    offset += part.length;
  }
  return content;
}
