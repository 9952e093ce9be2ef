/** Deno's permissions as commands use them: asked for early, given back early. */

import { dirname } from "node:path";

/** Makes sure that a path may be written: asks on a terminal, elsewhere it must be allowed already.
 *
 * @throws {TypeError} If it may not.
 */
export async function requireWritePermission(path: string): Promise<void> {
  const { state } = await Deno.permissions.request({ name: "write", path });
  if (state === "granted") return;
  throw new TypeError(
    `Cannot write to ${path}: this command has no permission to; choose a path below runs/`,
  );
}

/** Makes sure that a file can be written later: permission, and a folder to hold it.
 *
 * @throws {TypeError} If it may not be written.
 * @throws {Deno.errors.NotFound} If there is no such folder.
 */
export async function requireWritableFile(path: string): Promise<void> {
  await requireWritePermission(path);
  await Deno.stat(dirname(path));
}

/** Gives back the permissions that only fetching needs, so that training has no way out.
 *
 * A later attempt to use the network or to start a program fails, or asks on a terminal.
 */
export async function dropFetchPermissions(): Promise<void> {
  await Deno.permissions.revoke({ name: "net" });
  await Deno.permissions.revoke({ name: "run" });
}
