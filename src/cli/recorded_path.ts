/** Paths as they are recorded in files that travel, and found again from there. */

import { basename, isAbsolute, join, relative, resolve } from "node:path";
import { DEFAULT_DATA_DIR } from "../data/fetch.ts";
import { isDatasetFolder } from "../data/idx_folder.ts";
import { findDataset } from "../data/registry.ts";
import { quoteWhole } from "../quote.ts";
import { ELSEWHERE, isElsewhere, type RunConfig } from "../run/config.ts";

/** A path as it is recorded: below the working directory relative to it, of all others `.../` and the
 * last part.
 *
 * What lies between may name a user, and says nothing on another machine.
 */
export function recordedPath(path: string): string {
  const within = relative(Deno.cwd(), path);
  const isOutside = isAbsolute(within) || /^\.\.([\\/]|$)/.test(within);
  return (isOutside ? ELSEWHERE + basename(resolve(path)) : within) || ".";
}

/** The name of a dataset as it is recorded: `mnist` of the one known by it, `./mnist` of a folder, and
 * `.../mnist` of one outside of the working directory.
 */
export function recordedDataset(name: string): string {
  if (findDataset(name)) return name;
  const path = recordedPath(name);
  return path === "." || isElsewhere(path) ? path : `./${path}`;
}

/** The way from a run's folder up to the working directory, as `../..`; undefined if it goes down. */
export function recordedWay(run: string): string | undefined {
  const way = relative(run, Deno.cwd());
  return WAY_UP.test(way) ? way.replaceAll("\\", "/") : undefined;
}

const WAY_UP = /^\.\.([\\/]\.\.)*$/;

/** Finds the dataset that a run recorded, from wherever the command is started: below the folder in
 * which the run was, as far as it stands where it did, else below this one.
 *
 * @returns Its name or folder, and the folder of the datasets known by name.
 * @throws {TypeError} If it is a folder that is not there.
 */
export async function findRecorded(
  { dataset: { name }, workingDirectory }: Pick<RunConfig, "workingDirectory"> & {
    readonly dataset: { readonly name: string };
  },
  run: string,
): Promise<{ readonly name: string; readonly dataDir: string }> {
  // The run may be named by a link, and may have been written through one.
  const runs = workingDirectory === undefined ? [] : [run, await Deno.realPath(run)];
  const bases = [...runs.map((path) => join(path, workingDirectory!)), "."]
    .map((path) => relative(Deno.cwd(), resolve(path)));
  const isKnown = findDataset(name) !== undefined;
  for (const base of isElsewhere(name) ? [] : bases) {
    const dataDir = join(base, DEFAULT_DATA_DIR);
    const folder = isKnown ? join(dataDir, name) : base === "" ? name : join(base, name);
    if (await isDatasetFolder(folder)) return { name: isKnown ? name : folder, dataDir };
  }
  if (isKnown) return { name, dataDir: DEFAULT_DATA_DIR };
  throw new TypeError(
    `Cannot find the dataset that ${run} was trained on: ` +
      (isElsewhere(name)
        ? `the folder ${quoteWhole(basename(name))} was not below where it was started`
        : `expected the folder ${quoteWhole(name)}, found none`) +
      "; give it with --dataset DIR",
  );
}
