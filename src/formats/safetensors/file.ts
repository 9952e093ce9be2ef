/** The safetensors file format: a length, a JSON header, the tensors' bytes; all become float32. */

import { isRecord, parseJson } from "../../parse_json.ts";
import { quote } from "../../quote.ts";
import { bytesOf, littleEndian, numbersIn, type NumberTypeName } from "../tensors.ts";

/** A float32 tensor: its shape and its numbers in row-major order. */
export interface Tensor {
  /** Sizes of the dimensions, outermost first. */
  readonly shape: readonly number[];
  /** Numbers in row-major order. */
  readonly data: Float32Array;
  /** What its file holds it as: `F16`, `BF16` or `F64`, or `I64` for a count; left out for `F32`. */
  readonly dtype?: string;
}

/** What a safetensors file holds. */
export interface Safetensors {
  /** By name, in the order of the file. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** Free text by key. */
  readonly metadata: Readonly<Record<string, string>>;
}

const LENGTH_BYTES = 8;
/** The types that are read. */
const DTYPES: Readonly<Record<string, NumberTypeName>> = {
  F32: "float32",
  F64: "float64",
  F16: "float16",
  BF16: "bfloat16",
};

/** What PyTorch counts batches in; of no other tensor are whole numbers read. */
const COUNT = { dtype: "I64", type: "int64", name: /num_batches_tracked$/ } as const;

/** Those and the others of the format. */
const KNOWN_DTYPE = /^(BOOL|[IU](8|16|32|64)|B?F\d{1,2}(_\w{4,6})?|C64)$/;

const MAX_HEADER_BYTES = 1 << 20;
const METADATA_KEY = "__metadata__";

/** Encodes tensors, as F32 or, what says so, I64.
 *
 * The header is padded with spaces, and I64 come first, so that all numbers are aligned: PyTorch reads
 * no others.
 *
 * Source: https://github.com/huggingface/safetensors, section Format.
 *
 * @example A file of one tensor
 * ```ts
 * import { encodeSafetensors } from "@lenet/lenet";
 *
 * const tensors = new Map([["bias", { shape: [2], data: Float32Array.of(1, 2) }]]);
 * const bytes = encodeSafetensors({ tensors, metadata: { format: "pt" } });
 * if (bytes.length % 4 !== 0) throw new Error("expected whole numbers of 4 bytes");
 * ```
 */
export function encodeSafetensors({ tensors, metadata }: Safetensors): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = {};
  if (Object.keys(metadata).length > 0) header[METADATA_KEY] = metadata;
  const isCount = ({ dtype }: Tensor) => dtype === COUNT.dtype;
  const inOrder = [...tensors].sort(([, a], [, b]) => Number(isCount(b)) - Number(isCount(a)));
  const parts: Uint8Array[] = [];
  let end = 0;
  for (const [name, tensor] of inOrder) {
    const { shape, data } = tensor;
    const [dtype, bytes] = isCount(tensor)
      ? [COUNT.dtype, littleEndian(BigInt64Array.from(data, BigInt))]
      : ["F32", littleEndian(data)];
    header[name] = { dtype, shape, data_offsets: [end, end += bytes.length] };
    parts.push(bytes);
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const dataStart = LENGTH_BYTES + Math.ceil(json.length / 8) * 8;
  const file = new Uint8Array(dataStart + end).fill(0x20);
  new DataView(file.buffer).setBigUint64(0, BigInt(dataStart - LENGTH_BYTES), true);
  file.set(json, LENGTH_BYTES);
  parts.reduce((offset, part) => (file.set(part, offset), offset + part.length), dataStart);
  return file;
}

/** Decodes a file and checks all of it: sizes, types, and that the tensors cover the file exactly.
 *
 * @param label Names the file in errors.
 * Tensors of F16, BF16 and F64 are converted to float32, and say so by their `dtype`.
 *
 * @throws {SyntaxError} If the file is not a safetensors file.
 * @throws {TypeError} If a tensor is of another type; the message says of which.
 * @example Read back what was written
 * ```ts
 * import { decodeSafetensors, encodeSafetensors } from "@lenet/lenet";
 *
 * const tensors = new Map([["bias", { shape: [2], data: Float32Array.of(1, 2) }]]);
 * const bytes = encodeSafetensors({ tensors, metadata: { format: "pt" } });
 * const { metadata } = decodeSafetensors(bytes, "example.safetensors");
 * if (metadata.format !== "pt") throw new Error("expected the metadata");
 * ```
 */
export function decodeSafetensors(bytes: Uint8Array, label: string): Safetensors {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerLength = bytes.length < LENGTH_BYTES ? -1 : Number(view.getBigUint64(0, true));
  const dataStart = LENGTH_BYTES + headerLength;
  if (headerLength < 2 || headerLength > MAX_HEADER_BYTES || dataStart > bytes.length) {
    throw malformed(label, `its ${bytes.length} bytes hold no whole header`);
  }
  const header = parseHeader(bytes.subarray(LENGTH_BYTES, dataStart), label);
  const { [METADATA_KEY]: metadata = {}, ...entries } = header;
  const found = Object.entries(entries).map(([name, value]) => parseEntry(name, value, label));
  // An empty tensor may begin where its neighbour does.
  found.sort((a, b) => a.start - b.start || a.stop - b.stop);
  let end = dataStart;
  const tensors = new Map(found.map(({ name, shape, dtype, type, start, stop }) => {
    if (dataStart + start !== end) {
      throw malformed(label, `tensor ${quote(name)} overlaps or leaves a gap`);
    }
    end = dataStart + stop;
    if (end > bytes.length) {
      const ends = `ends at byte ${end}, the file at ${bytes.length}`;
      throw malformed(label, `tensor ${quote(name)} ${ends}`);
    }
    const numberAt = numbersIn(bytes.subarray(dataStart + start, end), type);
    const data = new Float32Array((stop - start) / bytesOf(type)).map((_, n) => numberAt(n));
    return [name, { shape, data, ...(dtype !== "F32" && { dtype }) }];
  }));
  if (end !== bytes.length) {
    throw malformed(label, `expected ${end} bytes, found ${bytes.length}`);
  }
  return { tensors, metadata: parseMetadata(metadata, label) };
}

function parseHeader(bytes: Uint8Array, label: string): Record<string, unknown> {
  let header: unknown;
  try {
    header = parseJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    const reason = error instanceof SyntaxError ? error.message : "not UTF-8";
    throw malformed(label, `its header is ${reason}`);
  }
  if (!isRecord(header)) throw malformed(label, "its header is not a JSON object");
  return header;
}

function parseEntry(name: string, value: unknown, label: string) {
  const tensor = `tensor ${quote(name)}`;
  if (!isRecord(value)) throw malformed(label, `${tensor} is not described by an object`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== "string" || !KNOWN_DTYPE.test(dtype)) {
    throw malformed(label, `${tensor} has no dtype, found ${quote(dtype)}`);
  }
  const type = typeOf(name, dtype);
  if (type === undefined) {
    throw new TypeError(
      `Cannot read ${label}: expected tensors of ${Object.keys(DTYPES).join(", ")}, found ` +
        `${quote(dtype)} in ${tensor}; ${adviceOn(dtype)}`,
    );
  }
  if (!isSizes(shape) || shape.length > 8) {
    throw malformed(label, `${tensor} has no valid shape`);
  }
  const size = shape.reduce((product, length) => product * length, bytesOf(type));
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[1] - offsets[0] !== size) {
    throw malformed(label, `${tensor} of ${size} bytes has the wrong offsets`);
  }
  return { name, shape, dtype, type, start: offsets[0], stop: offsets[1] };
}

/** The type of a tensor's numbers; undefined if it is not read. */
function typeOf(name: string, dtype: string): NumberTypeName | undefined {
  if (dtype === COUNT.dtype && COUNT.name.test(name)) return COUNT.type;
  return Object.hasOwn(DTYPES, dtype) ? DTYPES[dtype] : undefined;
}

function adviceOn(dtype: string): string {
  return /^[IU]\d+$|^F[468]/.test(dtype)
    ? "a quantised model must be saved as float32 first"
    : "save them as float32";
}

function parseMetadata(value: unknown, label: string): Record<string, string> {
  if (!isRecord(value) || Object.values(value).some((text) => typeof text !== "string")) {
    throw malformed(label, "its metadata must be strings");
  }
  return value as Record<string, string>;
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

function malformed(label: string, found: string): SyntaxError {
  return new SyntaxError(
    `Cannot read ${label} as safetensors: ${found}; the file is damaged or of another kind`,
  );
}
