/** What deno.json says of a command: its description, and the permissions of its task. */

import config from "../../deno.json" with { type: "json" };

/** A kind of permission, as in `--allow-read`. */
export type PermissionKind = Deno.PermissionDescriptor["name"];

/** Permissions by kind: what is allowed, or everything. */
export type Permissions = ReadonlyMap<PermissionKind, readonly string[] | "all">;

const KINDS: readonly PermissionKind[] = ["read", "write", "net", "run", "sys", "env", "ffi"];

/** Sentence that deno.json gives a task.
 *
 * @throws {TypeError} If there is no such task.
 */
export function taskDescription(task: string): string {
  return findTask(task).description;
}

/** Permissions that deno.json gives a task.
 *
 * @throws {TypeError} If there is no such task.
 */
export function taskPermissions(task: string): Permissions {
  const permissions = new Map<PermissionKind, readonly string[] | "all">();
  for (const word of findTask(task).command.split(" ")) {
    const [, name, values] = /^--allow-([a-z]+)(?:=(.*))?$/.exec(word) ?? [];
    const kind = KINDS.find((known) => known === name);
    if (kind !== undefined) permissions.set(kind, values?.split(",") ?? "all");
  }
  return permissions;
}

/** The flags that give one program the permissions of several tasks, and no more. */
export function permissionFlags(tasks: readonly string[]): string[] {
  return KINDS.flatMap((kind) => {
    const grants = tasks.map((task) => taskPermissions(task).get(kind) ?? []);
    if (grants.includes("all")) return [`--allow-${kind}`];
    const values = [...new Set(grants.flat())];
    return values.length === 0 ? [] : [`--allow-${kind}=${values.join(",")}`];
  });
}

/** Gives back the kinds of permissions that a task does not have, in a program that has them all. */
export async function keepPermissionsOf(task: string): Promise<void> {
  const kept = taskPermissions(task);
  for (const name of KINDS) {
    if (!kept.has(name)) await Deno.permissions.revoke({ name } as Deno.PermissionDescriptor);
  }
}

function findTask(task: string): { readonly description: string; readonly command: string } {
  const tasks: Readonly<Record<string, { description: string; command: string }>> = config.tasks;
  if (!Object.hasOwn(tasks, task)) throw new TypeError(`Cannot find task "${task}" in deno.json`);
  return tasks[task]!;
}
