/** A run's folder as such: where it is, what lies in it, and who may use it. */

import { join } from "node:path";
import { quote } from "../quote.ts";
import { removeIfThere, TEMPORARY } from "../write_atomic.ts";

/** What a run's files are called. */
export const FILES = {
  config: "config.json",
  metrics: "metrics.jsonl",
  steps: "steps.jsonl",
  checkpoint: "checkpoint.safetensors",
  previous: "checkpoint.previous.safetensors",
  model: "model.safetensors",
  best: "best.safetensors",
  layersModel: "model",
} as const;

/** Where runs and sweeps go that are not given a folder. */
export const RUNS = "runs";

/** Makes `runs/lenet-20261123-141502`, or with `-2` behind it if that is taken. */
export async function makeFolder(name: string): Promise<string> {
  await Deno.mkdir(RUNS, { recursive: true });
  const now = new Date().toISOString().replace(/[-:]/g, "");
  const path = join(RUNS, `${name}-${now.slice(0, 8)}-${now.slice(9, 15)}`);
  for (let number = 1;; number++) {
    const candidate = number === 1 ? path : `${path}-${number}`;
    try {
      await Deno.mkdir(candidate);
      return candidate;
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
  }
}

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

/** Checks that a new run may use a folder: it must be missing or empty.
 *
 * What {@linkcode RunFolder.create} leaves if it is killed before there is a run does not count.
 *
 * @throws {TypeError} If it holds something already.
 */
export async function requireVacant(path: string): Promise<void> {
  try {
    const entries = await Array.fromAsync(Deno.readDir(path));
    const hasBegun = entries.some(({ name }) => name === FILES.config);
    for (const entry of entries) {
      if (!hasBegun && isLeftover(entry.name)) continue;
      const advice = hasBegun ? `, or go on with train --resume ${path}` : "";
      throw new TypeError(
        `Cannot start in ${path}: it holds ${quote(entry.name)} already; ` +
          `choose another --out${advice}`,
      );
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Checks that going on with a run, which may come from anybody, writes nowhere but in its folder.
 *
 * @throws {TypeError} If the folder holds a link.
 */
export async function requireNoLinks(path: string): Promise<void> {
  for await (const { name, isSymlink } of Deno.readDir(path)) {
    if (!isSymlink) continue;
    throw new TypeError(
      `Cannot go on with ${path}: ${quote(name)} in it is a link, which may lead anywhere; ` +
        `put the file itself in its place`,
    );
  }
}

/** Whether a file is what a killed process was writing when it ended. */
export function isTemporary(name: string): boolean {
  return TEMPORARY.test(name);
}

/** Whether a file can come from a start that was killed before there was a configuration. */
export function isLeftover(name: string): boolean {
  return name === FILES.checkpoint || name === FILES.previous || isTemporary(name);
}

/** Removes the files of a folder whose names are meant; one that is not there has none. */
export async function removeFiles(
  folder: string,
  isMeant: (name: string) => boolean,
): Promise<void> {
  const entries = await Array.fromAsync(Deno.readDir(folder)).catch(() => []);
  for (const { name } of entries) if (isMeant(name)) await removeIfThere(join(folder, name));
}
