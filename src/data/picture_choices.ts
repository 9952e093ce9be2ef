/** What is chosen for pictures of a folder where nobody says: their size and channels, and why. */

import { formatCount, quoteWhole } from "../quote.ts";
import { readBounded } from "../read_bounded.ts";
import type { LabeledImages } from "./dataset.ts";
import { MAX_IDX_BYTES } from "./idx.ts";
import type { Channels } from "./picture.ts";
import { MAX_PICTURE_BYTES } from "./picture_file.ts";
import { pictureHeader } from "./picture_header.ts";
import { pictureKind } from "./picture_kind.ts";
import type { PictureListing } from "./picture_listing.ts";

/** What pictures are fitted to. */
export interface PictureSize {
  /** In pixels. */
  readonly width: number;
  /** In pixels. */
  readonly height: number;
}

/** What becomes of pictures. */
export interface PictureOptions {
  /** What they are fitted to; `auto` is 64 x 64 where most are as large, else 28 x 28; default 28 x 28. */
  readonly size?: PictureSize | "auto";
  /** 1 makes them grey, 3 keeps red, green and blue; `auto` is 3 if any has colour; default 1. */
  readonly channels?: Channels | "auto";
  /** Share of each class that becomes the test set, above 0; 1 for all, where nothing is to be
   * trained; default 0.2. Of no effect on a folder with a test folder of its own.
   */
  readonly testSplit?: number;
  /** Turns dark on light into light on dark; default false. */
  readonly invert?: boolean;
  /** Goes on without pictures that cannot be read, and counts them; default false. */
  readonly skipUnreadable?: boolean;
}

/** Side of the square that pictures are fitted to where nothing else is asked for. */
export const DEFAULT_IMAGE_SIZE = 28;

/** The same for `auto`, where most pictures are as large or larger: what they show needs it. */
export const LARGE_IMAGE_SIZE = 64;

/** Of so many pictures the size is looked at, spread evenly. */
const SIZE_SAMPLES = 33;

/** A size of equal sides. */
export function squareOf(side: number): PictureSize {
  return { width: side, height: side };
}

/** The size for pictures: enough for what most of them show, unless memory could not hold that. */
export async function usualSize({ pictures }: PictureListing): Promise<PictureSize> {
  const step = Math.max(1, pictures.length / SIZE_SAMPLES);
  const sides: number[] = [];
  for (let n = 0; n < pictures.length; n += step) {
    try {
      const bytes = await readBounded(pictures[Math.floor(n)].path, MAX_PICTURE_BYTES);
      const kind = pictureKind(bytes);
      if (kind === undefined) continue;
      const { width, height } = pictureHeader(bytes, kind);
      sides.push(Math.max(width, height));
    } catch {
      // What is wrong with it is said when it is decoded.
    }
  }
  const median = sides.sort((a, b) => a - b)[sides.length >> 1] ?? 0;
  const isRoom = pictures.length * 3 * LARGE_IMAGE_SIZE ** 2 <= MAX_IDX_BYTES;
  return squareOf(median >= LARGE_IMAGE_SIZE && isRoom ? LARGE_IMAGE_SIZE : DEFAULT_IMAGE_SIZE);
}

/** What was chosen for pictures, and why. */
export function choiceNotes(
  { shape: [channels, height, width], count }: LabeledImages,
  colored: readonly string[],
  { size, channels: asked }: PictureOptions,
): string[] {
  if (asked !== "auto" && size !== "auto") return [];
  const some = colored.length < count / 2 ? `, such as ${quoteWhole(colored[0])}` : "";
  const colors = channels === 1
    ? "none has colour"
    : `${formatCount(colored.length)} of ${formatCount(count)} have colour${some}`;
  const sizes = `most are ${
    width === LARGE_IMAGE_SIZE ? "as large or larger" : `smaller than ${LARGE_IMAGE_SIZE}`
  }`;
  const reasons = [...(asked === "auto" ? [colors] : []), ...(size === "auto" ? [sizes] : [])];
  return [`pictures become ${channels}x${height}x${width}: ${reasons.join(", ")}`];
}
