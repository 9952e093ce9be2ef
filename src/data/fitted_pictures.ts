/** Reading the pictures of a folder: from a cache where it has them, else decoded, on all cores. */

import { readBounded } from "../read_bounded.ts";
import { sha256Hex } from "../sha256.ts";
import { PictureCache } from "./picture_cache.ts";
import { fitFile, type FitTask, type FittedPicture, MAX_PICTURE_BYTES } from "./picture_file.ts";
import { PicturePool } from "./picture_pool.ts";

/** What became of one file. */
export type ReadPicture =
  | {
    readonly picture: FittedPicture;
    /** SHA-256 of the file. */
    readonly digest: string;
    readonly isCached: boolean;
  }
  | { readonly error: unknown };

/** How files are read. */
export interface ReadOptions extends Omit<FitTask, "bytes"> {
  /** The dataset's folder, which the cache goes by. */
  readonly folder: string;
  /** Folder of all caches; default none. */
  readonly cacheDir?: string;
  /** Stops before the next picture. */
  readonly signal?: AbortSignal;
}

/** From then on threads are worth their start, which takes about as long. */
const ALONE_MS = 250;
/** A set that takes less work is decoded as fast as a cache is read. */
const MIN_CACHED_BYTES = 4 * 2 ** 20;

/** Reads and fits files, and gives them back in their order.
 *
 * @throws {DOMException} If it is aborted.
 */
export async function* fittedPictures(
  paths: readonly string[],
  { folder, cacheDir, signal, ...options }: ReadOptions,
): AsyncGenerator<ReadPicture> {
  const cache = cacheDir === undefined
    ? undefined
    : await PictureCache.open({ cacheDir, folder, ...options });
  using threads = new DisposableStack();
  let pool: PicturePool | undefined;
  let [aloneMs, decodedBytes] = [0, 0];
  const read = async (path: string): Promise<ReadPicture> => {
    try {
      const bytes = await readBounded(path, MAX_PICTURE_BYTES);
      const digest = sha256Hex(bytes);
      const cached = cache?.get(digest);
      const isEnough = !options.findColor || cached?.hasColor !== undefined;
      if (cached !== undefined && isEnough) return { picture: cached, digest, isCached: true };
      decodedBytes += bytes.length;
      const started = performance.now();
      const task = { bytes, ...options };
      const picture = pool === undefined ? fitFile(task) : await pool.fit(task);
      aloneMs += performance.now() - started;
      cache?.set(digest, picture);
      return { picture, digest, isCached: false };
    } catch (error) {
      return { error };
    }
  };
  const underWay: Promise<ReadPicture>[] = [];
  for (const path of paths) {
    signal?.throwIfAborted();
    if (pool === undefined && aloneMs > ALONE_MS) pool = threads.use(new PicturePool());
    underWay.push(read(path));
    if (underWay.length >= (pool?.width ?? 1)) yield await underWay.shift()!;
  }
  while (underWay.length > 0) yield await underWay.shift()!;
  if (decodedBytes >= MIN_CACHED_BYTES) await cache?.save();
}
