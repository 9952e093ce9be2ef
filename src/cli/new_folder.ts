/** Folders below `runs/` for what is given none. */

import { join } from "node:path";

/** Where runs and sweeps go that are not given a folder. */
export const RUNS = "runs";

/** Makes `runs/lenet-20261123-141502`, or with `-2` behind it if that is taken. */
export async function makeFolder(name: string): Promise<string> {
  await Deno.mkdir(RUNS, { recursive: true });
  const now = new Date().toISOString().replace(/[-:]/g, "");
  const path = join(RUNS, `${name}-${now.slice(0, 8)}-${now.slice(9, 15)}`);
  for (let number = 1;; number++) {
    const candidate = number === 1 ? path : `${path}-${number}`;
    try {
      await Deno.mkdir(candidate);
      return candidate;
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
  }
}
