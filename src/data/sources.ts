/** The places a dataset can be obtained from: a folder, an address, a package. */
import { join } from "node:path";
import { removeIfThere } from "../write_atomic.ts";
import { addressText, download, isLoopbackHttp } from "./download.ts";
import { DatasetError, DownloadError, MissingFileError } from "./errors.ts";
import { unreadable } from "./files.ts";
import type { DatasetArchive, DatasetEntry, DatasetFile, DatasetPackage } from "./registry.ts";
import { copyVerified, locate, requirePacked, unpackVerified } from "./verified.ts";

/** What a source is given to work with. */
export interface FetchContext {
  /** Folder that the dataset is stored in; partial downloads and temporary folders live there. */
  readonly folder: string;
  /** Stops what is under way. */
  readonly signal?: AbortSignal;
  /** Called as bytes of a file arrive; the total is undefined where the server does not say it. */
  readonly onProgress: (file: DatasetFile, bytes: number, total: number | undefined) => void;
}

/** A place that a dataset can be obtained from. */
export interface Source {
  /** How messages call it. */
  readonly name: string;
  /** Makes it ready. Resolves with what stores a file in the dataset's folder, uncompressed, once
   * its digest has been checked, and with whether one is known.
   *
   * @throws {DatasetError} If it is not there or may not be used; so does what stores a file, if the
   * source cannot give it.
   */
  open(context: FetchContext): Promise<(file: DatasetFile) => Promise<boolean>>;
}

/** Lists the sources of a dataset in the order of trying: `from` alone, or all that are known.
 *
 * @throws {DatasetError} If `from` is an address that is not HTTPS, nor on this machine if allowed.
 */
export function sourcesOf(
  entry: DatasetEntry,
  { from, allowLoopbackHttp }: { readonly from?: string; readonly allowLoopbackHttp?: boolean },
): Source[] {
  if (from === undefined) {
    return [
      ...entry.systemFolders.map((folder) => folderSource(folder)),
      ...entry.homes.map((home) => addressSource(new URL(home), entry, false)),
      ...(entry.package ? [packageSource(entry.package)] : []),
    ];
  }
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(from)) return [folderSource(from, entry)];
  const home = URL.parse(from);
  if (home?.protocol !== "https:" && !(home && allowLoopbackHttp && isLoopbackHttp(home))) {
    const found = home === null ? from : addressText(home);
    throw new DatasetError(
      `Cannot fetch from "${found}": expected a folder or an https:// address`,
    );
  }
  if (!home.pathname.endsWith("/")) home.pathname += "/";
  return [addressSource(home, entry, true)];
}

/** Where the download of a file grows until it is complete and checked. */
export function partialPath(folder: string, file: Pick<DatasetFile, "name">): string {
  return join(folder, `${file.name}.download.part`);
}

/** A folder that holds the files, or the archive of them. */
function folderSource(folder: string, { archive }: Pick<DatasetEntry, "archive"> = {}): Source {
  return {
    name: `folder ${folder}`,
    async open(context) {
      await requireFolder(folder);
      const unpack = archive && once(async () => {
        const path = join(folder, archive.name);
        await requirePacked(path, archive);
        return path;
      });
      return async (file) => {
        try {
          return await copyVerified(await locate(folder, file), file, context.folder);
        } catch (error) {
          if (!(error instanceof MissingFileError) || unpack === undefined) throw error;
          if (!await isFile(join(folder, archive!.name))) throw error;
        }
        await unpackVerified(await unpack(), file, context.folder);
        return true;
      };
    },
  };
}

/** What a function resolves to, asked for once. */
function once<Type>(make: () => Promise<Type>): () => Promise<Type> {
  let made: Promise<Type> | undefined;
  return () => made ??= make();
}

async function isFile(path: string): Promise<boolean> {
  return await Deno.stat(path).then((info) => info.isFile, () => false);
}

/** An address below which the files lie, or the archive of them.
 *
 * @param mayPrompt Whether Deno may ask the user for the network where it is not allowed yet.
 */
function addressSource(
  home: URL,
  { archive }: Pick<DatasetEntry, "archive">,
  mayPrompt: boolean,
): Source {
  return {
    name: addressText(home),
    async open(context) {
      const { host } = home;
      if (!mayPrompt) {
        await requireGranted({ name: "net", host }, `reach ${host} (--allow-net=${host})`);
      }
      if (archive === undefined) return (file) => storeFromAddress(home, file, context);
      const url = new URL(archive.name, home);
      const unpack = once(() => downloadArchive(url, archive, context));
      return async (file) => {
        await unpackVerified(await unpack(), file, context.folder, addressText(url));
        return true;
      };
    },
  };
}

/** Downloads an archive, and checks it; it lies in a temporary folder that the fetch removes. */
async function downloadArchive(
  url: URL,
  archive: DatasetArchive,
  context: FetchContext,
  mayRepeat = true,
): Promise<string> {
  const { folder, signal } = context;
  const { name, byteLength } = archive;
  const partial = partialPath(folder, archive);
  const isContinued = await download(url, partial, {
    maxBytes: byteLength,
    signal,
    onProgress: (bytes, total) => context.onProgress({ name, byteLength }, bytes, total),
  });
  try {
    await requirePacked(partial, { ...archive, label: addressText(url) });
    const path = join(await Deno.makeTempDir({ dir: folder, prefix: UNPACK_PREFIX }), name);
    await Deno.rename(partial, path);
    return path;
  } catch (error) {
    await removeIfThere(partial);
    if (!(isContinued && mayRepeat && error instanceof DatasetError)) throw error;
  }
  return await downloadArchive(url, archive, context, false);
}

/** Stores `name.gz`, or `name` where a mirror holds the files unpacked. */
async function storeFromAddress(
  home: URL,
  file: DatasetFile,
  context: FetchContext,
): Promise<boolean> {
  let missing: unknown;
  for (const name of [`${file.name}.gz`, file.name]) {
    try {
      return await storeDownload(new URL(name, home), file, context);
    } catch (error) {
      if (!(error instanceof DownloadError && error.status === 404)) throw error;
      missing ??= error;
    }
  }
  throw missing;
}

/** Downloads a file, checks and stores it.
 *
 * What an earlier attempt or another mirror began is continued: mostly it is the same file. Where the
 * digest says that it was not, it is downloaded once more, from its beginning.
 */
async function storeDownload(
  url: URL,
  file: DatasetFile,
  context: FetchContext,
  mayRepeat = true,
): Promise<boolean> {
  const { folder, signal } = context;
  const path = partialPath(folder, file);
  const isContinued = await download(url, path, {
    // Gzip hardly lengthens what it cannot compress.
    maxBytes: Math.ceil(file.byteLength * 1.01) + 4096,
    signal,
    onProgress: (bytes, total) => context.onProgress(file, bytes, total),
  });
  try {
    // The temporary path is gone when a message is read: the address says more.
    return await copyVerified(path, file, folder, { label: addressText(url), isForeign: true });
  } catch (error) {
    if (!(isContinued && mayRepeat && error instanceof DatasetError)) throw error;
  } finally {
    await removeIfThere(path);
  }
  return await storeDownload(url, file, context, false);
}

/** Prefix of the temporary folders of packages, which the fetch removes at its end. */
export const UNPACK_PREFIX = ".unpack-";

/** Longest time that a package's programs may take together: apt-get hangs on a full disk. */
const UNPACK_TIMEOUT_MS = 3 * 60_000;

/** Private lists and archives: neither root nor the system's own are needed. */
const APT_OPTIONS = [
  "Dir::State::Lists=./lists",
  "Dir::Cache=./cache",
  "Acquire::Languages=none",
  "Acquire::Retries=1",
  "Acquire::http::Timeout=10",
  "Acquire::https::Timeout=10",
].flatMap((setting) => ["-o", setting]);

/** What package managers run, in an empty folder, to leave an archive there and to unpack it. */
const PACKAGE_MANAGERS = {
  Debian: {
    folders: ["lists/partial", "cache/archives/partial"],
    download: (name: string) => [
      ["apt-get", "-q", ...APT_OPTIONS, "update"],
      ["apt-get", "-q", ...APT_OPTIONS, "download", name],
    ],
    unpack: (archive: string) => ["dpkg-deb", "-x", archive, "."],
  },
  npm: {
    folders: [],
    download: (name: string) => [["npm", "pack", name, "--silent", "--ignore-scripts"]],
    unpack: (archive: string, folder: string) => ["tar", "-xzf", archive, folder],
  },
};

/** Another ecosystem's package, unpacked without root and outside the system. */
function packageSource({ manager, name, folder }: DatasetPackage): Source {
  const { folders, download, unpack } = PACKAGE_MANAGERS[manager];
  return {
    name: `${manager} package ${name}`,
    async open(context) {
      for (const [command] of [...download(name), unpack("", "")]) {
        await requireGranted({ name: "run", command }, `run ${command} (--allow-run=${command})`);
      }
      const cwd = await Deno.makeTempDir({ dir: context.folder, prefix: UNPACK_PREFIX });
      for (const path of folders) await Deno.mkdir(join(cwd, path), { recursive: true });
      const signals = [AbortSignal.timeout(UNPACK_TIMEOUT_MS), context.signal ?? []].flat();
      const options = { cwd, signal: AbortSignal.any(signals) };
      for (const command of download(name)) await run(command, options);
      const archive = (await Array.fromAsync(Deno.readDir(cwd))).find(({ isFile }) => isFile);
      if (!archive) throw new DatasetError("the download left no archive");
      await run(unpack(archive.name, folder), options);
      return folderSource(join(cwd, folder)).open(context);
    },
  };
}

/** Checks a permission, so that Deno does not ask the user for it. */
async function requireGranted(descriptor: Deno.PermissionDescriptor, what: string): Promise<void> {
  const { state } = await Deno.permissions.query(descriptor);
  if (state !== "granted") throw new DatasetError(`no permission to ${what}`);
}

/** Runs a program to its end.
 *
 * @throws {DatasetError} If it is not installed, fails, or takes too long.
 */
async function run(
  [program, ...args]: readonly string[],
  { cwd, signal }: { readonly cwd: string; readonly signal: AbortSignal },
): Promise<void> {
  const io = { stdin: "null", stdout: "null", stderr: "piped" } as const;
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(program, { args, cwd, signal, ...io }).output();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new DatasetError(`${program} is not installed`, { cause: error });
  }
  if (signal.aborted) {
    if (signal.reason?.name !== "TimeoutError") throw signal.reason;
    throw new DatasetError(`${program} was not done after ${UNPACK_TIMEOUT_MS / 60_000} minutes`);
  }
  if (output.success) return;
  const lines = new TextDecoder().decode(output.stderr).trim().split("\n");
  // apt marks its errors with "E: "; otherwise the last line is the likeliest to say why.
  const reason = lines.find((line) => line.startsWith("E: "))?.slice(3) ?? lines.at(-1);
  throw new DatasetError(`${program} failed: ${reason || `exit code ${output.code}`}`);
}

async function requireFolder(folder: string): Promise<void> {
  const info = await Deno.stat(folder).catch((error: unknown) => {
    if (!(error instanceof Deno.errors.NotFound)) throw unreadable(folder, error);
  });
  if (info === undefined) throw new DatasetError(`there is no folder ${folder}`);
  if (!info.isDirectory) throw new DatasetError(`${folder} is not a folder`);
}
