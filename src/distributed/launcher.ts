/** Whether a launcher of MPI has started this process, and as which; loads nothing of MPI. */

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

/** The launcher of this process; undefined without one, or without permission to look. */
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
