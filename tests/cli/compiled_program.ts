/** The compiled program, made when it is out of date, and run as on a machine that has nothing else. */

import { granted } from "../permissions.ts";
import { canRunCommands, type Outcome, outcomeOf, ROOT, runTask } from "./command.ts";

const PROGRAM = `${ROOT}dist/lenet`;

/** What the program is made of. */
const SOURCES = ["packages", "src", "scripts", "data/sample", "deno.json", "deno.lock"];

/** Whether shells can be run: they start what a test may not start by itself. */
export function canRunBash(): boolean {
  return canRunCommands() && granted({ name: "run", command: "bash" });
}

/** Path of the program; undefined where it cannot be made, as deno cannot get its runtime here. */
export async function compiledProgram(): Promise<string | undefined> {
  if (!canRunBash()) return undefined;
  if (await isFresh()) return PROGRAM;
  const { code, stderr } = await runTask("compile", []);
  if (code === 0) return PROGRAM;
  if (stderr.includes("could not download its runtime")) return undefined;
  throw new Error(`Cannot compile the program for the tests: ${stderr}`);
}

/** Whether a process can be given a network and mounts of its own. */
export async function canIsolate(): Promise<boolean> {
  if (!canRunBash()) return false;
  const { code } = await runBash("unshare --map-root-user --net --mount true", []);
  return code === 0;
}

/** Runs a line of bash with $1, $2, ...; its environment is what is given here. */
export function runBash(
  line: string,
  args: readonly string[],
  { cwd = ROOT, env }: { readonly cwd?: string; readonly env?: Record<string, string> } = {},
): Promise<Outcome> {
  return outcomeOf(
    new Deno.Command("bash", {
      args: ["-c", line, "bash", ...args],
      cwd,
      clearEnv: true,
      env: { PATH: "/usr/local/bin:/usr/bin:/bin", NO_COLOR: "1", ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn(),
  );
}

/** Runs the program in a folder; `isolated` without a network and without the project's files. */
export function runProgram(
  program: string,
  args: readonly string[],
  { cwd, home, isolated }: {
    readonly cwd: string;
    /** Home, and folder of Deno's cache; by default neither is named. */
    readonly home?: string;
    readonly isolated: boolean;
  },
): Promise<Outcome> {
  const env = home === undefined ? undefined : { HOME: home, DENO_DIR: home };
  if (!isolated) return runBash('exec "$@"', [program, ...args], { cwd, env });
  const line = "exec unshare --map-root-user --net --mount bash -c " +
    `'mount -t tmpfs none "$1" && shift && exec "$@"' bash "$@"`;
  return runBash(line, [ROOT, program, ...args], { cwd, env });
}

async function isFresh(): Promise<boolean> {
  try {
    const made = await modified(PROGRAM);
    const times = await Promise.all(SOURCES.map((name) => newest(`${ROOT}${name}`)));
    return Math.max(...times) < made;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** When a file, or the newest one in a folder, was written. */
async function newest(path: string): Promise<number> {
  if (!(await Deno.stat(path)).isDirectory) return await modified(path);
  const entries = await Array.fromAsync(Deno.readDir(path));
  const times = await Promise.all(entries.map((entry) => newest(`${path}/${entry.name}`)));
  return Math.max(0, ...times);
}

async function modified(path: string): Promise<number> {
  return (await Deno.stat(path)).mtime?.getTime() ?? Infinity;
}
