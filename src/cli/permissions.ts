/** Deno's permissions as commands use them: asked for early, given back early. */

import { basename, dirname, join, resolve } from "node:path";
import { printable, shellWord } from "../quote.ts";

/** Makes sure that a folder may be written: asks on a terminal, elsewhere it must be allowed already.
 *
 * @param path The file in it that is meant, for the message: it is made beside its place.
 * @throws {TypeError} If it may not.
 */
export async function requireWritePermission(folder: string, path = folder): Promise<void> {
  const { state } = await Deno.permissions.request({ name: "write", path: folder });
  if (state === "granted") return;
  const script = basename(Deno.mainModule);
  const [command] = /^[a-z]+/.exec(script) ?? [script]; // compare_backends.ts is compare
  throw new TypeError(
    `Cannot write to ${path}: this command has no permission to; choose a path below runs/, or give ` +
      `its flags to deno run -P=${command} --allow-write=${shellWord(resolve(folder))} ` +
      `scripts/${script}`,
  );
}

/** Makes sure that a file can be written later: permission, and a folder to hold it.
 *
 * @throws {TypeError} If it may not be written, or is a folder.
 * @throws {Deno.errors.NotFound} If there is no such folder.
 */
export async function requireWritableFile(path: string): Promise<void> {
  await requireNoFolder(path);
  await requireWritePermission(dirname(path), path);
  await Deno.stat(dirname(path));
}

/** Makes sure that a path is no folder where a file is to be written.
 *
 * A file is made beside its place and then renamed: what that says tells of another folder.
 *
 * @param name What the file could be called in the folder, for the message.
 * @throws {TypeError} If it is one.
 */
export async function requireNoFolder(path: string, name = "FILE"): Promise<void> {
  const isFolder = await Deno.stat(path).then(({ isDirectory }) => isDirectory, () => false);
  if (!isFolder) return;
  throw new TypeError(
    printable(`Cannot write to ${path}: it is a folder; give a file, as ${join(path, name)}`),
  );
}

/** Gives back the permissions that only fetching needs, so that training has no way out.
 *
 * A later attempt to use the network or to start a program fails, or asks on a terminal.
 */
export async function dropFetchPermissions(): Promise<void> {
  await Deno.permissions.revoke({ name: "net" });
  await Deno.permissions.revoke({ name: "run" });
}
