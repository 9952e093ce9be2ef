/** What loading datasets uses of `Deno`, by Node's own file system; nothing is written. */

import { builtin } from "../../src/platform.ts";

function fs() {
  const found = builtin("node:fs/promises");
  if (found === undefined) {
    throw new TypeError("Cannot load datasets in a browser: it has no files");
  }
  return found;
}

interface Kinds {
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}

function kindsOf(entry: Kinds) {
  return {
    isFile: entry.isFile(),
    isDirectory: entry.isDirectory(),
    isSymlink: entry.isSymbolicLink(),
  };
}

/** Tells the errors of the system apart by their codes, where Deno has classes. */
function coded(...codes: readonly string[]) {
  return {
    [Symbol.hasInstance]: (error: unknown) => codes.includes(Object(error).code),
  };
}

async function open(path: string) {
  const handle = await fs().open(path);
  let position = 0;
  return {
    async read(into: Uint8Array): Promise<number | null> {
      const { bytesRead } = await handle.read(into, 0, into.length, position);
      position += bytesRead;
      return bytesRead === 0 && into.length > 0 ? null : bytesRead;
    },
    seek(offset: number): Promise<number> {
      position = offset;
      return Promise.resolve(offset);
    },
    [Symbol.dispose]() {
      handle.close().catch(() => {}); // it was only read
    },
  };
}

async function* readDir(path: string) {
  for await (const entry of await fs().opendir(path)) {
    yield { name: entry.name, ...kindsOf(entry) };
  }
}

async function statOf(path: string, follow: boolean) {
  const info = await (follow ? fs().stat(path) : fs().lstat(path));
  return { ...kindsOf(info), size: info.size, mtime: info.mtime };
}

/** In place of the global of this name. */
export const Deno = {
  build: { standalone: false },
  errors: {
    AlreadyExists: coded("EEXIST"),
    IsADirectory: coded("EISDIR"),
    NotADirectory: coded("ENOTDIR"),
    NotCapable: coded("ERR_ACCESS_DENIED"),
    NotFound: coded("ENOENT"),
    PermissionDenied: coded("EACCES", "EPERM"),
  },
  SeekMode: { Start: 0 },
  open,
  readDir,
  realPath: (path: string) => fs().realpath(path),
  stat: (path: string) => statOf(path, true),
  lstat: (path: string) => statOf(path, false),
  permissions: { query: () => Promise.resolve({ state: "denied" }) },
};
