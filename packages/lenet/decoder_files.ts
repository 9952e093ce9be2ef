/** In place of `data/decoder_files.ts`: the decoders' programs are in the package. */

import { fromBase64 } from "../../src/platform.ts";

/** By their names, as base64; the build puts them here. */
declare const DECODERS: Readonly<Record<string, string>>;

/** A library of `@cwasm`. */
export function readDecoder(name: string): Uint8Array<ArrayBuffer> {
  return fromBase64(DECODERS[name]);
}
