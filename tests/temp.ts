/** Temporary folders for tests that touch real files. */
import { granted } from "./permissions.ts";

const TEMP_ROOT = Deno.build.os === "windows" ? "C:\\Windows\\Temp" : "/tmp";

/** Whether tests may read and write temporary folders. */
export function canUseTemp(): boolean {
  return granted({ name: "read", path: TEMP_ROOT }, { name: "write", path: TEMP_ROOT });
}

/** Runs a test body with a temporary folder, which is removed afterwards. */
export async function withTempDir(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ dir: TEMP_ROOT, prefix: "lenet-test-" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Names of the files in a folder, sorted; none if there is no such folder. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    const names = (await Array.fromAsync(Deno.readDir(folder))).map((entry) => entry.name);
    return names.sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
