/** IDX, the file format of MNIST and its descendants: strict parser and encoder.
 *
 * Layout: two zero bytes, element type, number of dimensions, then one big-endian uint32 per
 * dimension, then the elements in row-major order. Only unsigned bytes (type 0x08) are accepted,
 * with one dimension (labels) or three (images).
 * Source: Y. LeCun, "The MNIST database of handwritten digits", section "File formats".
 */
import type { LabeledImages } from "./dataset.ts";

/** Largest content accepted from a file whose size is not known in advance: 2 GiB. */
export const MAX_IDX_BYTES = 2 ** 31;

const UNSIGNED_BYTE = 0x08;

/** What the third byte says of the elements. */
const ELEMENT_TYPES: Readonly<Record<number, string>> = {
  [UNSIGNED_BYTE]: "unsigned bytes",
  0x09: "signed bytes (int8)",
  0x0b: "int16",
  0x0c: "int32",
  0x0d: "float32",
  0x0e: "float64 (double)",
};

/** An array of unsigned bytes with its dimensions, as an IDX file holds it. */
export interface IdxArray {
  /** Size along each dimension, the outermost first. */
  readonly dimensions: readonly number[];
  /** Elements in row-major order; length is the product of the dimensions. */
  readonly data: Uint8Array;
}

/** Reads the header of an IDX file and says how long the whole file must be.
 *
 * @param head The first 16 bytes of the file, or all of a shorter one.
 * @param name How messages call the file.
 * @param rank Number of dimensions expected: 1 for labels, 3 for images.
 * @throws {SyntaxError} If the header is malformed or claims more than {@linkcode MAX_IDX_BYTES}.
 */
export function idxByteLength(head: Uint8Array, name: string, rank: 1 | 3): number {
  const { dimensions, headerBytes } = parseHeader(head, name, rank);
  return headerBytes + product(dimensions);
}

/** Parses an IDX file of unsigned bytes; the data is a view, not a copy.
 *
 * @param bytes The whole uncompressed file.
 * @param name How messages call the file.
 * @param rank Number of dimensions expected: 1 for labels, 3 for images.
 * @throws {SyntaxError} If magic, type, dimensions or length are not as they must be.
 */
export function parseIdx(bytes: Uint8Array, name: string, rank: 1 | 3): IdxArray {
  const { dimensions, headerBytes } = parseHeader(bytes, name, rank);
  const expected = headerBytes + product(dimensions);
  if (bytes.length !== expected) {
    const fault = bytes.length < expected ? "cut short" : "too long";
    throw malformed(
      name,
      `${count(expected)} bytes for ${dimensions.map(count).join(" x ")}`,
      `${count(bytes.length)}; the file is ${fault}, obtain it again`,
    );
  }
  return { dimensions, data: bytes.subarray(headerBytes) };
}

/** Encodes an array of unsigned bytes as an IDX file.
 *
 * @throws {RangeError} If the data does not fill the dimensions exactly.
 */
export function encodeIdx({ dimensions, data }: IdxArray): Uint8Array {
  if (product(dimensions) !== data.length) {
    throw new RangeError(
      `Cannot encode IDX: expected ${product(dimensions)} bytes for ${dimensions.join(" x ")}, ` +
        `found ${data.length}`,
    );
  }
  const headerBytes = 4 + 4 * dimensions.length;
  const bytes = new Uint8Array(headerBytes + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, magicOf(dimensions.length));
  dimensions.forEach((size, index) => view.setUint32(4 + 4 * index, size));
  bytes.set(data, headerBytes);
  return bytes;
}

/** Content and name of an images file and of the labels file that belongs to it. */
export interface IdxPair {
  /** Uncompressed content of the images file. */
  readonly images: Uint8Array;
  /** Uncompressed content of the labels file. */
  readonly labels: Uint8Array;
  /** How messages call the images file. */
  readonly imagesName: string;
  /** How messages call the labels file. */
  readonly labelsName: string;
}

/** Parses an images file and its labels file into one set.
 *
 * Shapes: images [count, height, width] -> [count, 1, height, width]; labels [count].
 *
 * @param classCount How many classes there are; 256 accepts any label.
 * @param first Label of the first class; default 0.
 * @throws {SyntaxError} If a file is malformed, the counts differ or a label is out of range.
 */
export function parseLabeledImages(
  pair: IdxPair,
  classCount = 256,
  first = 0,
): LabeledImages {
  const images = parseIdx(pair.images, pair.imagesName, 3);
  const labels = parseIdx(pair.labels, pair.labelsName, 1);
  const [imageCount, height, width] = images.dimensions as [number, number, number];
  if (labels.data.length !== imageCount) {
    throw malformed(
      pair.labelsName,
      `${count(imageCount)} labels, one for each image`,
      `${count(labels.data.length)}; obtain both files again from one place`,
    );
  }
  const last = first + classCount - 1;
  const wrong = labels.data.findIndex((label) => label < first || label > last);
  if (wrong >= 0) {
    throw malformed(
      pair.labelsName,
      `labels from ${first} to ${last}`,
      `${labels.data[wrong]} at index ${count(wrong)}; obtain the file again`,
    );
  }
  return {
    images: images.data,
    labels: labels.data,
    count: imageCount,
    shape: [1, height, width],
  };
}

function parseHeader(bytes: Uint8Array, name: string, rank: 1 | 3) {
  const headerBytes = 4 + 4 * rank;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const dimensionsOf = (count: number) =>
    Array.from({ length: count }, (_, index) => view.getUint32(4 + 4 * index));
  const magic = bytes.length >= 4 ? view.getUint32(0) : magicOf(rank);
  if (magic !== magicOf(rank)) {
    const fitting = Math.min(magic & 0xff, Math.floor((bytes.length - 4) / 4));
    throw malformed(name, EXPECTED[rank], describeMagic(magic, dimensionsOf(fitting)));
  }
  if (bytes.length < headerBytes) {
    throw malformed(
      name,
      `an IDX header of ${headerBytes} bytes`,
      `${bytes.length} bytes; the file is cut short, obtain it again`,
    );
  }
  const dimensions = dimensionsOf(rank);
  if (dimensions.includes(0)) {
    throw malformed(name, "dimensions of 1 or more", dimensions.join(" x "));
  }
  if (headerBytes + product(dimensions) > MAX_IDX_BYTES) {
    throw malformed(
      name,
      `at most ${count(MAX_IDX_BYTES)} bytes`,
      `dimensions ${dimensions.map(count).join(" x ")}`,
    );
  }
  return { dimensions, headerBytes };
}

const EXPECTED = {
  1: "labels (unsigned bytes, 1 dimension)",
  3: "images (unsigned bytes, 3 dimensions: count, height, width)",
} as const;

/** What the first four bytes say, where they are not as they must be. */
function describeMagic(magic: number, dimensions: readonly number[]): string {
  const [type, rank] = [magic >> 8 & 0xff, magic & 0xff];
  const elements = ELEMENT_TYPES[type];
  if (magic >>> 16 !== 0 || elements === undefined) {
    return `no IDX file: it begins with ${hex(magic)}; obtain it again`;
  }
  const more = dimensions.length > 4 ? " x ..." : "";
  const sizes = dimensions.length > 0
    ? ` (${dimensions.slice(0, 4).map(count).join(" x ")}${more})`
    : "";
  const found = `${elements} in ${rank} dimension${rank === 1 ? "" : "s"}${sizes}`;
  if (type !== UNSIGNED_BYTE) return `${found}; write the elements as unsigned bytes`;
  if (rank === 1) return `${found}; is this the file of labels?`;
  return rank === 3 ? `${found}; is this the file of images?` : `${found}; write it in those`;
}

function magicOf(rank: number): number {
  return UNSIGNED_BYTE << 8 | rank;
}

function product(dimensions: readonly number[]): number {
  return dimensions.reduce((total, size) => total * size, 1);
}

function malformed(name: string, expected: string, found: string): SyntaxError {
  return new SyntaxError(`Cannot read "${name}": expected ${expected}, found ${found}`);
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, "0")}`;
}

/** The largest training label, where no names say how many classes there are.
 *
 * A single damaged label would call many empty classes into being; real sets leave few gaps, so that
 * mostly empty classes are taken for damage.
 *
 * @param first The least label that may be.
 * @throws {SyntaxError} If most labels up to the largest are missing.
 */
export function largestLabel(
  labels: Uint8Array,
  { first, path }: { readonly first: number; readonly path: string },
): number {
  const present = new Set(labels);
  const last = Math.max(...present);
  if (present.size * 2 >= last + 1 - first) return last;
  throw new SyntaxError(
    `Cannot read "${path}": expected labels ${first}, ${first + 1}, ${first + 2}, ... with few ` +
      `gaps, found ${last} as the largest of only ${present.size} different ones`,
  );
}
