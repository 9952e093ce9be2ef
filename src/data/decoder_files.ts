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

/** A program that imports this library by its path has neither its import map nor its packages. */
function locate(file: string): URL | string | undefined {
  try {
    return new URL(import.meta.resolve(file));
  } catch { // as another project's map has it not
    try {
      return builtin("node:module")!.createRequire(import.meta.url).resolve(file);
    } catch {
      return undefined;
    }
  }
}
