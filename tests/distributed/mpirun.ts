/** Real MPI jobs, for tests. */

import { fileURLToPath } from "node:url";
import { canRunCommands, type Outcome, outcomeOf, ROOT } from "../cli/command.ts";
import { granted } from "../permissions.ts";

/** The permissions that the project's own MPI task has, as far as tests need them, and more. */
const PERMISSIONS = [
  "--no-prompt",
  "--allow-read",
  "--allow-write=/tmp",
  "--allow-sys=cpus",
  "--allow-run", // to send signals
  "--allow-env",
  "--allow-ffi=/usr/lib,/usr/lib64,/lib,/lib64",
];

/** Whether MPI jobs can be started here. */
export async function canRunMpi(): Promise<boolean> {
  if (!canRunCommands() || !granted({ name: "run", command: "mpirun" })) return false;
  try {
    return (await new Deno.Command("mpirun", { args: ["--version"] }).output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Some ranks of a job: what they run. */
export interface Ranks {
  readonly count: number;
  /** Arguments of deno. */
  readonly args: readonly string[];
}

/** A program of the tests' own, with its arguments. */
export function program(name: string, ...args: string[]): string[] {
  return ["run", ...PERMISSIONS, fileURLToPath(new URL(name, import.meta.url)), ...args];
}

/** A task of the project, with its arguments. */
export function task(name: string, ...args: string[]): string[] {
  return ["task", "--quiet", name, ...args];
}

/** Runs a job to its end. Without its own remarks, standard error holds what ranks say. */
export async function runMpi(...ranks: readonly Ranks[]): Promise<Outcome> {
  // On a machine of fewer cores than ranks; as root, as in a container; ranks that wait for each other
  // for ever fail.
  const options = ["--quiet", "--allow-run-as-root", "--oversubscribe", "--timeout", "120"];
  const parts = ranks.map(({ count, args }) => ["-n", String(count), "deno", ...args]);
  const apps = parts.flatMap((part, n) => n === 0 ? part : [":", ...part]);
  const command = new Deno.Command("mpirun", {
    args: [...options, ...apps],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  const outcome = await outcomeOf(command.spawn());
  // Ranks of one machine that start at the same moment wait for each other here, which deno tells.
  const stderr = outcome.stderr.replaceAll(/^Blocking waiting for file lock.*\n/gm, "");
  return { ...outcome, stderr };
}
