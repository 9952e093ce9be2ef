/** Dataset files on disk: bounded reading, checking by digest, writing all or nothing. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { isSystemError, readingReason } from "../system_reason.ts";
import { streamAtomic } from "../write_atomic.ts";
import { collect } from "./collect.ts";
import { DatasetError, MissingFileError } from "./errors.ts";
import { gunzip, type GunzipOptions, isGzip, SLICE_BYTES } from "./gunzip.ts";
import { MAX_IDX_BYTES } from "./idx.ts";
import type { DatasetFile } from "./registry.ts";

/** The uncompressed content of a file, and the path it was read from. */
export interface FileContent {
  /** Uncompressed content. */
  readonly bytes: Uint8Array;
  /** Path of the file, with `.gz` if it has that. */
  readonly path: string;
}

/** Most bytes that a reasonable gzip file of content of this size has. */
export function maxGzipBytes(byteLength: number): number {
  return Math.ceil(byteLength * 1.01) + 4096;
}

/** Reads a file and decompresses it, within a bound.
 *
 * @param maxBytes Most bytes the uncompressed content may have, or how to find this from its head.
 * @throws {DatasetError} If the file is missing, unreadable, no file at all or too large.
 * @throws {SyntaxError} If its gzip data is malformed.
 */
export async function readIdxFile(
  path: string,
  maxBytes: GunzipOptions["maxBytes"],
): Promise<FileContent> {
  const size = await sizeOf(path, maxBytes);
  if (size === undefined) throw new MissingFileError(`Cannot find "${path}"`);
  return { bytes: await collect(contentOf(path, maxBytes), size), path };
}

/** Reads a file of a known dataset from a folder, gzipped or not, and checks its digest.
 *
 * @throws {DatasetError} If the file is missing, unreadable or not the one expected.
 */
export async function readVerified(folder: string, file: DatasetFile): Promise<Uint8Array> {
  const { path, size } = await locate(folder, file.name, file.byteLength);
  return await collect(verified(path, file), size);
}

/** Checks a file as {@linkcode readVerified} does, and keeps nothing of it. */
export async function requireVerified(folder: string, file: DatasetFile): Promise<void> {
  const { path } = await locate(folder, file.name, file.byteLength);
  for await (const _ of verified(path, file));
}

/** Where a file is to be copied from. */
export interface Origin {
  /** Folder that holds it. */
  readonly folder: string;
  /** Its name there, without `.gz`; default its own. */
  readonly name?: string;
  /** How messages call it; default its path. */
  readonly label?: string;
}

/** Copies a file of a known dataset into a folder, uncompressed, where it gets its name only after
 * its digest has been checked. It is never in memory as a whole.
 *
 * @throws {DatasetError} If the file is missing, unreadable or not the one expected.
 * @throws {Error} What the file system says if it cannot be written.
 */
export async function copyVerified(from: Origin, file: DatasetFile, folder: string): Promise<void> {
  const { path } = await locate(from.folder, from.name ?? file.name, file.byteLength);
  await streamAtomic(join(folder, file.name), verified(path, file, from.label));
}

/** Passes on uncompressed content piece by piece; fails at its end, or as soon as it is too large.
 *
 * @param label How messages call the file.
 * @throws {DatasetError} If it is not the one expected.
 */
async function* verified(
  path: string,
  file: DatasetFile,
  label = path,
): AsyncGenerator<Uint8Array> {
  const hash = createHash("sha256");
  let byteLength = 0;
  try {
    for await (const chunk of contentOf(path, file.byteLength)) {
      hash.update(chunk);
      byteLength += chunk.length;
      if (byteLength > file.byteLength) break;
      yield chunk;
    }
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof DatasetError)) throw error;
    throw new DatasetError(error.message.replaceAll(path, label), { cause: error });
  }
  if (byteLength !== file.byteLength) {
    const found = byteLength > file.byteLength ? "more" : byteLength.toLocaleString("en-US");
    throw new DatasetError(
      `Cannot use "${label}": expected ${file.byteLength.toLocaleString("en-US")} bytes of ` +
        `${file.name}, found ${found}`,
    );
  }
  const sha256 = hash.digest("hex");
  if (sha256 !== file.sha256) {
    throw new DatasetError(
      `Cannot use "${label}": expected SHA-256 ${file.sha256.slice(0, 16)}... of ${file.name}, ` +
        `found ${sha256.slice(0, 16)}...; the file is damaged or another one`,
    );
  }
}

/** Finds `name` or `name.gz`, of a size that may be read. */
async function locate(
  folder: string,
  name: string,
  maxBytes: GunzipOptions["maxBytes"],
): Promise<{ path: string; size: number }> {
  for (const candidate of [name, `${name}.gz`]) {
    const path = join(folder, candidate);
    const size = await sizeOf(path, maxBytes);
    if (size !== undefined) return { path, size };
  }
  throw new MissingFileError(`Cannot find "${join(folder, name)}", neither as it is nor as .gz`);
}

/** Size of a file that may be read; undefined where there is none. */
async function sizeOf(
  path: string,
  maxBytes: GunzipOptions["maxBytes"],
): Promise<number | undefined> {
  const contentLimit = typeof maxBytes === "number" ? maxBytes : MAX_IDX_BYTES;
  const info = await stat(path);
  if (info === undefined) return undefined;
  if (!info.isFile) {
    throw new DatasetError(`Cannot read "${path}": expected a file, found something else`);
  }
  if (info.size <= maxGzipBytes(contentLimit)) return info.size;
  throw new DatasetError(
    `Cannot read "${path}": expected at most ${contentLimit.toLocaleString("en-US")} bytes, ` +
      `found ${info.size.toLocaleString("en-US")}; obtain the file again`,
  );
}

async function stat(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return;
    throw unreadable(path, error);
  }
}

/** The uncompressed content of a file, piece by piece. */
async function* contentOf(
  path: string,
  maxBytes: GunzipOptions["maxBytes"],
): AsyncGenerator<Uint8Array> {
  try {
    using file = await Deno.open(path);
    const head = new Uint8Array(2);
    await file.read(head);
    await file.seek(0, Deno.SeekMode.Start);
    if (isGzip(head)) yield* gunzip(slicesOf(file, SLICE_BYTES), { name: path, maxBytes });
    else yield* slicesOf(file, 8 * SLICE_BYTES);
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** A file, slice by slice. Each overwrites the last, so that none waits to be collected: whoever
 * takes them, a decompressor too, is done with one before it asks for the next.
 */
async function* slicesOf(file: Deno.FsFile, sliceBytes: number): AsyncGenerator<Uint8Array> {
  const slice = new Uint8Array(sliceBytes);
  for (let read; (read = await file.read(slice)) !== null;) yield slice.subarray(0, read);
}

function unreadable(path: string, error: unknown): unknown {
  if (!isSystemError(error)) return error;
  return new DatasetError(`Cannot read "${path}": ${readingReason(error)}`, { cause: error });
}
