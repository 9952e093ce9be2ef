/** Archives of Unix for tests. */

import { concat } from "../src/data/png_chunks.ts";

/** A .tar of files, as archives of Unix are laid out. */
export function tarOf(files: Readonly<Record<string, Uint8Array>>): Uint8Array {
  const blocks = Object.entries(files).flatMap(([name, content]) => {
    const header = new Uint8Array(512);
    header.set(new TextEncoder().encode(name));
    header.set(new TextEncoder().encode(content.length.toString(8).padStart(11, "0")), 124);
    return [header, content, new Uint8Array(-content.length & 511)];
  });
  return concat([...blocks, new Uint8Array(1024)]);
}
