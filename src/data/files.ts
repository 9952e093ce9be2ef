/** Dataset files on disk: bounded reading, decompression, checking by digest. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { isSystemError, readingReason } from "../system_reason.ts";
import { removeIfThere, streamAtomic, writeAtomic } from "../write_atomic.ts";
import { memberOf } from "./archive.ts";
import { DatasetError, MissingFileError } from "./errors.ts";
import { MAX_IDX_BYTES } from "./idx.ts";
import type { DatasetFile } from "./registry.ts";

/** Small, so that one slice of a gzip bomb (1,000 to 1) cannot inflate to more than 8 MB. */
export const SLICE_BYTES = 8192;

/** Content of an archive: far above any dataset's. */
const MAX_ARCHIVE_BYTES = 2 ** 32;

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

/** Reads a file of a known dataset from a folder, gzipped or not, and checks its digest.
 *
 * @throws {DatasetError} If the file is missing, unreadable or not the one expected.
 */
export async function readVerified(folder: string, file: DatasetFile): Promise<Uint8Array> {
  const path = await locate(folder, file);
  return await collect(verified(contentOf(path, file.byteLength), await kept(folder, file), path));
}

/** Checks a file as {@linkcode readVerified} does, and keeps nothing of it. */
export async function requireVerified(folder: string, file: DatasetFile): Promise<void> {
  const path = await locate(folder, file);
  const content = contentOf(path, file.byteLength);
  for await (const _ of verified(content, await kept(folder, file), path));
}

/** A file as it must be: where nobody publishes the digest of its content, by the digest that it had
 * when it was stored.
 */
async function kept(folder: string, file: DatasetFile): Promise<DatasetFile> {
  if (file.sha256 !== undefined) return file;
  const sha256 = await Deno.readTextFile(digestPath(folder, file)).catch(() => "");
  return { ...file, sha256: sha256.trim() };
}

/** Where the digest of a stored file is kept whose own is not known. */
function digestPath(folder: string, { name }: DatasetFile): string {
  return join(folder, `${name}.sha256`);
}

/** Copies a file of a known dataset into a folder, uncompressed, where it gets its name only after
 * its digest has been checked. It is never in memory as a whole.
 *
 * @param label How messages call the file that is copied.
 * @returns Whether a digest of it is known: without one, its length alone is checked.
 * @throws {DatasetError} If the file is unreadable or not the one expected.
 * @throws {Error} What the file system says if it cannot be written.
 */
export async function copyVerified(
  path: string,
  file: DatasetFile,
  folder: string,
  label = path,
): Promise<boolean> {
  const { gzSha256 } = file;
  const isChecked = file.sha256 !== undefined || gzSha256 !== undefined && await isPacked(path);
  if (isChecked && file.sha256 === undefined) {
    await requirePacked(path, { name: `${file.name}.gz`, sha256: gzSha256!, label });
  }
  await store(contentOf(path, file.byteLength, label), file, folder, label);
  return isChecked;
}

/** Stores the content of a file in a folder, as {@linkcode copyVerified} does. */
async function store(
  content: AsyncIterable<Uint8Array>,
  file: DatasetFile,
  folder: string,
  label: string,
): Promise<void> {
  const hash = createHash("sha256");
  const hashed = async function* () {
    for await (const chunk of verified(content, file, label)) {
      hash.update(chunk);
      yield chunk;
    }
  };
  await removeIfThere(digestPath(folder, file));
  await streamAtomic(join(folder, file.name), hashed());
  if (file.sha256 !== undefined) return;
  await writeAtomic(digestPath(folder, file), new TextEncoder().encode(`${hash.digest("hex")}\n`));
}

/** Checks a file as it is, packed.
 *
 * @throws {DatasetError} If it is unreadable or not the one expected.
 */
export async function requirePacked(
  path: string,
  { name, sha256, label = path }: {
    readonly name: string;
    readonly sha256: string;
    readonly label?: string;
  },
): Promise<void> {
  const hash = createHash("sha256");
  try {
    using file = await Deno.open(path);
    for await (const slice of slicesOf(file, 8 * SLICE_BYTES)) hash.update(slice);
  } catch (error) {
    throw unreadable(path, error);
  }
  const found = hash.digest("hex");
  if (found === sha256) return;
  throw new DatasetError(
    `Cannot use "${label}": expected SHA-256 ${sha256.slice(0, 16)}... of ${name}, found ` +
      `${found.slice(0, 16)}...; the file is damaged or another one`,
  );
}

async function isPacked(path: string): Promise<boolean> {
  using file = await Deno.open(path);
  const head = new Uint8Array(2);
  await file.read(head);
  return isGzip(head);
}

/** Stores a member of an archive in a folder, as {@linkcode copyVerified} does with a file; the archive
 * has been checked before.
 *
 * @throws {DatasetError} If the archive has no such member, or it is not the one expected.
 */
export async function unpackVerified(
  archive: string,
  file: DatasetFile,
  folder: string,
  label = archive,
): Promise<void> {
  const content = memberContent(archive, { ...file, maxBytes: file.byteLength, label });
  await store(content, file, folder, `${label}/${file.name}`);
}

/** Reads a member of a .tar.gz or .zip, decompressed; undefined where it has none of that name. */
export async function readMember(
  archive: string,
  name: string,
  maxBytes: number,
): Promise<Uint8Array | undefined> {
  try {
    return await collect(memberContent(archive, { name, maxBytes }));
  } catch (error) {
    if (error instanceof MissingFileError) return undefined;
    throw error;
  }
}

async function* memberContent(
  archive: string,
  { name, maxBytes, label = archive }: {
    readonly name: string;
    readonly maxBytes: number;
    readonly label?: string;
  },
): AsyncGenerator<Uint8Array> {
  const isZip = archive.endsWith(".zip");
  const isWanted = (member: string) => member === name || member === `${name}.gz`;
  const members = memberOf(contentOf(archive, MAX_ARCHIVE_BYTES, label), { isZip, isWanted });
  const first = await members.next();
  if (first.done) throw new MissingFileError(`Cannot find ${name} in "${label}"`);
  const chunks = async function* () {
    yield first.value;
    yield* members;
  };
  const options = { name: `${label}/${name}`, maxBytes };
  yield* isGzip(first.value) ? gunzip(chunks(), options) : bounded(chunks(), options);
}

/** Finds a file of a known dataset in a folder, as it is or with `.gz`.
 *
 * @throws {DatasetError} If there is neither.
 */
export async function locate(folder: string, { name }: DatasetFile): Promise<string> {
  const path = join(folder, name);
  for (const candidate of [path, `${path}.gz`]) {
    if (await sizeOf(candidate) !== undefined) return candidate;
  }
  throw new MissingFileError(`Cannot find "${path}", neither as it is nor as .gz`);
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
async function* bounded(
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

/** Passes on the content of a file of a known dataset piece by piece; at its end, or as soon as it is
 * too large, fails if it is not the one expected.
 */
async function* verified(
  content: AsyncIterable<Uint8Array>,
  file: DatasetFile,
  label: string,
): AsyncGenerator<Uint8Array> {
  const hash = createHash("sha256");
  let byteLength = 0;
  try {
    for await (const chunk of content) {
      hash.update(chunk);
      byteLength += chunk.length;
      yield chunk;
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new DatasetError(error.message, { cause: error });
  }
  const isLong = byteLength === file.byteLength;
  if (isLong && file.sha256 === undefined) return;
  const sha256 = hash.digest("hex");
  if (sha256 === file.sha256) return;
  const [expected, found, advice] = isLong
    ? [
      file.sha256 === "" ? "a digest kept beside it" : `SHA-256 ${file.sha256?.slice(0, 16)}...`,
      `${sha256.slice(0, 16)}...`,
      "; the file is damaged or another one",
    ]
    : [`${count(file.byteLength)} bytes`, count(byteLength), ""];
  throw new DatasetError(
    `Cannot use "${label}": expected ${expected} of ${file.name}, found ${found}${advice}`,
  );
}

/** The uncompressed content of a file, piece by piece. */
async function* contentOf(
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
async function* slicesOf(file: Deno.FsFile, sliceBytes: number): AsyncGenerator<Uint8Array> {
  const slice = new Uint8Array(sliceBytes);
  for (let read; (read = await file.read(slice)) !== null;) yield slice.subarray(0, read);
}

/** Size of a file; undefined where there is none. A pipe or a device might never end. */
async function sizeOf(path: string): Promise<number | undefined> {
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
