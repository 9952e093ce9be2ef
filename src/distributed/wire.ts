/** Messages from rank 0 to all others: a few fields, and vectors. */

import type { World } from "./world.ts";

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

/** Does something on every rank, and learns whether it succeeded on all.
 *
 * @returns What it gave.
 * @throws {RankError} On every rank, with the message of the first that failed.
 */
export async function together<T>(world: World, action: () => Promise<T>): Promise<T> {
  let outcome: { readonly value: T } | { readonly error: unknown };
  try {
    outcome = { value: await action() };
  } catch (error) {
    outcome = { error };
  }
  const failed = new Float64Array(world.size);
  const error = "error" in outcome ? outcome.error : undefined;
  const text = new TextEncoder().encode(error instanceof Error ? error.message : String(error));
  if ("error" in outcome) failed[world.rank] = Math.max(1, text.length);
  world.sum(failed);
  const first = failed.findIndex((length) => length > 0);
  if (first < 0) return (outcome as { value: T }).value;
  const message = first === world.rank ? text : new Uint8Array(failed[first]);
  world.broadcast(message, first);
  if (first === world.rank) throw error;
  throw new RankError(first, new TextDecoder().decode(message));
}

/** Another rank could not do its part; all know of it, and can end together. */
export class RankError extends Error {
  /** Name of the class. */
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
