/** Paths as they are recorded in files that travel, and found again from there. */

import { basename, isAbsolute, relative, resolve } from "node:path";
import { isDatasetFolder } from "../data/idx_folder.ts";
import { findDataset } from "../data/registry.ts";
import { quoteWhole } from "../quote.ts";

/** A path as it is recorded: below the working directory relative to it, elsewhere its last part.
 *
 * What lies between may name a user, and says nothing on another machine.
 */
export function recordedPath(path: string): string {
  const within = relative(Deno.cwd(), path);
  const isOutside = isAbsolute(within) || /^\.\.([\\/]|$)/.test(within);
  return (isOutside ? basename(resolve(path)) : within) || ".";
}

/** The name of a dataset as it is recorded: `mnist` of the one known by it, `./mnist` of a folder. */
export function recordedDataset(name: string): string {
  if (findDataset(name)) return name;
  const path = recordedPath(name);
  return path === "." ? path : `./${path}`;
}

/** Checks that what {@linkcode recordedDataset} made of a run's dataset leads to one from here.
 *
 * @param label Names the run in errors.
 * @throws {TypeError} If it is a folder that is not here.
 */
export async function requireRecordedDataset(name: string, label: string): Promise<void> {
  if (findDataset(name)) return;
  if (await isDatasetFolder(name)) return;
  throw new TypeError(
    `Cannot find the dataset that ${label} was trained on: expected the folder ` +
      `${quoteWhole(name)}, found none; give it with --dataset DIR`,
  );
}
