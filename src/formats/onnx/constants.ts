/** The constants of an ONNX graph as numbers, wherever the file keeps them. */

import { volume } from "../../nn/layers/layer.ts";
import { showShape } from "../../nn/sequential.ts";
import { quote } from "../../quote.ts";
import { bytesOf, isNameBeside, numbersIn } from "../tensors.ts";
import { ELEMENT, type Proto } from "./schema.ts";

type TensorProto = Proto<"TensorProto">;

/** A tensor whose numbers are known: float32, or whole numbers of which NaN is the free batch size. */
export interface Constant {
  readonly shape: readonly number[];
  readonly data: Float32Array | readonly number[];
}

/** Files of weights beside the model's, by name. */
export type ExternalFiles = ReadonlyMap<string, Uint8Array>;

/** Numbers in all tensors: 1 GiB of float32, as in any model of this project. */
const MAX_ELEMENTS = 2 ** 28;

/** The types that are read, and where numbers are that are not raw bytes: of 16-bit floats, the bits. */
const FIELDS = {
  float32: "floatData",
  float64: "doubleData",
  float16: "int32Data",
  bfloat16: "int32Data",
  int64: "int64Data",
  int32: "int32Data",
  bool: "int32Data",
} as const;

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
    const type = nameOfType(dataType);
    if (!isRead(type)) {
      throw wrong(
        tensor,
        `must be float32, found ${type}; quantised models are not supported: export the one of floats`,
      );
    }
    const shape = tensor.dims.map(Number);
    const size = volume(shape);
    if (shape.length > 8 || shape.some((length) => length < 0) || size > MAX_ELEMENTS) {
      throw wrong(tensor, `has no valid shape: ${showShape(shape.slice(0, 8))}`);
    }
    this.#budget -= size;
    if (this.#budget < 0) throw wrong(tensor, `and those before have over ${MAX_ELEMENTS} numbers`);
    const width = bytesOf(type);
    const typed: readonly (number | bigint)[] = tensor[FIELDS[type]];
    const bytes = tensor.dataLocation !== 0
      ? externalBytes(tensor, this.#files, size * width)
      : rawData.length === 0 && width === 2
      ? new Uint8Array(Uint16Array.from(typed, Number).buffer)
      : rawData;
    const isTyped = bytes.length === 0;
    const count = isTyped ? typed.length : bytes.length / width;
    if (count !== size) {
      throw wrong(tensor, `has ${count} numbers, its shape ${showShape(shape)} needs ${size}`);
    }
    const numberAt = isTyped ? (n: number) => Number(typed[n]) : numbersIn(bytes, type);
    const at = (_: unknown, n: number) => numberAt(n);
    if (!isFloat(dataType)) return { shape, data: Array.from({ length: size }, at) };
    if (dataType !== ELEMENT.float32) this.#note(`its constants of ${type} are taken as float32`);
    return { shape, data: Float32Array.from({ length: size }, at) };
  }
}

function isRead(type: string): type is keyof typeof FIELDS {
  return Object.hasOwn(FIELDS, type);
}

/** The type that a number in the file stands for. */
export function nameOfType(dataType: number): string {
  return Object.entries(ELEMENT).find(([, value]) => value === dataType)?.[0] ?? `type ${dataType}`;
}

/** Whether a type is one of those that are taken as float32. */
export function isFloat(dataType: number): boolean {
  const { float32, float64, float16, bfloat16 } = ELEMENT;
  return [float32, float64, float16, bfloat16].some((type) => type === dataType);
}

/** The files of weights that a graph names.
 *
 * @throws {TypeError} If one is no name of a file beside the model: it must not lead elsewhere.
 */
export function externalNames({ initializer, node }: Proto<"GraphProto">): Set<string> {
  const inNodes = node.flatMap(({ attribute }) => attribute.flatMap(({ t }) => t ?? []));
  const outside = [...initializer, ...inNodes].filter(({ dataLocation }) => dataLocation !== 0);
  return new Set(outside.map(locationOf));
}

function locationOf(tensor: TensorProto): string {
  const location = entryOf(tensor, "location") ?? "";
  if (isNameBeside(location)) return location;
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

function wrong({ name }: TensorProto, reason: string): TypeError {
  return new TypeError(`tensor ${quote(name)} ${reason}`);
}
