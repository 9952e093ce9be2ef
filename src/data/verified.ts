/** Files of known datasets: checked by their digests when they are stored and when they are read. */

import { join } from "node:path";
import { formatCount } from "../quote.ts";
import { createSha256 } from "../sha256.ts";
import { removeIfThere, streamAtomic, writeAtomic } from "../write_atomic.ts";
import { memberContent } from "./archive.ts";
import { DatasetError, MissingFileError } from "./errors.ts";
import { collect, contentOf, isGzip, sizeOf, SLICE_BYTES, slicesOf, unreadable } from "./files.ts";
import type { DatasetFile } from "./registry.ts";

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
 * @param options How messages call the file that is copied, and whether it comes from others.
 * @returns Whether a digest of it is known: without one, its length alone is checked.
 * @throws {DatasetError} If the file is unreadable or not the one expected.
 * @throws {Error} What the file system says if it cannot be written.
 */
export async function copyVerified(
  path: string,
  file: DatasetFile,
  folder: string,
  { label = path, isForeign = false }: {
    readonly label?: string;
    /** Whether it comes from others, and must not be taken unchecked. */
    readonly isForeign?: boolean;
  } = {},
): Promise<boolean> {
  const { gzSha256 } = file;
  const isChecked = file.sha256 !== undefined || gzSha256 !== undefined && await isPacked(path);
  if (isForeign && !isChecked) {
    throw new DatasetError(
      `Cannot use "${label}": expected a .gz, of which alone a digest is known`,
    );
  }
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
  const hash = createSha256();
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
  const hash = createSha256();
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

/** Passes on the content of a file of a known dataset piece by piece; at its end, or as soon as it is
 * too large, fails if it is not the one expected.
 */
async function* verified(
  content: AsyncIterable<Uint8Array>,
  file: DatasetFile,
  label: string,
): AsyncGenerator<Uint8Array> {
  const hash = createSha256();
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
    : [`${formatCount(file.byteLength)} bytes`, formatCount(byteLength), ""];
  throw new DatasetError(
    `Cannot use "${label}": expected ${expected} of ${file.name}, found ${found}${advice}`,
  );
}
