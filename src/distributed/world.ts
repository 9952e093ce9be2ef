/** All processes that were started together, and what they can do with each other. */

import { findLauncher, MpiUnavailableError } from "./loader.ts";
import { openMpi } from "./mpi.ts";

/** A call of MPI has failed: nothing is known of the other ranks, and they may wait for ever. */
export class MpiError extends Error {
  override readonly name = "MpiError";
}

/** The processes of an MPI job, seen by one of them.
 *
 * All calls block. Sums and broadcasts are made by every process in the same order, with vectors of
 * equal length. A call that fails throws an {@linkcode MpiError}.
 */
export type World = ReturnType<typeof openWorld>;

/** MPI_THREAD_FUNNELED: other threads compute, this one alone speaks. */
const FUNNELED = 1;

/** MPI counts in 32 bits. */
const LARGEST_COUNT = 2 ** 30;

/** At least as large as MPI_Status of either implementation, in 32-bit words. */
const STATUS_WORDS = 16;

const TAG = 1;

/** Starts MPI in this process.
 *
 * @throws {MpiUnavailableError} If there is no MPI library that can be used.
 */
export function openWorld() {
  const { version, functions: mpi, constants } = openMpi();
  const { world, byte, sum, inPlace } = constants;
  const number = new Int32Array(1);

  function check(code: number): void {
    if (code === 0) return;
    const text = new Uint8Array(8192);
    mpi.MPI_Error_string(code, text, number);
    const reason = new TextDecoder().decode(text.subarray(0, number[0])).replace(/\s+/g, " ");
    throw new MpiError(`MPI failed: ${reason.trim()}`);
  }

  function ask(call: (answer: Int32Array<ArrayBuffer>) => number): number {
    check(call(number));
    return number[0];
  }

  /** Waits for bytes from one process; from any without a source. */
  function receive(source: number = constants.anySource) {
    const status = new Int32Array(STATUS_WORDS);
    check(mpi.MPI_Probe(source, TAG, world, status));
    const from = status[constants.statusSource];
    const length = ask((answer) => mpi.MPI_Get_count(status, byte, answer));
    const bytes = new Uint8Array(length);
    check(mpi.MPI_Recv(bytes, length, byte, from, TAG, world, status));
    return { source: from, bytes };
  }

  check(mpi.MPI_Init_thread(0n, 0n, FUNNELED, number));
  if (number[0] < FUNNELED) {
    throw new MpiUnavailableError(
      `Cannot use ${version}: expected threads beside the one that calls MPI (MPI_THREAD_FUNNELED), ` +
        `found none; use a build with threads`,
    );
  }
  check(mpi.MPI_Comm_set_errhandler(world, constants.errorsReturn));
  const rank = ask((answer) => mpi.MPI_Comm_rank(world, answer));
  const size = ask((answer) => mpi.MPI_Comm_size(world, answer));
  const launched = findLauncher()?.size ?? size;
  if (launched !== size) {
    throw new MpiUnavailableError(
      `Cannot train on ${launched} processes: ${version} sees ${size}; start them with its own mpirun`,
    );
  }
  const local = new BigUint64Array(1);
  check(mpi.MPI_Comm_split_type(world, constants.typeShared, rank, constants.infoNull, local));
  return {
    /** This process, from 0, and processes in all. */
    ...{ rank, size },
    /** This process among those of its machine, from 0, and these in all. */
    localRank: ask((answer) => mpi.MPI_Comm_rank(local[0], answer)),
    localSize: ask((answer) => mpi.MPI_Comm_size(local[0], answer)),
    /** Name of the MPI implementation. */
    version,
    /** Replaces a vector by the sum of all processes' vectors; shared memory is fine. */
    sum(values: Float32Array | Float64Array): void {
      const type = values instanceof Float32Array ? constants.float32 : constants.float64;
      // FFI takes views of shared memory too, which its types leave out.
      const view = values as Float32Array<ArrayBuffer>;
      check(mpi.MPI_Allreduce(inPlace, view, values.length, type, sum, world));
    },
    /** Replaces bytes by those of one rank. */
    broadcast(bytes: Uint8Array, root = 0): void {
      for (let start = 0; start < bytes.length; start += LARGEST_COUNT) {
        const part = bytes.subarray(start, start + LARGEST_COUNT) as Uint8Array<ArrayBuffer>;
        check(mpi.MPI_Bcast(part, part.length, byte, root, world));
      }
    },
    /** Returns when all processes are here. */
    barrier: () => check(mpi.MPI_Barrier(world)),
    /** Sends bytes to one process. */
    send: (target: number, bytes: Uint8Array<ArrayBuffer>) =>
      check(mpi.MPI_Send(bytes, bytes.length, byte, target, TAG, world)),
    receive,
    /** Whether {@linkcode receive} would return at once. */
    hasMessage(): boolean {
      const status = new Int32Array(STATUS_WORDS);
      return ask((flag) => mpi.MPI_Iprobe(constants.anySource, TAG, world, flag, status)) !== 0;
    },
    /** Ends all processes at once with an exit code; does not return. */
    abort: (code: number) => void mpi.MPI_Abort(world, code),
    /** Ends the use of MPI; all processes come to it. */
    finalize: () => check(mpi.MPI_Finalize()),
  };
}
