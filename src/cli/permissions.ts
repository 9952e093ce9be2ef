/** What deno.json says of a command, its description and the permissions of its task; and permissions as
 * commands use them: asked for early, given back early. */

import {
  basename,
  dirname,
  isAbsolute,
  join,
  relative,
  resolve,
  sep as SEPARATOR,
} from "node:path";
import config from "../../deno.json" with { type: "json" };
import { printable, shellWord } from "../quote.ts";

/** A kind of permission, as in `--allow-read`. */
type PermissionKind = Deno.PermissionDescriptor["name"];

/** Permissions by kind: what is allowed, or everything. */
type Permissions = ReadonlyMap<PermissionKind, readonly string[] | "all">;

const KINDS: readonly PermissionKind[] = ["read", "write", "net", "run", "sys", "env", "ffi"];

/** Sentence that deno.json gives a task.
 *
 * @throws {TypeError} If there is no such task.
 */
export function taskDescription(task: string): string {
  return findTask(task).description;
}

/** Permissions that deno.json gives a task: its permission set of the same name.
 *
 * @throws {TypeError} If there is no such task.
 */
export function taskPermissions(task: string): Permissions {
  findTask(task);
  const sets: Readonly<Record<string, Partial<Record<PermissionKind, string[] | boolean>>>> =
    config.permissions;
  const set = Object.entries(Object.hasOwn(sets, task) ? sets[task] : {});
  return new Map(
    set.map(([kind, values]) =>
      [kind as PermissionKind, Array.isArray(values) ? values : "all"] as const
    ),
  );
}

/** Where a program may write what its user names; every command that names nothing gives it back. */
const ANYWHERE = "/";

/** Flags of a task whose value is a path to write to. */
const OUTPUT_FLAGS: Readonly<Record<string, readonly string[]>> = {
  "train": ["out", "resume"],
  "train:mpi": ["out", "resume"],
  "sweep": ["out"],
  "export": ["out"],
  "lab": ["out"],
  "compare": ["html", "markdown"],
};

/** The flags that give one program the permissions of several tasks, and to write where one that
 * writes is told to.
 */
export function permissionFlags(tasks: readonly string[]): string[] {
  return KINDS.flatMap((kind) => {
    const grants = tasks.map((task) => taskPermissions(task).get(kind) ?? []);
    if (grants.includes("all")) return [`--allow-${kind}`];
    const values = new Set(grants.flat());
    if (kind === "write" && values.size > 0) values.add(ANYWHERE);
    return values.size === 0 ? [] : [`--allow-${kind}=${[...values].join(",")}`];
  });
}

/** Gives back what a task may not do, in a program that has the permissions of several tasks.
 *
 * A task that writes keeps what it needs to write where its arguments say: its own folders where that
 * is below them, else every folder, since a permission can be given back but not made narrower.
 */
export async function keepPermissionsOf(
  task: string,
  tasks: readonly string[],
  args: readonly string[] = [],
): Promise<void> {
  const kept = taskPermissions(task);
  for (const name of KINDS) {
    const own = kept.get(name);
    if (own === undefined) await revoke({ name });
    else if (own !== "all") {
      if (name === "write") {
        const isBelow = (path: string) => own.some((one) => covers(name, one, path));
        if (!outputsOf(task, args).every(isBelow)) continue;
        await revoke(withValue(name, ANYWHERE));
      }
      const others = tasks.flatMap((other) => taskPermissions(other).get(name) ?? []);
      for (const value of new Set(others)) {
        // To give back a folder below a kept one, as data/ where /tmp/work is at work, takes both.
        if (!own.some((one) => covers(name, one, value))) await revoke(withValue(name, value));
      }
    }
  }
}

/** Paths that arguments name to write to. */
function outputsOf(task: string, args: readonly string[]): string[] {
  return (OUTPUT_FLAGS[task] ?? []).flatMap((name) =>
    args.flatMap((arg, index) =>
      arg === `--${name}`
        ? args[index + 1] ?? []
        : arg.startsWith(`--${name}=`)
        ? arg.slice(name.length + 3)
        : []
    )
  );
}

async function revoke(descriptor: object): Promise<void> {
  await Deno.permissions.revoke(descriptor as Deno.PermissionDescriptor);
}

/** What Deno calls the value of a permission; of the others, a path. */
const VALUE_NAMES: Partial<Record<PermissionKind, string>> = {
  net: "host",
  run: "command",
  env: "variable",
  sys: "kind",
};

function withValue(name: PermissionKind, value: string): object {
  return { name, [VALUE_NAMES[name] ?? "path"]: value };
}

/** Whether one value of a permission allows all that another does. */
function covers(name: PermissionKind, one: string, other: string): boolean {
  if (name !== "read" && name !== "write" && name !== "ffi") return one === other;
  const path = relative(one, other);
  return path.split(SEPARATOR)[0] !== ".." && !isAbsolute(path);
}

function findTask(task: string): { readonly description: string } {
  const tasks: Readonly<Record<string, { description: string }>> = config.tasks;
  if (!Object.hasOwn(tasks, task)) throw new TypeError(`Cannot find task "${task}" in deno.json`);
  return tasks[task]!;
}

/** Makes sure that a folder may be written: asks on a terminal, elsewhere it must be allowed already.
 *
 * @param path The file in it that is meant, for the message: it is made beside its place.
 * @throws {TypeError} If it may not.
 */
export async function requireWritePermission(folder: string, path = folder): Promise<void> {
  const { state } = await Deno.permissions.request({ name: "write", path: folder });
  if (state === "granted") return;
  const script = basename(Deno.mainModule);
  const [command] = /^[a-z]+/.exec(script) ?? [script]; // compare_backends.ts is compare
  throw new TypeError(
    `Cannot write to ${path}: this command has no permission to; choose a path below runs/, or give ` +
      `its flags to deno run -P=${command} --allow-write=${shellWord(resolve(folder))} ` +
      `scripts/${script}`,
  );
}

/** Makes sure that a file can be written later: permission, and a folder to hold it.
 *
 * @throws {TypeError} If it may not be written, or is a folder.
 * @throws {Deno.errors.NotFound} If there is no such folder.
 */
export async function requireWritableFile(path: string): Promise<void> {
  await requireNoFolder(path);
  await requireWritePermission(dirname(path), path);
  await Deno.stat(dirname(path));
}

/** Makes sure that a path is no folder where a file is to be written.
 *
 * A file is made beside its place and then renamed: what that says tells of another folder.
 *
 * @param name What the file could be called in the folder, for the message.
 * @throws {TypeError} If it is one.
 */
export async function requireNoFolder(path: string, name = "FILE"): Promise<void> {
  if (!await isFolder(path)) return;
  throw new TypeError(
    printable(`Cannot write to ${path}: it is a folder; give a file, as ${join(path, name)}`),
  );
}

/** Whether a path is a folder; what is wrong with one that cannot be looked at shows when it is used. */
export async function isFolder(path: string): Promise<boolean> {
  return await Deno.stat(path).then(({ isDirectory }) => isDirectory, () => false);
}

/** Gives back the permissions that only fetching needs, so that training has no way out.
 *
 * A later attempt to use the network or to start a program fails, or asks on a terminal.
 */
export async function dropFetchPermissions(): Promise<void> {
  await Deno.permissions.revoke({ name: "net" });
  await Deno.permissions.revoke({ name: "run" });
}
