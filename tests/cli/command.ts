/** Commands as a user runs them: real processes with the permissions that deno.json gives them. */

import { fileURLToPath } from "node:url";
import { granted } from "../permissions.ts";
import { canUseTemp } from "../temp.ts";

/** Folder of the project. */
export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Whether commands can be run at all. */
export function canRunCommands(): boolean {
  return canUseTemp() && granted({ name: "read", path: ROOT }, { name: "run", command: "deno" });
}

/** Environment in which WebGPU finds no driver, neither Vulkan's nor OpenGL's. */
export const NO_GPU = {
  VK_DRIVER_FILES: "/nonexistent",
  __EGL_VENDOR_LIBRARY_FILENAMES: "/nonexistent",
};

/** What a process left behind. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What Deno itself says where several processes start at once on a busy machine. */
const WAITING = "Blocking waiting for file lock on node_modules directory\n";

/** What train says of an epoch that takes it more than five seconds, as on a busy machine. */
const SLOW = /^epoch \d+\/\d+: [\d,]+ of [\d,]+ images.*\n/gm;

/** What a command says on standard error wherever it runs. */
export function withoutWaiting(stderr: string): string {
  return stderr.replaceAll(WAITING, "").replace(SLOW, "");
}

interface Options {
  readonly env?: Record<string, string>;
  readonly cwd?: string;
}

/** Starts deno with some arguments; nothing is colored, and nobody is there to be asked. */
export function startDeno(args: readonly string[], { env, cwd = ROOT }: Options = {}) {
  return new Deno.Command("deno", {
    args: [...args],
    cwd,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Waits for a process to end. */
export async function outcomeOf(child: Deno.ChildProcess): Promise<Outcome> {
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: withoutWaiting(decoder.decode(stderr)) };
}

/** Runs deno with some arguments to its end. */
export function runDeno(args: readonly string[], options?: Options): Promise<Outcome> {
  return outcomeOf(startDeno(args, options));
}

/** Runs a task of deno.json to its end. */
export function runTask(
  task: string,
  args: readonly string[],
  options?: Options,
): Promise<Outcome> {
  return runDeno(["task", "--quiet", task, ...args], options);
}

/** The lines of a text that ends with a newline, or is empty. */
export function linesOf(text: string): string[] {
  return text === "" ? [] : text.replace(/\n$/, "").split("\n");
}
