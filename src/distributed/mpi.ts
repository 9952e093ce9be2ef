/** MPI's functions with their types, for the implementations that can be told apart. */

import { type LoadedLibrary, loadLibrary, MpiUnavailableError, notAllowed } from "./loader.ts";

/** Signatures of the functions in use.
 *
 * Communicators, types and operations are pointers in OpenMPI and 32-bit numbers in MPICH. Both are
 * passed as 64 bits: the calling conventions of x86-64 and arm64 put either in one register, of which
 * MPICH reads the lower half.
 */
const SYMBOLS = {
  MPI_Get_library_version: { parameters: ["buffer", "buffer"], result: "i32" },
  MPI_Init_thread: { parameters: ["usize", "usize", "i32", "buffer"], result: "i32" },
  MPI_Comm_set_errhandler: { parameters: ["usize", "usize"], result: "i32" },
  MPI_Error_string: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  MPI_Comm_rank: { parameters: ["usize", "buffer"], result: "i32" },
  MPI_Comm_size: { parameters: ["usize", "buffer"], result: "i32" },
  MPI_Comm_split_type: {
    parameters: ["usize", "i32", "i32", "usize", "buffer"],
    result: "i32",
  },
  MPI_Allreduce: {
    parameters: ["usize", "buffer", "i32", "usize", "usize", "usize"],
    result: "i32",
  },
  MPI_Bcast: { parameters: ["buffer", "i32", "usize", "i32", "usize"], result: "i32" },
  MPI_Barrier: { parameters: ["usize"], result: "i32" },
  MPI_Send: { parameters: ["buffer", "i32", "usize", "i32", "i32", "usize"], result: "i32" },
  MPI_Recv: {
    parameters: ["buffer", "i32", "usize", "i32", "i32", "usize", "buffer"],
    result: "i32",
  },
  MPI_Probe: { parameters: ["i32", "i32", "usize", "buffer"], result: "i32" },
  MPI_Iprobe: { parameters: ["i32", "i32", "usize", "buffer", "buffer"], result: "i32" },
  MPI_Get_count: { parameters: ["buffer", "usize", "buffer"], result: "i32" },
  MPI_Abort: { parameters: ["usize", "i32"], result: "i32" },
  MPI_Finalize: { parameters: [], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** What `mpi.h` defines, which is no part of the library's functions. */
type Constants = Readonly<
  & Record<"world" | "float32" | "float64" | "byte" | "sum", bigint>
  & Record<"infoNull" | "errorsReturn" | "inPlace", bigint>
  // The last is the place of MPI_SOURCE in MPI_Status, in 32-bit words.
  & Record<"typeShared" | "anySource" | "statusSource", number>
>;

/** OpenMPI's handles are the addresses of its objects. */
function openMpiConstants({ find }: LoadedLibrary): Constants {
  const address = (name: string): bigint => {
    const found = find(name);
    if (found === undefined) throw new MpiUnavailableError(`Cannot find ${name} in libmpi`);
    return found;
  };
  return {
    world: address("ompi_mpi_comm_world"),
    float32: address("ompi_mpi_float"),
    float64: address("ompi_mpi_double"),
    byte: address("ompi_mpi_byte"),
    sum: address("ompi_mpi_op_sum"),
    infoNull: address("ompi_mpi_info_null"),
    errorsReturn: address("ompi_mpi_errors_return"),
    inPlace: 1n,
    typeShared: 0,
    anySource: -1,
    statusSource: 0,
  };
}

/** MPICH's handles are numbers, which it has promised to keep (its "ABI compatibility initiative"). */
const MPICH_CONSTANTS: Constants = {
  world: 0x44000000n,
  float32: 0x4c00040an,
  float64: 0x4c00080bn,
  byte: 0x4c00010dn,
  sum: 0x58000003n,
  infoNull: 0x1c000000n,
  errorsReturn: 0x54000001n,
  inPlace: 0xffff_ffff_ffff_ffffn,
  typeShared: 1,
  anySource: -2,
  statusSource: 2,
};

/** What the names of libraries with MPICH's handles begin with. */
const MPICH_FAMILY = /^(MPICH|MVAPICH|Intel\(R\) MPI)/;

/** Opens the MPI library; nothing is started yet.
 *
 * @returns Its version for people to read, such as `Open MPI v4.1.4`, its functions and constants.
 * @throws {MpiUnavailableError} If there is none, or one that is not known.
 */
export function openMpi() {
  const library = loadLibrary();
  const functions = openFunctions(library.path);
  const text = new Uint8Array(8192);
  const length = new Int32Array(1);
  functions.MPI_Get_library_version(text, length);
  const full = new TextDecoder().decode(text.subarray(0, length[0])).replaceAll("\0", "");
  const [line] = full.split("\n", 1);
  if (full.startsWith("Open MPI")) {
    return { version: line.split(",", 1)[0], functions, constants: openMpiConstants(library) };
  }
  if (MPICH_FAMILY.test(full)) {
    const version = line.replace(/\s+/g, " ").replace("Version: ", "");
    return { version, functions, constants: MPICH_CONSTANTS };
  }
  throw new MpiUnavailableError(
    `Cannot use ${library.path}: expected OpenMPI or MPICH, found "${line}"`,
  );
}

function openFunctions(path: string) {
  try {
    return Deno.dlopen(path, SYMBOLS).symbols;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw notAllowed(path);
    throw new MpiUnavailableError(
      `Cannot use ${path}: ${error instanceof Error ? error.message : error}`,
    );
  }
}
