/** Obtaining a dataset: source after source, until all of its files are there and verified. */
import { join } from "node:path";
import { sampleFolder } from "./embedded.ts";
import { DatasetError, MissingFileError } from "./errors.ts";
import { removeIfThere } from "../write_atomic.ts";
import { requireVerified } from "./files.ts";
import { removePartial } from "./partial.ts";
import { TEMPORARY_PREFIX } from "./packages.ts";
import {
  type DatasetEntry,
  datasetEntry,
  type DatasetFile,
  FILE_NAMES,
  PARTS,
  SAMPLE,
} from "./registry.ts";
import { sourcesOf } from "./sources.ts";

/** Folder that holds the datasets, one folder each, unless told otherwise. */
export const DEFAULT_DATA_DIR = "data";

/** Waiting for another process by asking now and then, rather than in one go, can be interrupted. */
const LOCK_POLL_MS = 200;

/** What happens during a fetch. */
export type FetchEvent =
  | { readonly type: "damaged"; readonly file: string; readonly reason: string }
  | { readonly type: "waiting"; readonly folder: string }
  | { readonly type: "source"; readonly source: string }
  | {
    readonly type: "progress";
    readonly file: string;
    /** Bytes received so far, and in all where the server says it. */
    readonly bytes: number;
    readonly total: number | undefined;
  }
  | { readonly type: "stored"; readonly file: string; readonly byteLength: number }
  | { readonly type: "failed"; readonly source: string; readonly reason: string };

/** How to fetch. */
export interface FetchOptions {
  /** Folder of all datasets; default {@linkcode DEFAULT_DATA_DIR}. */
  readonly dataDir?: string;
  /** A folder or an address that alone is to be used, in place of the known sources. */
  readonly from?: string;
  /** Whether `from` may be an `http:` address of this machine itself; default false. */
  readonly allowLoopbackHttp?: boolean;
  /** Obtain every file again, also those that are there and verified. */
  readonly force?: boolean;
  /** Stops the fetch; partial downloads stay for the next one. */
  readonly signal?: AbortSignal;
  /** Called with everything that happens. */
  readonly onEvent?: (event: FetchEvent) => void;
}

/** Where a dataset now is and where it came from. */
export interface FetchResult {
  /** Name of the dataset. */
  readonly name: string;
  /** Folder that holds its files. */
  readonly folder: string;
  /** Sources that gave a file; empty if all was there already. */
  readonly sources: readonly string[];
}

/** Makes sure that a dataset is in its folder, complete and verified.
 *
 * A file gets its name only once its digest has been checked, so an interrupted or failed fetch
 * never looks complete, and what was there and valid stays. Fetches into one folder take turns.
 *
 * @throws {DatasetError} If the name is unknown or every source fails.
 * @throws {Error} What the file system says if the folder cannot be written, or the reason of
 * `signal`.
 */
export async function fetchDataset(name: string, options: FetchOptions = {}): Promise<FetchResult> {
  const entry = datasetEntry(name);
  return await (name === SAMPLE ? verifySample(entry) : fetchEntry(entry, options));
}

/** The same as {@linkcode fetchDataset} for an entry that need not be in the registry. */
export async function fetchEntry(
  entry: DatasetEntry,
  options: FetchOptions = {},
): Promise<FetchResult> {
  const { dataDir = DEFAULT_DATA_DIR, from, force = false, onEvent = () => {} } = options;
  const { name } = entry;
  const folder = join(dataDir, name);
  const sources = sourcesOf(entry, from, options);
  if (!force && (await unverified(entry, folder)).length === 0) {
    return { name, folder, sources: [] };
  }
  await Deno.mkdir(folder, { recursive: true });
  using _lock = await lockFolder(folder, options);
  await removeLeftovers(folder);
  // Once more, as another process may have fetched while this one waited.
  let missing = force
    ? PARTS.map((part) => entry.files[part])
    : await unverified(entry, folder, onEvent);
  const used: string[] = [];
  const failures: string[] = [];
  for (const source of sources) {
    if (missing.length === 0) break;
    options.signal?.throwIfAborted();
    onEvent({ type: "source", source: source.name });
    const before = missing.length;
    try {
      await using opened = await source.open({
        folder,
        signal: options.signal,
        onProgress: (file, bytes, total) =>
          onEvent({ type: "progress", file: file.name, bytes, total }),
      });
      for (const file of missing) {
        await opened.store(file);
        await removeSuperseded(join(folder, file.name));
        options.signal?.throwIfAborted();
        onEvent({ type: "stored", file: file.name, byteLength: file.byteLength });
        missing = missing.filter((other) => other !== file);
      }
    } catch (error) {
      if (!(error instanceof DatasetError)) throw error;
      failures.push(error.message);
      onEvent({ type: "failed", source: source.name, reason: error.message });
    }
    if (missing.length < before) used.push(source.name);
  }
  if (missing.length > 0) throw allFailed(entry, failures, from && sources[0].name);
  return { name, folder, sources: used };
}

/** Says where a dataset is, complete and verified; undefined if it is not. */
export async function verifiedFolder(
  entry: DatasetEntry,
  dataDir = DEFAULT_DATA_DIR,
): Promise<string | undefined> {
  const folder = entry.name === SAMPLE ? sampleFolder() : join(dataDir, entry.name);
  return (await unverified(entry, folder)).length === 0 ? folder : undefined;
}

/** Lists the files of a dataset that are not in its folder as they must be. */
async function unverified(
  entry: DatasetEntry,
  folder: string,
  onEvent: (event: FetchEvent) => void = () => {},
): Promise<DatasetFile[]> {
  const missing: DatasetFile[] = [];
  for (const part of PARTS) {
    const file = entry.files[part];
    try {
      await requireVerified(folder, file);
    } catch (error) {
      if (!(error instanceof DatasetError)) throw error;
      missing.push(file);
      if (!(error instanceof MissingFileError)) {
        onEvent({ type: "damaged", file: file.name, reason: error.message });
      }
    }
  }
  return missing;
}

/** The sample is part of the project: all that can be done is to look whether it is whole. */
async function verifySample(entry: DatasetEntry): Promise<FetchResult> {
  const folder = sampleFolder();
  for (const part of PARTS) await requireVerified(folder, entry.files[part]);
  return { name: entry.name, folder, sources: [] };
}

/** Once a file is stored, an older or damaged `.gz` and the rest of a download are of no use. */
async function removeSuperseded(path: string): Promise<void> {
  await removeIfThere(`${path}.gz`);
  await removePartial(`${path}.download.part`);
}

/** Takes the folder's lock, which the system gives back when the process ends, however it ends. */
async function lockFolder(folder: string, { signal, onEvent }: FetchOptions) {
  const file = await Deno.open(join(folder, ".lock"), { create: true, write: true });
  try {
    for (let attempt = 0; !await file.tryLock(true); attempt++) {
      if (attempt === 0) onEvent?.({ type: "waiting", folder });
      await new Promise((resolve) => setTimeout(resolve, LOCK_POLL_MS));
      signal?.throwIfAborted();
    }
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Removes what a killed fetch left; under the lock, nobody else's. Partial downloads stay. */
async function removeLeftovers(folder: string): Promise<void> {
  const names = Object.values(FILE_NAMES);
  for await (const { name } of Deno.readDir(folder)) {
    const isTemporary = names.some((file) => name.startsWith(`${file}.tmp-`));
    if (isTemporary || name.startsWith(TEMPORARY_PREFIX)) {
      await Deno.remove(join(folder, name), { recursive: true });
    }
  }
}

function allFailed(entry: DatasetEntry, failures: readonly string[], from?: string): DatasetError {
  if (from !== undefined) {
    return new DatasetError(`Cannot fetch ${entry.name} from ${from}: ${failures[0]}`);
  }
  return new DatasetError(
    `Cannot fetch ${entry.name}: none of its ${failures.length} sources could give it; ` +
      "check the network, or name a folder or mirror that holds it with --from",
    { cause: failures },
  );
}
