/** Files that are read whole, but never more of them than they may have. */

import { printable } from "./quote.ts";

/** Largest file of a model that is read: a checkpoint's three vectors of 40 million parameters. */
const MAX_MODEL_BYTES = 512 * 2 ** 20;

/** Reads a regular file of at most `maxBytes`, whatever its folder says of its size.
 *
 * A pipe or a device, which may never end, is refused before it is read.
 *
 * @param maxBytes Default 512 MiB, which no file of a model exceeds.
 * @throws {RangeError} If it is larger.
 * @throws {TypeError} If it is no regular file.
 * @throws {Deno.errors.NotFound} If it is not there, or what else the file system says.
 */
export async function readBounded(
  path: string,
  maxBytes = MAX_MODEL_BYTES,
): Promise<Uint8Array<ArrayBuffer>> {
  const { isFile, isDirectory, size } = await Deno.stat(path);
  if (!isFile) {
    const found = isDirectory ? "folder" : "pipe or device";
    throw new TypeError(
      `Cannot read ${printable(path)}: expected a file, found a ${found}; choose another file`,
    );
  }
  if (size > maxBytes) throw tooLarge(path, size, maxBytes);
  using file = await Deno.open(path);
  const bytes = new Uint8Array(size);
  let length = 0;
  while (length < size) {
    const read = await file.read(bytes.subarray(length));
    if (read === null) return bytes.slice(0, length); // it has shrunk meanwhile
    length += read;
  }
  if (await file.read(new Uint8Array(1)) !== null) throw tooLarge(path, size + 1, size);
  return bytes;
}

/** The same for a file of a folder that may come from anybody: links are not followed.
 *
 * A link could lead to any file of this machine, whose content would then show.
 *
 * @throws {TypeError} If the file is a link.
 */
export async function readUnlinked(
  path: string,
  maxBytes = MAX_MODEL_BYTES,
): Promise<Uint8Array<ArrayBuffer>> {
  if ((await Deno.lstat(path)).isSymlink) {
    throw new TypeError(
      `Cannot read ${printable(path)}: expected a file, found a link; put the file itself in its ` +
        "place",
    );
  }
  return await readBounded(path, maxBytes);
}

function tooLarge(path: string, size: number, maxBytes: number): RangeError {
  return new RangeError(
    `Cannot read ${printable(path)}: it has ${size} bytes, more than ${maxBytes}; choose another ` +
      "file",
  );
}
