/** The places a dataset can be obtained from, in the order in which they are tried. */
import { download } from "./download.ts";
import { DatasetError, DownloadError } from "./errors.ts";
import { removeIfThere } from "../write_atomic.ts";
import { copyVerified, maxGzipBytes } from "./files.ts";
import { addressText, isAcceptedUrl } from "./http.ts";
import { debianSource, npmSource } from "./packages.ts";
import type { DatasetEntry, DatasetFile } from "./registry.ts";
import type { Source, SourceContext } from "./source.ts";

/** Lists the sources of a dataset, in the order in which they are to be tried.
 *
 * @param from A folder or an address that alone is to be used.
 * @throws {DatasetError} If `from` is an address that is not HTTPS, nor on this machine if allowed.
 */
export function sourcesOf(
  entry: DatasetEntry,
  from?: string,
  { allowLoopbackHttp = false }: { readonly allowLoopbackHttp?: boolean } = {},
): Source[] {
  if (from !== undefined) return [explicitSource(from, allowLoopbackHttp)];
  return [
    ...entry.systemFolders.map((folder) => folderSource(folder)),
    ...entry.homes.map((home) => homeSource(new URL(home))),
    ...(entry.debian ? [debianSource(entry.debian)] : []),
    ...(entry.npm ? [npmSource(entry.npm)] : []),
  ];
}

function explicitSource(from: string, allowLoopbackHttp: boolean): Source {
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(from)) return folderSource(from);
  const home = URL.parse(from);
  if (home === null || !isAcceptedUrl(home, allowLoopbackHttp)) {
    const found = home === null ? from : addressText(home);
    throw new DatasetError(
      `Cannot fetch from "${found}": expected a folder or an https:// address`,
    );
  }
  if (!home.pathname.endsWith("/")) home.pathname += "/";
  return addressSource(home, allowLoopbackHttp);
}

function folderSource(folder: string): Source {
  return {
    name: `folder ${folder}`,
    async open(context) {
      await requireFolder(folder);
      return {
        store: (file) => copyVerified({ folder }, file, context.folder),
        [Symbol.asyncDispose]: () => Promise.resolve(),
      };
    },
  };
}

/** A public home: used only where the network is already allowed, so that nobody is asked. */
function homeSource(home: URL): Source {
  const source = addressSource(home, false);
  return {
    name: source.name,
    open(context) {
      const permission = Deno.permissions.querySync({ name: "net", host: home.host });
      if (permission.state !== "granted") {
        throw new DatasetError(`no permission to reach ${home.host} (--allow-net=${home.host})`);
      }
      return source.open(context);
    },
  };
}

function addressSource(home: URL, allowLoopbackHttp: boolean): Source {
  return {
    name: addressText(home),
    open: (context) =>
      Promise.resolve({
        store: (file) => storeFromAddress(home, file, { ...context, allowLoopbackHttp }),
        [Symbol.asyncDispose]: () => Promise.resolve(),
      }),
  };
}

interface AddressContext extends SourceContext {
  readonly allowLoopbackHttp: boolean;
}

async function storeFromAddress(home: URL, file: DatasetFile, context: AddressContext) {
  try {
    await storeDownload(new URL(`${file.name}.gz`, home), file, context);
  } catch (error) {
    if (!(error instanceof DownloadError && error.status === 404)) throw error;
    // A mirror may hold the files unpacked; if it does not, the first answer is the telling one.
    try {
      await storeDownload(new URL(file.name, home), file, context);
    } catch (second) {
      throw second instanceof DownloadError && second.status === 404 ? error : second;
    }
  }
}

/** Downloads and stores a file; what was resumed and proves wrong is downloaded once more. */
async function storeDownload(url: URL, file: DatasetFile, context: AddressContext) {
  const { folder, signal, allowLoopbackHttp } = context;
  const name = `${file.name}.download`;
  const path = `${folder}/${name}`;
  while (true) {
    const { resumed } = await download(url, path, {
      maxBytes: maxGzipBytes(file.byteLength),
      signal,
      allowLoopbackHttp,
      onProgress: (bytes, total) => context.onProgress(file, bytes, total),
    });
    try {
      // The temporary path is gone when a message is read: the address says more.
      return await copyVerified({ folder, name, label: addressText(url) }, file, folder);
    } catch (error) {
      if (!(resumed && error instanceof DatasetError)) throw error;
    } finally {
      await removeIfThere(path);
    }
  }
}

async function requireFolder(folder: string): Promise<void> {
  try {
    if ((await Deno.stat(folder)).isDirectory) return;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new DatasetError(`there is no folder ${folder}`, { cause: error });
    }
    if (error instanceof Deno.errors.NotCapable) {
      throw new DatasetError(`no permission to read ${folder} (--allow-read=${folder})`, {
        cause: error,
      });
    }
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
    throw new DatasetError(`${folder} cannot be read`, { cause: error });
  }
  throw new DatasetError(`${folder} is not a folder`);
}
