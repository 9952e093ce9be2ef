/** Finds out whether a launcher of MPI has started this process, and opens the MPI library of this machine the
 * way its own plug-ins need. */

/** What launchers set: OpenMPI's mpirun, and everything that speaks MPICH's PMI. */
const LAUNCHERS = [
  { size: "OMPI_COMM_WORLD_SIZE", rank: "OMPI_COMM_WORLD_RANK", family: "openmpi" },
  { size: "PMI_SIZE", rank: "PMI_RANK", family: "mpich" },
] as const;

/** What a launcher tells of itself and its processes. */
export interface Launcher {
  /** Whose library its processes must use. */
  readonly family: "openmpi" | "mpich";
  /** Processes that it has started. */
  readonly size: number;
  /** This one's place among them, from 0. */
  readonly rank: number;
}

/** The launcher of this process; undefined without one, or without permission to look; loads nothing. */
export function findLauncher(): Launcher | undefined {
  for (const { size, rank, family } of LAUNCHERS) {
    const { state } = Deno.permissions.querySync({ name: "env", variable: size });
    const count = state === "granted" ? Deno.env.get(size) : undefined;
    if (count !== undefined) {
      return { family, size: Number(count), rank: Number(Deno.env.get(rank)) };
    }
  }
  return undefined;
}

/** Signatures of the C library's functions that open libraries. */
const LIBC_SYMBOLS = {
  dlopen: { parameters: ["buffer", "i32"], result: "usize" },
  dlsym: { parameters: ["usize", "buffer"], result: "usize" },
  dlerror: { parameters: [], result: "usize" },
  dladdr: { parameters: ["usize", "buffer"], result: "i32" },
  strncpy: { parameters: ["buffer", "usize", "usize"], result: "void" },
} as const satisfies Deno.ForeignLibraryInterface;

type Libc = Deno.DynamicLibrary<typeof LIBC_SYMBOLS>["symbols"];

/** Permissions for FFI go by path, so that the C library must be opened by its own. */
const LIBC_PATHS = [
  `/usr/lib/${Deno.build.arch}-linux-gnu/libc.so.6`,
  `/lib/${Deno.build.arch}-linux-gnu/libc.so.6`,
  "/usr/lib64/libc.so.6",
  "/usr/lib/libc.so.6",
];

/** Names of the libraries: OpenMPI 4 and 5; MPICH as Debian names it; MPICH and its relatives. */
const LIBRARY_NAMES = {
  openmpi: ["libmpi.so.40"],
  mpich: ["libmpich.so.12", "libmpi.so.12"],
};

/** Names a library that is not where the system looks. */
const LIBRARY_VARIABLE = "LENET_MPI_LIBRARY";

/** RTLD_NOW | RTLD_GLOBAL: OpenMPI opens plug-ins that look for its symbols among the global ones. */
const NOW_GLOBAL = 0x102;

const LONGEST_TEXT = 4096;

/** Thrown where there is no MPI library, or one that cannot be used. */
export class MpiUnavailableError extends Error {
  override readonly name = "MpiUnavailableError";
}

/** An MPI library that has been opened for all to see. */
export interface LoadedLibrary {
  readonly path: string;
  /** Address of a symbol; undefined if the library has none of that name. */
  find(symbol: string): bigint | undefined;
}

/** Opens the MPI library that belongs to the launcher of this process, or the first there is.
 *
 * @throws {MpiUnavailableError} If there is none.
 */
export function loadLibrary(): LoadedLibrary {
  const libc = openLibc();
  const launcher = findLauncher();
  const chosen = Deno.env.get(LIBRARY_VARIABLE);
  const names = chosen !== undefined
    ? [chosen]
    : launcher
    ? LIBRARY_NAMES[launcher.family]
    : Object.values(LIBRARY_NAMES).flat();
  const reasons: string[] = [];
  for (const name of names) {
    const handle = BigInt(libc.dlopen(cString(name), NOW_GLOBAL));
    if (handle === 0n) {
      reasons.push(textAt(libc, libc.dlerror()));
      continue;
    }
    const find = (symbol: string) => {
      const address = BigInt(libc.dlsym(handle, cString(symbol)));
      return address === 0n ? undefined : address;
    };
    const start = find("MPI_Init");
    if (start === undefined) {
      throw new MpiUnavailableError(
        `Cannot use ${name}: expected an MPI library, found one without MPI_Init`,
      );
    }
    return { path: pathOf(libc, start) ?? name, find };
  }
  throw new MpiUnavailableError(
    `Cannot find an MPI library (${reasons[0]}): install OpenMPI (on Debian: openmpi-bin), or ` +
      `name the library in ${LIBRARY_VARIABLE}`,
  );
}

function openLibc(): Libc {
  for (const path of LIBC_PATHS) {
    try {
      return Deno.dlopen(path, LIBC_SYMBOLS).symbols;
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw notAllowed(path);
    }
  }
  throw new MpiUnavailableError(
    `Cannot use MPI here: found no C library at ${LIBC_PATHS.join(", ")}; MPI runs on Linux with ` +
      "glibc",
  );
}

/** The error of a library that Deno's permissions leave out. */
export function notAllowed(path: string): MpiUnavailableError {
  return new MpiUnavailableError(
    `Cannot open ${path}: this command may not; start it as mpirun ... deno task train:mpi, or with ` +
      `--allow-ffi=${path}`,
  );
}

/** The file that holds an address. */
function pathOf(libc: Libc, address: bigint): string | undefined {
  const info = new BigUint64Array(4); // Dl_info; its first field points to the file's name
  if (libc.dladdr(address, info) === 0) return undefined;
  return textAt(libc, info[0]);
}

/** Copies a C string; reading memory directly would take the permission for all libraries. */
function textAt(libc: Libc, address: bigint): string {
  if (BigInt(address) === 0n) return "no reason given";
  const bytes = new Uint8Array(LONGEST_TEXT);
  libc.strncpy(bytes, address, BigInt(LONGEST_TEXT - 1));
  return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
}

function cString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${text}\0`);
}
