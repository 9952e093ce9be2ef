/** Decompression of gzip with a bound on what the result may claim. */

import { isSystemError } from "../system_reason.ts";

/** Small, so that one slice of a gzip bomb (1,000 to 1) cannot inflate to more than 8 MB. */
export const SLICE_BYTES = 8192;

/** Enough of the result for a bound to be found in: an IDX header. */
const HEAD_BYTES = 16;

type Slices = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** How far a gzip file may inflate, and how messages call it. */
export interface GunzipOptions {
  /** How messages call the file. */
  readonly name: string;
  /** Most bytes the result may have, or a function that finds this from its first 16. */
  readonly maxBytes: number | ((head: Uint8Array) => number);
}

/** Says whether bytes begin as a gzip file does. */
export function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/** Decompresses one gzip member piece by piece, and stops as soon as the result passes its bound.
 *
 * Memory stays within one inflated slice, whatever the file claims.
 *
 * @param slices The file, in pieces of {@linkcode SLICE_BYTES} at most.
 * @throws {SyntaxError} If the data is cut short, corrupt, followed by other data, or too large.
 */
export async function* gunzip(
  slices: Slices,
  { name, maxBytes }: GunzipOptions,
): AsyncGenerator<Uint8Array> {
  let head = new Uint8Array();
  let limit = maxBytes;
  let byteLength = 0;
  for await (const chunk of inflate(slices, name)) {
    byteLength += chunk.length;
    if (typeof limit === "function") {
      head = Uint8Array.from([...head, ...chunk.subarray(0, HEAD_BYTES)]);
      if (head.length >= HEAD_BYTES) limit = limit(head.subarray(0, HEAD_BYTES));
    }
    if (typeof limit === "number" && byteLength > limit) {
      throw new SyntaxError(
        `Cannot read "${name}": expected at most ${limit.toLocaleString("en-US")} bytes of ` +
          "uncompressed data, found more; the file is not what it should be, obtain it again",
      );
    }
    yield chunk;
  }
}

/** Yields the decompressed chunks; leaving the loop early cancels the stream. */
async function* inflate(
  slices: Slices,
  name: string,
): AsyncGenerator<Uint8Array> {
  try {
    yield* ReadableStream.from(slices as AsyncIterable<BufferSource>)
      .pipeThrough(new DecompressionStream("gzip"));
  } catch (error) {
    if (isSystemError(error)) throw error; // the file itself cannot be read
    throw new SyntaxError(
      `Cannot read "${name}": expected a gzip file, found data that is cut short or corrupt; ` +
        "obtain it again",
      { cause: error },
    );
  }
}
