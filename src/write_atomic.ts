/** Files that are written whole or not at all. */

import { dirname } from "node:path";

/** What the name of a file ends with while it is written; a crash can leave such a file behind. */
export const TEMPORARY = /\.tmp-\d+$/;

type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** Writes a file so that its name only ever shows the whole content: temporary file, sync, rename.
 *
 * @param previous Where to keep what the file held before: it is replaced only after the new
 * content has been read back. A crash between the two renamings leaves `previous` alone.
 * @throws {Error} What the file system says; the temporary file is then removed.
 */
export async function writeAtomic(
  path: string,
  content: Uint8Array | string,
  { previous }: { readonly previous?: string } = {},
): Promise<void> {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  await streamAtomic(path, [bytes], async (temporary) => {
    if (previous === undefined) return;
    await requireContent(temporary, bytes);
    await ifThere(Deno.rename(path, previous));
  });
}

/** The same for content that comes piece by piece; where it fails, the file stays as it was.
 *
 * @param onWritten Called with the temporary file before it gets its name.
 * @throws {Error} What the file system says, or what the content fails with.
 */
export async function streamAtomic(
  path: string,
  chunks: Chunks,
  onWritten: (temporary: string) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const temporary = `${path}.tmp-${Deno.pid}`;
  try {
    {
      using file = await Deno.open(temporary, { write: true, create: true, truncate: true });
      await writeAll(file, chunks);
    }
    await onWritten(temporary);
    await Deno.rename(temporary, path);
  } catch (error) {
    await removeIfThere(temporary);
    // The user knows the file by its own name.
    if (error instanceof Error) error.message = error.message.replaceAll(temporary, path);
    throw error;
  }
  await syncFolder(dirname(path));
}

/** Appends to a file, and returns when the disk has it. */
export async function appendSynced(path: string, text: string): Promise<void> {
  using file = await Deno.open(path, { append: true, create: true });
  await writeAll(file, [new TextEncoder().encode(text)]);
}

/** Writes content to an open file, piece by piece, and returns when the disk has it. */
export async function writeAll(file: Deno.FsFile, chunks: Chunks): Promise<void> {
  for await (const chunk of chunks) {
    for (let offset = 0; offset < chunk.length;) {
      offset += await file.write(chunk.subarray(offset));
    }
  }
  await file.sync();
}

async function requireContent(path: string, expected: Uint8Array): Promise<void> {
  const found = await Deno.readFile(path);
  if (found.length !== expected.length || found.some((byte, n) => byte !== expected[n])) {
    throw new Error(`Cannot save ${path}: the disk gives back something else; use another disk`);
  }
}

/** Makes the names in a folder last through a power failure, where the system can do that. */
async function syncFolder(path: string): Promise<void> {
  try {
    using folder = await Deno.open(path);
    await folder.sync();
  } catch {
    // Windows does not open folders, some file systems do not sync them, and a program that may
    // only write has no permission to: the content itself is safe.
  }
}

/** Removes a file; it is no error if there is none. */
export async function removeIfThere(path: string): Promise<void> {
  await ifThere(Deno.remove(path));
}

async function ifThere(action: Promise<void>): Promise<void> {
  try {
    await action;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
