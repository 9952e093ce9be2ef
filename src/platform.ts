/** What the places that this project runs in have each in their own way: Deno, Node, Bun and browsers. */

interface Builtins {
  readonly "node:crypto": typeof import("node:crypto");
  readonly "node:fs/promises": typeof import("node:fs/promises");
  readonly "node:module": typeof import("node:module");
  readonly "node:os": typeof import("node:os");
  readonly "node:worker_threads": typeof import("node:worker_threads");
  readonly "node:zlib": typeof import("node:zlib");
}

interface Process {
  getBuiltinModule<Name extends keyof Builtins>(name: Name): Builtins[Name];
}

/** A module of Node's, loaded only when it is needed, and at once; undefined in a browser. */
export function builtin<Name extends keyof Builtins>(name: Name): Builtins[Name] | undefined {
  const { process } = globalThis as unknown as { readonly process?: Process };
  return process?.getBuiltinModule?.(name);
}

/** Cores of this machine, as far as it says. */
export function coreCount(): number {
  // Node 20 has no navigator.
  return globalThis.navigator?.hardwareConcurrency ??
    builtin("node:os")?.availableParallelism() ?? 1;
}

/** Whether memory can be shared with workers: pages that are not cross-origin isolated cannot. */
export function maySendSharedMemory(): boolean {
  const { crossOriginIsolated } = globalThis as { readonly crossOriginIsolated?: boolean };
  return crossOriginIsolated !== false;
}

/** Bytes that are written as base64. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  // Node of before 25, and browsers of before September 2025.
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** Bytes as base64. */
export function toBase64(bytes: Uint8Array): string {
  if (bytes.toBase64) return bytes.toBase64();
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}
