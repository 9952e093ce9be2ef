/** The constants of an ONNX graph as numbers, wherever the file keeps them. */

import { quote } from "../../quote.ts";
import { ELEMENT, type GraphProto, type TensorProto } from "./schema.ts";

/** A tensor whose numbers are known: float32, or whole numbers of which NaN is the free batch size. */
export interface Constant {
  readonly shape: readonly number[];
  readonly data: Float32Array | readonly number[];
}

/** Files of weights beside the model's, by name. */
export type ExternalFiles = ReadonlyMap<string, Uint8Array>;

/** Numbers in all tensors: 1 GiB of float32, as in any model of this project. */
const MAX_ELEMENTS = 2 ** 28;

interface ElementType {
  readonly bytes: number;
  readonly isInteger?: boolean;
  /** Its field where the numbers are not raw bytes. */
  readonly typed: (tensor: TensorProto) => readonly (number | bigint)[];
  readonly read: (view: DataView, byteOffset: number) => number;
}

const HALF = { bytes: 2, typed: ({ int32Data }: TensorProto) => int32Data };

/** The types that are read; of 16-bit floats, the typed field holds the bits. */
const TYPES: ReadonlyMap<number, ElementType> = new Map<number, ElementType>([
  [ELEMENT.float32, {
    bytes: 4,
    typed: ({ floatData }) => floatData,
    read: (view, at) => view.getFloat32(at, true),
  }],
  [ELEMENT.float64, {
    bytes: 8,
    typed: ({ doubleData }) => doubleData,
    read: (view, at) => view.getFloat64(at, true),
  }],
  [ELEMENT.float16, { ...HALF, read: (view, at) => view.getFloat16(at, true) }],
  [ELEMENT.bfloat16, { ...HALF, read: (view, at) => fromBfloat16(view.getUint16(at, true)) }],
  [ELEMENT.int64, {
    bytes: 8,
    isInteger: true,
    typed: ({ int64Data }) => int64Data,
    read: (view, at) => Number(view.getBigInt64(at, true)),
  }],
  [ELEMENT.int32, {
    bytes: 4,
    isInteger: true,
    typed: ({ int32Data }) => int32Data,
    read: (view, at) => view.getInt32(at, true),
  }],
  [ELEMENT.bool, {
    bytes: 1,
    isInteger: true,
    typed: ({ int32Data }) => int32Data,
    read: (view, at) => view.getUint8(at),
  }],
]);

/** Reads constants, and counts them: a small file could name the same bytes many times. */
export class TensorReader {
  readonly #files: ExternalFiles;
  readonly #note: (sentence: string) => void;
  #budget = MAX_ELEMENTS;

  /** Takes the files of weights, and who is told of converted ones. */
  constructor(files: ExternalFiles, note: (sentence: string) => void) {
    this.#files = files;
    this.#note = note;
  }

  /** Reads one, whichever of the format's forms it has.
   *
   * @throws {TypeError} If it is of a type not supported, or not as long as its shape says.
   */
  read(tensor: TensorProto): Constant {
    const { dataType, rawData } = tensor;
    const name = nameOfType(dataType);
    const type = TYPES.get(dataType);
    if (type === undefined) {
      throw wrong(
        tensor,
        `must be float32, found ${name}; quantised models are not supported: export the one of floats`,
      );
    }
    const shape = tensor.dims.map(Number);
    const size = shape.reduce((product, length) => product * length, 1);
    if (shape.length > 8 || shape.some((length) => length < 0) || size > MAX_ELEMENTS) {
      throw wrong(tensor, `has no valid shape: [${shape.slice(0, 8).join(", ")}]`);
    }
    this.#budget -= size;
    if (this.#budget < 0) throw wrong(tensor, `and those before have over ${MAX_ELEMENTS} numbers`);
    const isExternal = tensor.dataLocation !== 0;
    const isRaw = isExternal || rawData.length > 0;
    const typed = isRaw ? [] : type.typed(tensor);
    const bytes = isExternal
      ? externalBytes(tensor, this.#files, size * type.bytes)
      : type.bytes === 2 && !isRaw
      ? new Uint8Array(Uint16Array.from(typed, Number).buffer)
      : rawData;
    const count = isRaw ? bytes.length / type.bytes : typed.length;
    if (count !== size) {
      throw wrong(tensor, `has ${count} numbers, its shape [${shape.join(", ")}] needs ${size}`);
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const at = isRaw || type.bytes === 2
      ? (_: unknown, n: number) => type.read(view, n * type.bytes)
      : (_: unknown, n: number) => Number(typed[n]);
    if (type.isInteger) return { shape, data: Array.from({ length: size }, at) };
    if (dataType !== ELEMENT.float32) this.#note(`its constants of ${name} are taken as float32`);
    return { shape, data: Float32Array.from({ length: size }, at) };
  }
}

/** The type that a number in the file stands for. */
export function nameOfType(dataType: number): string {
  return Object.entries(ELEMENT).find(([, value]) => value === dataType)?.[0] ?? `type ${dataType}`;
}

/** The files of weights that a graph names.
 *
 * @throws {TypeError} If one is no name of a file beside the model: it must not lead elsewhere.
 */
export function externalNames({ initializer, node }: GraphProto): Set<string> {
  const inNodes = node.flatMap(({ attribute }) => attribute.flatMap(({ t }) => t ?? []));
  const outside = [...initializer, ...inNodes].filter(({ dataLocation }) => dataLocation !== 0);
  return new Set(outside.map(locationOf));
}

function locationOf(tensor: TensorProto): string {
  const location = entryOf(tensor, "location") ?? "";
  if (/^[^/\\:\p{C}]+$/u.test(location) && !/^\.+$/.test(location)) return location;
  throw wrong(tensor, `lies in ${quote(location)}, which is no name of a file beside the model`);
}

function entryOf({ externalData }: TensorProto, key: string): string | undefined {
  return externalData.find((entry) => entry.key === key)?.value;
}

/** The bytes of a tensor in another file. */
function externalBytes(tensor: TensorProto, files: ExternalFiles, needed: number): Uint8Array {
  const location = locationOf(tensor);
  const file = files.get(location);
  if (file === undefined) {
    throw wrong(
      tensor,
      `lies in ${quote(location)}: give a reader of files, or save it as one file`,
    );
  }
  const [offset, length] = (["offset", "length"] as const).map((key) => {
    const text = entryOf(tensor, key) ?? (key === "offset" ? "0" : String(needed));
    if (/^\d{1,15}$/.test(text)) return Number(text);
    throw wrong(tensor, `has no valid ${key} in ${quote(location)}: ${quote(text)}`);
  });
  if (length !== needed) {
    throw wrong(tensor, `needs ${needed} bytes of ${quote(location)}, its length says ${length}`);
  }
  if (offset + length > file.length) {
    throw wrong(
      tensor,
      `needs bytes ${offset} to ${offset + length} of ${quote(location)}, which has ` +
        `${file.length}: it is cut off, or of another model`,
    );
  }
  return file.subarray(offset, offset + length);
}

/** A float32 whose lower half is zeros. */
function fromBfloat16(bits: number): number {
  return new Float32Array(Uint32Array.of(bits << 16).buffer)[0];
}

function wrong({ name }: TensorProto, reason: string): TypeError {
  return new TypeError(`tensor ${quote(name)} ${reason}`);
}
