/** Fitted pictures kept from one run to the next, by the content of their files. */

import { join } from "node:path";
import { readBounded } from "../read_bounded.ts";
import { sha256Hex } from "../sha256.ts";
import { writeAtomic } from "../write_atomic.ts";
import type { Channels } from "./picture.ts";
import type { FittedPicture } from "./picture_file.ts";

/** Goes up with every change of what decoding or fitting makes of a file. */
const VERSION = 2;
const MAGIC = new TextEncoder().encode(`lenet pictures ${VERSION}\n`);
const DIGEST_BYTES = 32;
/** Beyond this a cache is not written, so that memory and disk stay free. */
const MAX_CACHE_BYTES = 512 * 2 ** 20;
/** Sets, and sizes of one, that are kept: the ones written last. */
const MAX_CACHES = 8;
const ENDING = ".pictures";
const [LIGHT_BORDER, ANIMATED, GREY, COLOR_SOUGHT, COLOR] = [1, 2, 4, 8, 16];

/** What decides what a file becomes, beside its content. */
export interface CacheOptions {
  /** Folder of all caches. */
  readonly cacheDir: string;
  /** The dataset's folder. */
  readonly folder: string;
  readonly size: { readonly width: number; readonly height: number };
  readonly channels: Channels;
  readonly invert: boolean;
}

/** The fitted pictures of one folder, in one file: digest of the picture's file, flags, pixels.
 *
 * A file that is missing, damaged or of another version is as good as empty.
 */
export class PictureCache {
  readonly #path: string;
  readonly #dir: string;
  readonly #recordBytes: number;
  readonly #known = new Map<string, FittedPicture>();
  readonly #used = new Map<string, FittedPicture>();
  #hasNew = false;

  private constructor({ cacheDir, size, channels, invert }: CacheOptions, realFolder: string) {
    const key = JSON.stringify([realFolder, channels, size.width, size.height, invert]);
    this.#dir = cacheDir;
    this.#path = join(cacheDir, sha256Hex(new TextEncoder().encode(key)).slice(0, 32) + ENDING);
    this.#recordBytes = DIGEST_BYTES + 1 + channels * size.width * size.height;
  }

  /** Opens the cache of a folder; never fails. */
  static async open(options: CacheOptions): Promise<PictureCache> {
    const realFolder = await Deno.realPath(options.folder).catch(() => options.folder);
    const cache = new PictureCache(options, realFolder);
    try {
      cache.#read(await readBounded(cache.#path, MAX_CACHE_BYTES));
    } catch {
      // Not there, or not readable.
    }
    return cache;
  }

  #read(bytes: Uint8Array): void {
    const start = MAGIC.length + DIGEST_BYTES;
    const records = bytes.subarray(start);
    const isSound = MAGIC.every((byte, n) => byte === bytes[n]) &&
      records.length % this.#recordBytes === 0 &&
      bytes.subarray(MAGIC.length, start).toHex() === sha256Hex(records);
    for (let at = 0; isSound && at < records.length; at += this.#recordBytes) {
      const flags = records[at + DIGEST_BYTES];
      this.#known.set(records.subarray(at, at + DIGEST_BYTES).toHex(), {
        pixels: records.subarray(at + DIGEST_BYTES + 1, at + this.#recordBytes),
        hasLightBorder: (flags & LIGHT_BORDER) > 0,
        isAnimated: (flags & ANIMATED) > 0,
        isGrey: (flags & GREY) > 0,
        ...(flags & COLOR_SOUGHT && { hasColor: (flags & COLOR) > 0 }),
      });
    }
  }

  /** The picture of a file by its SHA-256; undefined where it is not known. */
  get(digest: string): FittedPicture | undefined {
    const known = this.#known.get(digest);
    if (known !== undefined) this.#used.set(digest, known);
    return known;
  }

  /** Keeps a picture. */
  set(digest: string, picture: FittedPicture): void {
    this.#used.set(digest, picture);
    this.#hasNew = true;
  }

  /** Writes what has been asked for and kept, where there is anything new and writing is allowed.
   *
   * It never fails, and never asks for a permission.
   */
  async save(): Promise<void> {
    const bytes = MAGIC.length + DIGEST_BYTES + this.#used.size * this.#recordBytes;
    if (!this.#hasNew || bytes > MAX_CACHE_BYTES) return;
    const { state } = await Deno.permissions.query({ name: "write", path: this.#dir });
    if (state !== "granted") return;
    const content = new Uint8Array(bytes);
    content.set(MAGIC);
    let at = MAGIC.length + DIGEST_BYTES;
    for (const [digest, { pixels, ...facts }] of this.#used) {
      content.set(Uint8Array.fromHex(digest), at);
      content[at + DIGEST_BYTES] = (facts.hasLightBorder ? LIGHT_BORDER : 0) |
        (facts.isAnimated ? ANIMATED : 0) | (facts.isGrey ? GREY : 0) |
        (facts.hasColor !== undefined ? COLOR_SOUGHT : 0) | (facts.hasColor ? COLOR : 0);
      content.set(pixels, at + DIGEST_BYTES + 1);
      at += this.#recordBytes;
    }
    const records = content.subarray(MAGIC.length + DIGEST_BYTES);
    content.set(Uint8Array.fromHex(sha256Hex(records)), MAGIC.length);
    try {
      await Deno.mkdir(this.#dir, { recursive: true });
      await writeAtomic(this.#path, content);
      await this.#removeOld();
    } catch {
      // A full or read-only disk costs time at the next run, and nothing else.
    }
  }

  async #removeOld(): Promise<void> {
    const files = [];
    for await (const { name } of Deno.readDir(this.#dir)) {
      if (!name.endsWith(ENDING)) continue;
      const path = join(this.#dir, name);
      files.push({ path, writtenMs: (await Deno.stat(path)).mtime?.getTime() ?? 0 });
    }
    files.sort((a, b) => b.writtenMs - a.writtenMs);
    for (const { path } of files.slice(MAX_CACHES)) await Deno.remove(path);
  }
}
