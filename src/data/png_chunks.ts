/** A PNG file cut down to what its picture needs, before a decoder believes what it says of itself. */

import { builtin } from "../platform.ts";
import { PictureFault } from "./picture_kind.ts";

/** Chunks that decide what the pixels are; texts, colour profiles and animations do not. */
const NEEDED = ["IHDR", "PLTE", "tRNS", "IDAT", "IEND"];

const SIGNATURE_BYTES = 8;
/** Length, type and checksum. */
const FRAME_BYTES = 12;
const HEADER_BYTES = 13;
/** Some encoders leave a little behind the last row, which decoders do not look at. */
const SLACK_BYTES = 4096;

/** Samples a pixel by colour type. */
const CHANNELS: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

/** The seven passes of an interlaced picture: first column and row, and the distance of the next. */
const ADAM7 = [
  { x: 0, y: 0, dx: 8, dy: 8 },
  { x: 4, y: 0, dx: 8, dy: 8 },
  { x: 0, y: 4, dx: 4, dy: 8 },
  { x: 2, y: 0, dx: 4, dy: 4 },
  { x: 0, y: 2, dx: 2, dy: 4 },
  { x: 1, y: 0, dx: 2, dy: 2 },
  { x: 0, y: 1, dx: 1, dy: 2 },
];

/** Finds the chunks that a picture needs; `needed` checks that its pixels are as many as it says.
 *
 * Some kilobytes can be made to inflate to gigabytes, in pixels and in what comes with them; and a
 * decoder makes room for all the pixels that a header claims.
 *
 * @returns What makes the file without the others; what its EXIF chunk holds; whether it is animated.
 * @throws {PictureFault} If chunks are damaged; from `needed`, if pixels are, or not as many as the header says.
 */
export function neededChunks(
  bytes: Uint8Array,
): {
  readonly needed: () => Uint8Array;
  readonly exif?: Uint8Array;
  readonly isAnimated: boolean;
} {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const kept = [bytes.subarray(0, SIGNATURE_BYTES)];
  const pixels: Uint8Array[] = [];
  let exif: Uint8Array | undefined;
  let [isAnimated, isWhole] = [false, false];
  for (let start = SIGNATURE_BYTES; start + FRAME_BYTES <= bytes.length;) {
    const end = start + FRAME_BYTES + view.getUint32(start);
    const type = String.fromCharCode(...bytes.subarray(start + 4, start + 8));
    // A second header would be believed by a decoder, and has not been checked by the caller.
    const isHeader = end === start + FRAME_BYTES + HEADER_BYTES && start === SIGNATURE_BYTES;
    if ((type === "IHDR") !== (start === SIGNATURE_BYTES) || type === "IHDR" && !isHeader) {
      throw new PictureFault("its header is not where it must be");
    }
    if (end > bytes.length) throw new PictureFault("the file is cut off");
    if (NEEDED.includes(type)) kept.push(bytes.subarray(start, end));
    if (type === "IDAT") pixels.push(bytes.subarray(start + 8, end - 4));
    if (type === "eXIf") exif = bytes.subarray(start + 8, end - 4);
    isAnimated ||= type === "acTL";
    isWhole ||= type === "IEND";
    if (isWhole) break;
    start = end;
  }
  if (!isWhole) throw new PictureFault("the file is cut off");
  const needed = () => {
    const expected = rawLength(view);
    const found = inflatedLength(concat(pixels), expected);
    if (found < expected) throw new PictureFault("it holds fewer pixels than its size says");
    return concat(kept);
  };
  return { needed, exif, isAnimated };
}

/** Bytes of all rows as they are compressed: a filter byte and packed samples each. */
function rawLength(view: DataView): number {
  const [width, height] = [view.getUint32(16), view.getUint32(20)];
  const bitsPerPixel = view.getUint8(24) * (CHANNELS[view.getUint8(25)] ?? 0);
  const isInterlaced = view.getUint8(28) === 1;
  const passes = isInterlaced ? ADAM7 : [{ x: 0, y: 0, dx: 1, dy: 1 }];
  return passes.reduce((sum, { x, y, dx, dy }) => {
    const [columns, rows] = [Math.ceil((width - x) / dx), Math.ceil((height - y) / dy)];
    return columns <= 0 || rows <= 0
      ? sum
      : sum + rows * (1 + Math.ceil(columns * bitsPerPixel / 8));
  }, 0);
}

function inflatedLength(pixels: Uint8Array, expected: number): number {
  try {
    return builtin("node:zlib")!.inflateSync(pixels, { maxOutputLength: expected + SLACK_BYTES })
      .length;
  } catch (error) {
    const isTooMuch = (error as { code?: string }).code === "ERR_BUFFER_TOO_LARGE";
    throw new PictureFault(
      isTooMuch ? "it holds more than its size says" : "the pixels are damaged",
    );
  }
}

/** Puts parts one after another. */
export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
