/** One process at a time in a run's folder. */

/** Claims a folder for this process, until it is disposed or the process ends.
 *
 * The claim is the system's lock on the folder itself: a killed process leaves none behind. Windows
 * cannot lock a folder; there, two processes started at one instant can meet.
 *
 * @throws {TypeError} If another process holds the claim.
 */
export async function claimFolder(path: string): Promise<Disposable> {
  if (Deno.build.os === "windows") return { [Symbol.dispose]() {} };
  const folder = await Deno.open(path);
  if (await folder.tryLock(true)) return folder;
  folder.close();
  throw new TypeError(
    `Cannot use ${path}: another process is at work on it; wait for it, or choose another folder`,
  );
}
