/** The digest that tells whether bytes are what they were. */

import { createHash } from "node:crypto";

/** SHA-256 of the parts one after another, lower-case hexadecimal. */
export function sha256Hex(...parts: readonly Uint8Array[]): string {
  // node:crypto hashes twice as fast here as crypto.subtle, and takes its input in parts.
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}
