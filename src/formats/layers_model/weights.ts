/** The weights of a TensorFlow.js model: a manifest that says which bytes of which files are what. */

import { volume } from "../../nn/layers/layer.ts";
import { showShape } from "../../nn/sequential.ts";
import { quote } from "../../quote.ts";
import { bytesOf, isNameBeside, numbersIn, type NumberTypeName } from "../tensors.ts";
import type { Tensor } from "../safetensors/file.ts";
import type { NetworkBuilder } from "../network_builder.ts";
import type { LayerJson } from "./topology.ts";

/** Reads one of the files that a manifest names, by its name beside `model.json`. */
export type ReadWeights = (name: string) => Promise<Uint8Array>;

const FLOAT_BYTES = 4;
const MAX_BYTES = 2 ** 30;

/** The types of numbers that are read; all but the first and int32 are quantised. */
const TYPES: readonly NumberTypeName[] = ["float32", "float16", "int32", "uint16", "uint8"];

/** Reads all weights by their name; quantised ones become numbers again, of which a note tells.
 *
 * @throws {TypeError} If the manifest is malformed, a file of weights is missing, or a weight's type
 * is not known; the message is the reason alone.
 */
export async function readManifest(
  manifest: unknown,
  read: ReadWeights,
  network: NetworkBuilder,
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
    // What they take in memory: a quantised weight takes less in the file.
    budget -= entries.reduce((sum, { count }) => sum + count * FLOAT_BYTES, 0);
    if (budget < 0) throw new TypeError(`its weights are larger than ${MAX_BYTES} bytes`);
    const size = entries.reduce((sum, { count, type }) => sum + count * bytesOf(type), 0);
    const content = await readParts(paths, size, read);
    let offset = 0;
    for (const { name, shape, count, type, stored, scale, min } of entries) {
      if (tensors.has(name)) throw new TypeError(`weight ${quote(name)} is given twice`);
      const numberAt = numbersIn(content.subarray(offset), type);
      const data = Float32Array.from({ length: count }, (_, n) => numberAt(n) * scale + min);
      tensors.set(name, { shape, data });
      offset += count * bytesOf(type);
      if (stored) network.note(`its weights are stored as ${stored}, which is less exact`);
    }
  }
  return tensors;
}

function readEntry(entry: unknown) {
  const { name, shape, dtype, quantization } = Object(entry);
  if (typeof name !== "string") throw new TypeError("a weight of weightsManifest has no name");
  const { dtype: stored, scale = 1, min = 0 } = Object(quantization);
  const found = quantization == null ? dtype : stored;
  const isKnown = (dtype === "float32" || dtype === "int32") && TYPES.includes(found);
  if (!isKnown || ![scale, min].every(Number.isFinite)) {
    const shown = quantization == null ? quote(dtype) : `quantised ${quote(quantization)}`;
    throw new TypeError(
      `weight ${quote(name)} must be float32, or quantised as float16, uint16 or uint8 with ` +
        `scale and min, found ${shown}`,
    );
  }
  const isShape = Array.isArray(shape) && shape.length <= 8 &&
    shape.every((size) => Number.isSafeInteger(size) && size >= 0);
  const count = isShape ? volume(shape) : NaN;
  if (!isShape || count > MAX_BYTES / FLOAT_BYTES) {
    throw new TypeError(`weight ${quote(name)} has no valid shape: ${quote(shape)}`);
  }
  const type = found as NumberTypeName;
  return { name, shape: shape as number[], count, type, stored, scale, min };
}

/** Reads the files of a group, one behind the other. */
async function readParts(
  paths: readonly unknown[],
  size: number,
  read: ReadWeights,
): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let found = 0;
  for (const path of paths) {
    // The name comes from the file: it must not lead out of the folder.
    if (!isNameBeside(path)) throw new TypeError(`${quote(path)} is no name of a file beside it`);
    const part = await read(path).catch((cause: Error) => {
      if (cause.name !== "NotFound") throw cause;
      throw new TypeError(
        `its file of weights ${quote(path)} is missing; put it beside model.json`,
        { cause },
      );
    });
    parts.push(new Uint8Array(part));
    found += part.length;
    if (found > size) break;
  }
  if (found !== size) {
    throw new TypeError(`its weights need ${size} bytes, found ${found} in ${quote(paths)}`);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/** The weights of all layers; each is taken once. */
export class ModelWeights {
  readonly #tensors: Map<string, Tensor>;

  /** Takes weights by their names. */
  constructor(tensors: ReadonlyMap<string, Tensor>) {
    this.#tensors = new Map(tensors);
  }

  /** Takes the weights of one layer: by name, of so many dimensions; without them, if it is there. */
  of({ name, path, stored }: Pick<LayerJson, "name" | "path" | "stored">): TakeWeight {
    let taken = 0;
    const take = (part: string, rank?: number) => {
      const numbered = `${stored}/vars/${taken}`;
      const found = this.#tensors.has(numbered) ? [numbered] : this.#find([...path, name, part]);
      if (found.length === 0 && rank === undefined) return undefined;
      const tensor = this.#tensors.get(found[0]);
      if (found.length !== 1 || tensor!.shape.length !== (rank ?? tensor!.shape.length)) {
        throw new TypeError(
          `expected one weight ${quote(`${name}/${part}`)} of ${rank} dimensions, found ` +
            (found.length === 1 ? showShape(tensor!.shape) : String(found.length)),
        );
      }
      this.#tensors.delete(found[0]);
      taken++;
      return tensor;
    };
    return take as TakeWeight;
  }

  /** Leaves out those of a layer, such as the state of its random numbers. */
  skip(name: string): void {
    for (const key of this.#tensors.keys()) {
      if (`/${key}`.includes(`/${name}/`)) this.#tensors.delete(key);
    }
  }

  /** Demands that every weight has been taken. */
  finish(): void {
    const [left] = this.#tensors.keys();
    if (left !== undefined) throw new TypeError(`weight ${quote(left)} belongs to no layer`);
  }

  /** By the longest ending that only one weight has: nested models may name layers alike. */
  #find(names: readonly string[]): string[] {
    const keys = [...this.#tensors.keys()];
    let found: string[] = [];
    for (let start = 0; start < names.length - 1 && found.length !== 1; start++) {
      const ending = `/${names.slice(start).join("/")}`;
      found = keys.filter((key) => `/${key}`.endsWith(ending));
    }
    // Keras 2 leaves a Normalization's name out.
    const part = names.at(-1)!;
    return found.length === 0 && this.#tensors.has(part) ? [part] : found;
  }
}

/** Takes a weight of a layer; see {@linkcode ModelWeights.of}. */
export interface TakeWeight {
  (part: string, rank: number): Tensor;
  (part: string): Tensor | undefined;
}
