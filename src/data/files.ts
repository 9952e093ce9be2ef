/** Dataset files on disk: bounded reading, decompression. */
import { isSystemError, readingReason } from "../system_reason.ts";
import { DatasetError, MissingFileError } from "./errors.ts";
import { MAX_IDX_BYTES } from "./idx.ts";

/** Small, so that one slice of a gzip bomb (1,000 to 1) cannot inflate to more than 8 MB. */
export const SLICE_BYTES = 8192;

/** Enough of the content for a bound to be found in: an IDX header. */
const HEAD_BYTES = 16;

type Slices = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** How much content a file may have, and how messages call it. */
export interface ContentOptions {
  /** How messages call the file. */
  readonly name: string;
  /** Most bytes of uncompressed content, or a function that finds this from its first 16. */
  readonly maxBytes: number | ((head: Uint8Array) => number);
}

/** The uncompressed content of a file, and the path it was read from. */
export interface FileContent {
  /** Uncompressed content. */
  readonly bytes: Uint8Array;
  /** Path of the file, with `.gz` if it has that. */
  readonly path: string;
}

/** Reads a file and decompresses it, within a bound.
 *
 * @throws {DatasetError} If the file is missing, unreadable or no file at all.
 * @throws {SyntaxError} If its gzip data is malformed, or its content too large.
 */
export async function readIdxFile(
  path: string,
  maxBytes: ContentOptions["maxBytes"],
): Promise<FileContent> {
  const size = await sizeOf(path);
  if (size === undefined) throw new MissingFileError(`Cannot find "${path}"`);
  return { bytes: await collect(contentOf(path, maxBytes), Math.min(size, MAX_IDX_BYTES)), path };
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
export async function* gunzip(slices: Slices, options: ContentOptions): AsyncGenerator<Uint8Array> {
  yield* bounded(inflate(slices, options.name), options);
}

/** Leaving the loop early cancels the stream. */
async function* inflate(slices: Slices, name: string): AsyncGenerator<Uint8Array> {
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

/** Puts pieces together; memory grows with what has come, whatever a header claims.
 *
 * @param capacity Bytes to make room for at first.
 */
export async function collect(
  chunks: AsyncIterable<Uint8Array>,
  capacity = 0,
): Promise<Uint8Array> {
  let buffer = new ArrayBuffer(capacity);
  let byteLength = 0;
  for await (const chunk of chunks) {
    const needed = byteLength + chunk.length;
    // Transferring gives the old memory back at once; a collector might take its time.
    if (needed > buffer.byteLength) buffer = buffer.transfer(Math.max(needed, 2 * byteLength));
    new Uint8Array(buffer).set(chunk, byteLength);
    byteLength = needed;
  }
  return new Uint8Array(buffer, 0, byteLength);
}

/** Passes on content piece by piece; fails as soon as it is larger than it may be. */
export async function* bounded(
  chunks: AsyncIterable<Uint8Array>,
  { name, maxBytes }: ContentOptions,
): AsyncGenerator<Uint8Array> {
  let head = new Uint8Array();
  let limit = maxBytes;
  let byteLength = 0;
  for await (const chunk of chunks) {
    byteLength += chunk.length;
    if (typeof limit === "function") {
      head = Uint8Array.from([...head, ...chunk.subarray(0, HEAD_BYTES)]);
      if (head.length >= HEAD_BYTES) limit = limit(head.subarray(0, HEAD_BYTES));
    }
    if (typeof limit === "number" && byteLength > limit) {
      throw new SyntaxError(
        `Cannot read "${name}": expected at most ${count(limit)} bytes of uncompressed data, ` +
          "found more; the file is not what it should be, obtain it again",
      );
    }
    yield chunk;
  }
}

/** The uncompressed content of a file, piece by piece. */
export async function* contentOf(
  path: string,
  maxBytes: ContentOptions["maxBytes"],
  name = path,
): AsyncGenerator<Uint8Array> {
  const options = { name, maxBytes };
  try {
    using file = await Deno.open(path);
    const head = new Uint8Array(2);
    await file.read(head);
    await file.seek(0, Deno.SeekMode.Start);
    if (isGzip(head)) yield* gunzip(slicesOf(file, SLICE_BYTES), options);
    else yield* bounded(slicesOf(file, 8 * SLICE_BYTES), options);
  } catch (error) {
    throw unreadable(name, error);
  }
}

/** A file, slice by slice. Each overwrites the last, so that none waits to be collected: a reader,
 * a decompressor too, is done with one before it asks for the next.
 */
export async function* slicesOf(file: Deno.FsFile, sliceBytes: number): AsyncGenerator<Uint8Array> {
  const slice = new Uint8Array(sliceBytes);
  for (let read; (read = await file.read(slice)) !== null;) yield slice.subarray(0, read);
}

/** Size of a file; undefined where there is none. A pipe or a device might never end. */
export async function sizeOf(path: string): Promise<number | undefined> {
  try {
    const { isFile, size } = await Deno.stat(path);
    if (isFile) return size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return;
    throw unreadable(path, error);
  }
  throw new DatasetError(`Cannot read "${path}": expected a file, found something else`);
}

/** The error of a file or folder that the system does not let read; another error as it is. */
export function unreadable(path: string, error: unknown): unknown {
  if (!isSystemError(error)) return error;
  return new DatasetError(`Cannot read "${path}": ${readingReason(error)}`, { cause: error });
}

function count(bytes: number): string {
  return bytes.toLocaleString("en-US");
}
