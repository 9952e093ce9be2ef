/** Decompression of gzip with a bound on what the result may claim. */

/** Small, so that one slice of a gzip bomb (1,000 to 1) cannot inflate to more than 8 MB. */
const SLICE_BYTES = 8192;

/** Enough of the result for a bound to be found in: an IDX header. */
const HEAD_BYTES = 16;

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

/** Decompresses one gzip member, and stops as soon as the result passes its bound.
 *
 * Memory stays within the bound and one inflated slice, whatever the file claims.
 *
 * @throws {SyntaxError} If the data is cut short, corrupt, followed by other data, or too large.
 */
export async function gunzip(data: Uint8Array, options: GunzipOptions): Promise<Uint8Array> {
  const { name, maxBytes } = options;
  const chunks: Uint8Array[] = [];
  let byteLength = 0;
  let limit = typeof maxBytes === "number" ? maxBytes : undefined;
  for await (const chunk of inflate(data, name)) {
    chunks.push(chunk);
    byteLength += chunk.length;
    if (limit === undefined && typeof maxBytes === "function" && byteLength >= HEAD_BYTES) {
      limit = maxBytes(concat(chunks, byteLength).subarray(0, HEAD_BYTES));
    }
    if (limit !== undefined && byteLength > limit) {
      throw new SyntaxError(
        `Cannot read "${name}": expected at most ${limit.toLocaleString("en-US")} bytes of ` +
          "uncompressed data, found more; the file is not what it should be, obtain it again",
      );
    }
  }
  return concat(chunks, byteLength);
}

/** Yields the decompressed chunks; leaving the loop early cancels the stream. */
async function* inflate(data: Uint8Array, name: string): AsyncGenerator<Uint8Array> {
  let offset = 0;
  const slices = new ReadableStream<BufferSource>({
    pull(controller) {
      controller.enqueue(data.slice(offset, offset += SLICE_BYTES));
      if (offset >= data.length) controller.close();
    },
  }, { highWaterMark: 0 });
  try {
    yield* slices.pipeThrough(new DecompressionStream("gzip"));
  } catch (error) {
    throw new SyntaxError(
      `Cannot read "${name}": expected a gzip file, found data that is cut short or corrupt; ` +
        "obtain it again",
      { cause: error },
    );
  }
}

function concat(chunks: readonly Uint8Array[], byteLength: number): Uint8Array {
  if (chunks.length === 1) return chunks[0]!;
  const joined = new Uint8Array(byteLength);
  let offset = 0;
  for (const chunk of chunks) {
    joined.set(chunk, offset);
    offset += chunk.length;
  }
  return joined;
}
