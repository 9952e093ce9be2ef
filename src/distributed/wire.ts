/** Messages from rank 0 to all others: a few fields, and vectors. */

import { MpiError, type World } from "./world.ts";

/** Vectors that travel with a message. */
export type Part = Uint8Array | Uint32Array | Float32Array | Float64Array;

/** Sends a message to all ranks; only rank 0 does, and the others {@linkcode hear} it. */
export function tell(world: World, fields: unknown, parts: readonly Part[] = []): void {
  const lengths = parts.map(({ byteLength }) => byteLength);
  const text = new TextEncoder().encode(JSON.stringify({ fields, lengths }));
  world.broadcast(new Uint8Array(Float64Array.of(text.length).buffer));
  world.broadcast(text);
  for (const part of parts) world.broadcast(bytesOf(part));
}

/** Waits for the next message of rank 0. */
export function hear<Fields>(world: World): { fields: Fields; parts: ArrayBuffer[] } {
  const length = new Float64Array(1);
  world.broadcast(bytesOf(length));
  const text = new Uint8Array(length[0]);
  world.broadcast(text);
  const { fields, lengths } = JSON.parse(new TextDecoder().decode(text)) as {
    fields: Fields;
    lengths: number[];
  };
  const parts = lengths.map((length) => {
    const part = new Uint8Array(length);
    world.broadcast(part);
    return part.buffer;
  });
  return { fields, parts };
}

/** What came of something on every rank: this one's value, or the same failure on all. */
export type Agreed<T> = { readonly value: T } | { readonly error: unknown };

/** Does something on every rank, and learns whether it succeeded on all.
 *
 * @returns What it gave; if a rank failed, the error of the first that did: a {@linkcode RankError} on
 * the others.
 * @throws {MpiError} If the ranks cannot agree.
 */
export async function agree<T>(world: World, action: () => Promise<T>): Promise<Agreed<T>> {
  let outcome: Agreed<T>;
  try {
    outcome = { value: await action() };
  } catch (error) {
    if (error instanceof MpiError) throw error;
    outcome = { error };
  }
  const text = new TextEncoder().encode("error" in outcome ? messageOf(outcome.error) : "");
  const lengths = new Float64Array(world.size);
  lengths[world.rank] = text.length;
  world.sum(lengths);
  const first = lengths.findIndex((length) => length > 0);
  if (first < 0) return outcome;
  const message = first === world.rank ? text : new Uint8Array(lengths[first]);
  world.broadcast(message, first);
  if (first === world.rank) return outcome;
  return { error: new RankError(first, new TextDecoder().decode(message)) };
}

/** As {@linkcode agree}, but throws the error.
 *
 * @throws {RankError} If another rank was the first to fail; the own error if this one was.
 */
export async function together<T>(world: World, action: () => Promise<T>): Promise<T> {
  const agreed = await agree(world, action);
  if ("error" in agreed) throw agreed.error;
  return agreed.value;
}

/** Never empty: its length tells the other ranks of the failure. */
function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  return text || "unknown error";
}

/** Another rank could not do its part; all know of it, and can end together. */
export class RankError extends Error {
  override readonly name = "RankError";

  /** @param rank Which one. */
  constructor(readonly rank: number, message: string) {
    super(`${message} (on rank ${rank})`);
  }
}

/** The bytes of a vector, which share its memory. */
export function bytesOf({ buffer, byteOffset, byteLength }: Part): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
