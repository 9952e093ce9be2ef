/** A download that is not complete yet: its bytes, and of which content they are the beginning. */

import { isRecord, parseJson } from "../parse_json.ts";
import { readBounded } from "../read_bounded.ts";
import { sha256Hex } from "../sha256.ts";
import { removeIfThere, writeAtomic } from "../write_atomic.ts";
import type { Beginning } from "./http.ts";

const MAX_ORIGIN_BYTES = 4096;

/** Says what there is of a file from an address; what is of another address is removed.
 *
 * Without a record of where it came from, it is taken for what it may be: its digest will tell.
 */
export async function beginningOf(part: string, source: URL): Promise<Beginning> {
  const offset = await sizeOf(part);
  const origin = offset === 0 ? undefined : await readOrigin(part);
  if (origin === undefined) return { offset };
  if (origin.source === nameOf(source)) return { offset, validator: origin.validator };
  await removePartial(part);
  return { offset: 0 };
}

/** Records what a download from its first byte on is a download of. */
export async function recordOrigin(
  part: string,
  source: URL,
  validator: string | undefined,
): Promise<void> {
  if (validator === undefined) return await removeIfThere(originOf(part));
  await writeAtomic(originOf(part), JSON.stringify({ source: nameOf(source), validator }));
}

/** Removes the bytes and the record. */
export async function removePartial(part: string): Promise<void> {
  await removeIfThere(part);
  await removeIfThere(originOf(part));
}

/** Gives a complete download its name. */
export async function completePartial(part: string, path: string): Promise<void> {
  await Deno.rename(part, path);
  await removeIfThere(originOf(part));
}

/** Size of a file, 0 if there is none. */
export async function sizeOf(path: string): Promise<number> {
  try {
    return (await Deno.stat(path)).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

async function readOrigin(
  part: string,
): Promise<{ readonly source: string; readonly validator: string } | undefined> {
  try {
    const bytes = await readBounded(originOf(part), MAX_ORIGIN_BYTES);
    const origin = parseJson(new TextDecoder().decode(bytes));
    if (!isRecord(origin)) return undefined;
    const { source, validator } = origin;
    return typeof source === "string" && typeof validator === "string"
      ? { source, validator }
      : undefined;
  } catch {
    return undefined; // there is none, or it is damaged: as good as none
  }
}

function originOf(part: string): string {
  return `${part}.origin`;
}

/** An address may hold a password: its digest is as good for telling it from others. */
function nameOf(source: URL): string {
  return sha256Hex(new TextEncoder().encode(source.href));
}
