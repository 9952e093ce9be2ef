/** Keeps graphics drivers from writing to a user's terminal. */

const VARIABLE = "XDG_RUNTIME_DIR";

/** Call before asking for a GPU adapter.
 *
 * Mesa prints "error: XDG_RUNTIME_DIR is invalid or not set" where no desktop session has set it. The
 * folder is not used for computing. Does nothing without permission to set the variable.
 */
export function quietDrivers(): void {
  const { state } = Deno.permissions.querySync({ name: "env", variable: VARIABLE });
  if (state === "granted" && Deno.env.get(VARIABLE) === undefined) Deno.env.set(VARIABLE, "/tmp");
}
