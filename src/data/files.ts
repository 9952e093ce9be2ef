/** Dataset files on disk: bounded reading, checking by digest, writing all or nothing. */
import { join } from "node:path";
import { sha256Hex } from "../sha256.ts";
import { isSystemError, readingReason } from "../system_reason.ts";
import { DatasetError, MissingFileError } from "./errors.ts";
import { gunzip, type GunzipOptions, isGzip } from "./gunzip.ts";
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

/** Reads `name` or `name.gz` from a folder and decompresses it, within a bound.
 *
 * @param maxBytes Most bytes the uncompressed content may have, or how to find this from its head.
 * @throws {DatasetError} If the file is missing, unreadable, no file at all or too large.
 * @throws {SyntaxError} If its gzip data is malformed.
 */
export async function readIdxFile(
  folder: string,
  name: string,
  maxBytes: GunzipOptions["maxBytes"],
): Promise<FileContent> {
  const { path, size } = await locate(folder, name);
  const contentLimit = typeof maxBytes === "number" ? maxBytes : MAX_IDX_BYTES;
  if (size > maxGzipBytes(contentLimit)) {
    throw new DatasetError(
      `Cannot read "${path}": expected at most ${contentLimit.toLocaleString("en-US")} bytes, ` +
        `found ${size.toLocaleString("en-US")}; obtain the file again`,
    );
  }
  const bytes = await readFile(path);
  return { bytes: isGzip(bytes) ? await gunzip(bytes, { name: path, maxBytes }) : bytes, path };
}

/** Reads a file of a known dataset from a folder, gzipped or not, and checks its digest.
 *
 * @throws {DatasetError} If the file is missing, unreadable or not the one expected.
 */
export async function readVerified(folder: string, file: DatasetFile): Promise<Uint8Array> {
  try {
    const { bytes, path } = await readIdxFile(folder, file.name, file.byteLength);
    checkContent(bytes, file, path);
    return bytes;
  } catch (error) {
    if (error instanceof SyntaxError) throw new DatasetError(error.message, { cause: error });
    throw error;
  }
}

/** Checks size and digest of uncompressed content.
 *
 * @param origin How messages call the place it came from.
 * @throws {DatasetError} If it is not the file expected.
 */
export function checkContent(bytes: Uint8Array, file: DatasetFile, origin: string): void {
  if (bytes.length !== file.byteLength) {
    throw new DatasetError(
      `Cannot use "${origin}": expected ${file.byteLength.toLocaleString("en-US")} bytes of ` +
        `${file.name}, found ${bytes.length.toLocaleString("en-US")}`,
    );
  }
  const sha256 = sha256Hex(bytes);
  if (sha256 !== file.sha256) {
    throw new DatasetError(
      `Cannot use "${origin}": expected SHA-256 ${file.sha256.slice(0, 16)}... of ${file.name}, ` +
        `found ${sha256.slice(0, 16)}...; the file is damaged or another one`,
    );
  }
}

async function locate(folder: string, name: string): Promise<{ path: string; size: number }> {
  for (const candidate of [name, `${name}.gz`]) {
    const path = join(folder, candidate);
    const info = await stat(path);
    if (info === undefined) continue;
    if (info.isFile) return { path, size: info.size };
    throw new DatasetError(`Cannot read "${path}": expected a file, found something else`);
  }
  throw new MissingFileError(`Cannot find "${join(folder, name)}", neither as it is nor as .gz`);
}

async function stat(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return;
    throw unreadable(path, error);
  }
}

async function readFile(path: string): Promise<Uint8Array> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    throw unreadable(path, error);
  }
}

function unreadable(path: string, error: unknown): unknown {
  if (!isSystemError(error)) return error;
  return new DatasetError(`Cannot read "${path}": ${readingReason(error)}`, { cause: error });
}
