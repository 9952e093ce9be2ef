/** Folders of pictures for tests: real PNG and JPEG files made from the sample. */

import { encode } from "fast-png";
import jpeg from "jpeg-js";
import { dirname, join } from "node:path";
import type { Dataset, LabeledImages } from "../src/data/dataset.ts";

/** A grey PNG. */
export function pngOf(pixels: Uint8Array, [height, width]: readonly [number, number]): Uint8Array {
  return encode({ width, height, data: pixels, channels: 1 });
}

/** A PNG whose content depends on the seed: dark, with a light pixel or two. */
export function drawing(seed: number, size: readonly [number, number] = [4, 4]): Uint8Array {
  const pixels = new Uint8Array(size[0] * size[1]);
  pixels[seed % pixels.length] = 255;
  pixels[(seed * 7 + 3) % pixels.length] = 100 + seed % 100;
  return pngOf(pixels, size);
}

/** `count` pictures of a class, by name. */
export function classOf(name: string, count: number, firstSeed = 0): Record<string, Uint8Array> {
  const entries = Array.from(
    { length: count },
    (_, n) => [`${name}/${n}.png`, drawing(n + firstSeed)],
  );
  return Object.fromEntries(entries);
}

/** A JPEG of a grey picture. */
export function jpegOf(pixels: Uint8Array, [height, width]: readonly [number, number]) {
  const data = new Uint8Array(4 * pixels.length);
  pixels.forEach((pixel, n) => data.set([pixel, pixel, pixel, 255], 4 * n));
  return new Uint8Array(jpeg.encode({ width, height, data }, 95).data);
}

/** Pixels of one image of a set. */
export function pixelsOf({ images, shape: [, height, width] }: LabeledImages, index: number) {
  return images.subarray(index * height * width, (index + 1) * height * width);
}

/** Writes files, and the folders they need, below a folder. */
export async function writeFiles(
  folder: string,
  files: Readonly<Record<string, Uint8Array | string>>,
): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    await Deno.mkdir(dirname(path), { recursive: true });
    await (typeof content === "string"
      ? Deno.writeTextFile(path, content)
      : Deno.writeFile(path, content));
  }
}

/** The first `count` images of each of some classes, as PNG files in a folder a class. */
export async function writeClasses(
  folder: string,
  { train, classNames }: Dataset,
  { labels, count, turned = false }: {
    readonly labels: readonly number[];
    readonly count: number;
    /** Writes them dark on light. */
    readonly turned?: boolean;
  },
): Promise<void> {
  for (const label of labels) {
    const members = [...train.labels.keys()].filter((n) => train.labels[n] === label);
    for (const [n, index] of members.slice(0, count).entries()) {
      const pixels = pixelsOf(train, index).map((pixel) => turned ? 255 - pixel : pixel);
      const name = `${classNames[label].toLowerCase()}/${String(n).padStart(3, "0")}.png`;
      await writeFiles(folder, { [name]: pngOf(pixels, [28, 28]) });
    }
  }
}
