/** Mutations of PNG and gzip files that keep their checksums right, so that they reach further in. */

import { crc32, deflateSync, gunzipSync, gzipSync, inflateSync } from "node:zlib";
import type { Random } from "../../src/random.ts";
import { concat, mutateBytes, pick } from "./mutate.ts";

interface Chunk {
  readonly type: string;
  readonly data: Uint8Array;
}

const SIGNATURE_BYTES = 8;

/** Mutates one chunk of a PNG: its content, its pixels before compression, its type or place. */
export function mutatePngChunk(png: Uint8Array, random: Random): Uint8Array {
  const chunks = chunksOf(png);
  const at = random.below(chunks.length);
  const { type, data } = chunks[at];
  switch (random.below(6)) {
    case 0:
      chunks.splice(at, 1);
      break;
    case 1:
      chunks.splice(random.below(chunks.length), 0, chunks[at]);
      break;
    case 2:
      chunks[at] = { type: pick(["IHDR", "PLTE", "tRNS", "IDAT", "IEND", "acTL"], random), data };
      break;
    case 3:
      chunks[at] = type === "IDAT"
        ? { type, data: deflateSync(mutateBytes(inflateSync(data), random)) }
        : { type, data: mutateBytes(data, random) };
      break;
    default:
      chunks[at] = { type, data: mutateBytes(data, random) };
  }
  return concat(png.subarray(0, SIGNATURE_BYTES), ...chunks.map(chunkBytes));
}

function chunksOf(png: Uint8Array): Chunk[] {
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  const chunks: Chunk[] = [];
  for (let start = SIGNATURE_BYTES; start < png.length;) {
    const length = view.getUint32(start);
    const type = new TextDecoder().decode(png.subarray(start + 4, start + 8));
    chunks.push({ type, data: png.subarray(start + 8, start + 8 + length) });
    start += 12 + length;
  }
  return chunks;
}

/** A chunk as a PNG file holds it: length, type, content, checksum. */
export function chunkBytes({ type, data }: Chunk): Uint8Array {
  const body = concat(new TextEncoder().encode(type), data);
  const bytes = concat(new Uint8Array(4), body, new Uint8Array(4));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  view.setUint32(4 + body.length, crc32(body));
  return bytes;
}

/** Mutates what a gzip file holds, and packs it again. */
export function mutateGzipContent(gzip: Uint8Array, random: Random): Uint8Array {
  return new Uint8Array(gzipSync(mutateBytes(gunzipSync(gzip), random), { level: 1 }));
}
