/** Lets a test say which permissions it needs, so that it is ignored by name where one is missing. */

/** Whether all the permissions are granted already; never prompts. */
export function granted(...descriptors: Deno.PermissionDescriptor[]): boolean {
  return descriptors.every((descriptor) =>
    Deno.permissions.querySync(descriptor).state === "granted"
  );
}
