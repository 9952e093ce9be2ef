/** A PNG file cut down to what its picture needs, before a decoder believes what it says of itself. */

import { inflateSync } from "node:zlib";

/** Chunks that decide what the pixels are; texts, colour profiles and animations do not. */
const NEEDED = ["IHDR", "PLTE", "tRNS", "IDAT", "IEND"];

const SIGNATURE_BYTES = 8;
/** Length, type and checksum. */
const FRAME_BYTES = 12;

/** Keeps the chunks that a picture needs, and checks that its pixels take no more room than they may.
 *
 * Some kilobytes can be made to inflate to gigabytes, in pixels and in what comes with them.
 *
 * @throws {SyntaxError} If the pixels are damaged, or more than width and height say.
 */
export function neededChunks(
  bytes: Uint8Array,
  { width, height }: { readonly width: number; readonly height: number },
): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const kept = [bytes.slice(0, SIGNATURE_BYTES)];
  const pixels: Uint8Array<ArrayBuffer>[] = [];
  for (let start = SIGNATURE_BYTES; start + FRAME_BYTES <= bytes.length;) {
    const end = start + FRAME_BYTES + view.getUint32(start);
    const type = String.fromCharCode(...bytes.subarray(start + 4, start + 8));
    if (NEEDED.includes(type)) kept.push(bytes.slice(start, end));
    if (type === "IDAT") pixels.push(bytes.slice(start + 8, end - 4));
    start = end;
  }
  // Four samples of two bytes a pixel; interlacing has up to seven more starts of rows.
  const maxOutputLength = 8 * width * height + 8 * (width + height) + 8;
  try {
    inflateSync(concat(pixels), { maxOutputLength });
  } catch (error) {
    const isTooMuch = (error as { code?: string }).code === "ERR_BUFFER_TOO_LARGE";
    throw new SyntaxError(
      isTooMuch ? "it holds more than its size says" : "the pixels are damaged",
    );
  }
  return concat(kept);
}

function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
