/** Where the decoders' programs lie; the npm package has another module in place of this one. */

import { builtin } from "../platform.ts";

/** Reads a library of `@cwasm`.
 *
 * @throws {Error} If it is not in a folder of packages.
 */
export function readDecoder(name: string): Uint8Array<ArrayBuffer> {
  const file = `@cwasm/${name}/${name}.wasm`;
  const place = Deno.build.standalone
    ? new URL(`./node_modules/${file}`, import.meta.url)
    : locate(file);
  if (place !== undefined) return Deno.readFileSync(place);
  throw new Error(
    `Cannot decode pictures: expected ${file} in a node_modules folder beside this library, found ` +
      `none; run deno install there`,
  );
}

/** A program that imports this library has its own import map, and its own packages. */
function locate(file: string): URL | string | undefined {
  const { createRequire } = builtin("node:module")!;
  for (const resolve of [import.meta.resolve, createRequire(import.meta.url).resolve]) {
    try {
      const found = resolve(file);
      if (found.startsWith("file:")) return new URL(found);
      if (found.startsWith("/")) return found;
    } catch { // not by this way
    }
  }
  return undefined;
}
