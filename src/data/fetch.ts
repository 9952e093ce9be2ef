/** Obtaining a dataset: source after source, until all of its files are there and verified. */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { removeIfThere, TEMPORARY } from "../write_atomic.ts";
import { DatasetError, MissingFileError } from "./errors.ts";
import { requireVerified } from "./verified.ts";
import { type DatasetEntry, datasetEntry, type DatasetFile, SAMPLE } from "./registry.ts";
import { partialPath, type Source, sourcesOf, UNPACK_PREFIX } from "./sources.ts";

/** Folder that holds the datasets, one folder each, unless told otherwise. */
export const DEFAULT_DATA_DIR = "data";

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
  | {
    readonly type: "stored";
    readonly file: string;
    readonly byteLength: number;
    /** Whether its digest is known, or that of its archive, and right. */
    readonly isChecked: boolean;
  }
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
  /** Folder that holds its files. */
  readonly folder: string;
  /** Sources that gave a file; empty if all was there already. */
  readonly sources: readonly string[];
  /** Files whose length alone could be checked, as nobody publishes a digest of them by themselves. */
  readonly unchecked: readonly string[];
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
  if (name !== SAMPLE) return await fetchEntry(entry, options);
  // It is part of the project: all that can be done is to look whether it is whole.
  const folder = folderOf(entry);
  for (const file of Object.values(entry.files)) await requireVerified(folder, file);
  return { folder, sources: [], unchecked: [] };
}

/** The same as {@linkcode fetchDataset} for an entry that need not be in the registry. */
export async function fetchEntry(
  entry: DatasetEntry,
  options: FetchOptions = {},
): Promise<FetchResult> {
  const { dataDir = DEFAULT_DATA_DIR, from, force = false, onEvent = () => {} } = options;
  const { name } = entry;
  const folder = folderOf(entry, dataDir);
  const sources = sourcesOf(entry, options);
  const unchecked: string[] = [];
  if (!force && await verifiedFolder(entry, dataDir)) return { folder, sources: [], unchecked };
  await Deno.mkdir(folder, { recursive: true });
  using _lock = await lockFolder(folder, options);
  // Once more, as another process may have fetched while this one waited.
  const missing = force ? Object.values(entry.files) : await unverified(entry, folder, onEvent);
  const used: string[] = [];
  const failures: string[] = [];
  for (const source of sources) {
    if (missing.length === 0) break;
    const before = missing.length;
    try {
      unchecked.push(...await storeFrom(source, missing, folder, options));
    } catch (error) {
      if (!(error instanceof DatasetError)) throw error;
      failures.push(error.message);
      onEvent({ type: "failed", source: source.name, reason: error.message });
    } finally {
      await removeLeftovers(folder);
    }
    if (missing.length < before) used.push(source.name);
  }
  if (missing.length === 0) return { folder, sources: used, unchecked };
  throw new DatasetError(
    from !== undefined
      ? `Cannot fetch ${name} from ${sources[0].name}: ${failures[0]}`
      : `Cannot fetch ${name}: none of its ${failures.length} sources could give it; ` +
        "check the network, or name a folder or mirror that holds it with --from",
    { cause: failures },
  );
}

/** Stores the files that are missing one by one, and takes them from the list.
 *
 * @returns Names of those that no digest is known of.
 */
async function storeFrom(
  source: Source,
  missing: DatasetFile[],
  folder: string,
  { signal, onEvent = () => {} }: FetchOptions,
): Promise<string[]> {
  const unchecked: string[] = [];
  signal?.throwIfAborted();
  onEvent({ type: "source", source: source.name });
  const store = await source.open({
    folder,
    signal,
    onProgress: (file, bytes, total) =>
      onEvent({ type: "progress", file: file.name, bytes, total }),
  });
  for (let file; (file = missing[0]) !== undefined; missing.shift()) {
    const isChecked = await store(file);
    if (!isChecked) unchecked.push(file.name);
    await removeIfThere(partialPath(folder, file)); // of a download that failed before
    signal?.throwIfAborted();
    onEvent({ type: "stored", file: file.name, byteLength: file.byteLength, isChecked });
  }
  return unchecked;
}

/** Folder that holds the files of a dataset once it is there.
 *
 * The sample is the project's own. In the compiled program all modules are one file, at the root of
 * the embedded folders.
 */
export function folderOf({ name }: DatasetEntry, dataDir = DEFAULT_DATA_DIR): string {
  if (name !== SAMPLE) return join(dataDir, name);
  const path = Deno.build.standalone ? "./data/sample" : "../../data/sample";
  return fileURLToPath(new URL(path, import.meta.url));
}

/** Says where a dataset is, complete and verified; undefined if it is not. */
export async function verifiedFolder(
  entry: DatasetEntry,
  dataDir = DEFAULT_DATA_DIR,
): Promise<string | undefined> {
  const folder = folderOf(entry, dataDir);
  return (await unverified(entry, folder)).length === 0 ? folder : undefined;
}

/** Lists the files of a dataset that are not in its folder as they must be. */
async function unverified(
  entry: DatasetEntry,
  folder: string,
  onEvent: (event: FetchEvent) => void = () => {},
): Promise<DatasetFile[]> {
  const missing: DatasetFile[] = [];
  for (const file of Object.values(entry.files)) {
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

/** Takes the folder's lock, which the system frees when the process ends, however it ends. */
async function lockFolder(folder: string, { signal, onEvent }: FetchOptions) {
  using stack = new DisposableStack();
  const file = stack.use(await Deno.open(join(folder, ".lock"), { create: true, write: true }));
  for (let attempt = 0; !await file.tryLock(true); attempt++) {
    if (attempt === 0) onEvent?.({ type: "waiting", folder });
    await delay(200); // waiting in one go could not be interrupted
    signal?.throwIfAborted();
  }
  stack.move(); // from here on the caller closes it
  return file;
}

/** Removes what is temporary, a killed fetch's too; partial downloads stay. Needs the lock. */
async function removeLeftovers(folder: string): Promise<void> {
  for await (const { name } of Deno.readDir(folder)) {
    if (!TEMPORARY.test(name) && !name.startsWith(UNPACK_PREFIX)) continue;
    await Deno.remove(join(folder, name), { recursive: true });
  }
}
