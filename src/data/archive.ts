/** Archives that datasets come in: one member of a .tar.gz or a .zip, piece by piece. */

import { MissingFileError } from "./errors.ts";
import { bounded, collect, contentOf, gunzip, isGzip } from "./files.ts";
import { concat } from "./png_chunks.ts";

const BLOCK_BYTES = 512;

/** Content of an archive: far above any dataset's. */
const MAX_ARCHIVE_BYTES = 2 ** 32;

type Chunks = AsyncIterable<Uint8Array>;

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

/** The same piece by piece; fails where there is none.
 *
 * @param label How messages call the archive.
 * @throws {MissingFileError} If it has no member of that name.
 */
export async function* memberContent(
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

/** The content of an archive's member; nothing where it has none of that name.
 *
 * @param archive Content of a .zip, or of a .tar without the gzip around it.
 * @param isZip Which of them.
 * @param isWanted Tells the member by its name, without the folders that it lies in.
 */
export async function* memberOf(
  archive: Chunks,
  { isZip, isWanted }: {
    readonly isZip: boolean;
    readonly isWanted: (name: string) => boolean;
  },
): AsyncGenerator<Uint8Array> {
  const isMember = (path: string) =>
    !path.startsWith("__MACOSX/") && isWanted(path.slice(path.lastIndexOf("/") + 1));
  yield* isZip ? zipMember(archive, isMember) : tarMember(archive, isMember);
}

/** Headers of 512 bytes, each before its content, which is filled up to full blocks. */
async function* tarMember(
  archive: Chunks,
  isMember: (path: string) => boolean,
): AsyncGenerator<Uint8Array> {
  let rest: Uint8Array = new Uint8Array();
  let [contentBytes, fillBytes, isInside] = [0, 0, false];
  for await (const chunk of archive) {
    const data = concat([rest, chunk]);
    let at = 0;
    const take = (most: number) => data.subarray(at, at += Math.min(most, data.length - at));
    for (;;) {
      const content = take(contentBytes);
      contentBytes -= content.length;
      if (isInside && content.length > 0) yield content;
      if (contentBytes === 0 && isInside) return;
      if (contentBytes === 0) fillBytes -= take(fillBytes).length;
      if (contentBytes + fillBytes > 0 || data.length - at < BLOCK_BYTES) break;
      const header = take(BLOCK_BYTES);
      const size = parseInt(textAt(header, 124, 136), 8);
      if (!(size >= 0)) return; // two blocks of zeros are the end
      [contentBytes, fillBytes] = [size, -size & BLOCK_BYTES - 1];
      isInside = isMember(textAt(header, 0, 100));
    }
    rest = data.slice(at);
  }
}

function textAt(header: Uint8Array, start: number, end: number): string {
  return new TextDecoder().decode(header.subarray(start, end)).split("\0")[0];
}

async function* zipMember(
  archive: Chunks,
  isMember: (path: string) => boolean,
): AsyncGenerator<Uint8Array> {
  const { Unzip, UnzipInflate } = await import("npm:fflate@0.8.3"); // only now: hardly any data come in it
  const found: Uint8Array[] = [];
  let isOver = false;
  const unzip = new Unzip((file) => {
    if (isOver || !isMember(file.name)) return;
    file.ondata = (error, data, isLast) => {
      if (error) throw error;
      found.push(data);
      isOver ||= isLast;
    };
    file.start();
  });
  unzip.register(UnzipInflate);
  for await (const chunk of archive) {
    unzip.push(chunk.slice()); // which it keeps, and the reader overwrites
    yield* found.splice(0);
    if (isOver) return;
  }
}
