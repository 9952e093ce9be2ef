// deno-lint-ignore-file no-console
/** What the flags say about a folder of pictures, and what the user is told about it. */

import { join } from "node:path";
import type { Dataset, PictureFacts } from "../data/dataset.ts";
import { DEFAULT_DATA_DIR } from "../data/fetch.ts";
import { DEFAULT_TEST_SPLIT, type PictureHooks } from "../data/image_folder.ts";
import {
  DEFAULT_IMAGE_SIZE,
  LARGE_IMAGE_SIZE,
  type PictureOptions,
} from "../data/picture_choices.ts";
import type { Model } from "../nn/sequential.ts";
import { formatCount, printable, quoteWhole } from "../quote.ts";
import { type ProgressBar, startProgress } from "../report/progress.ts";
import { UsageError } from "./errors.ts";
import type { FlagTable, FlagValues } from "./flag_types.ts";

/** The flags that say what becomes of a folder of pictures, or of IDX files. */
export const PICTURE_FLAGS = {
  "test-split": {
    type: "number",
    exclusiveMin: 0,
    exclusiveMax: 1,
    defaultText: `${DEFAULT_TEST_SPLIT}, for pictures`,
    help: "share of each class of pictures to test on",
  },
  "image-size": {
    type: "integer",
    min: 1,
    max: 1024,
    defaultText: `${LARGE_IMAGE_SIZE} if most pictures are as large, else ${DEFAULT_IMAGE_SIZE}`,
    help: "side of the square that pictures are fitted to",
  },
  channels: {
    type: "choice",
    choices: ["auto", "1", "3"],
    defaultText: "auto, for pictures: 3 if any has colour",
    help: "1 makes pictures grey, 3 keeps their colours",
  },
  invert: { type: "boolean", help: "turn pictures that are dark on light into light on dark" },
  "skip-unreadable": { type: "boolean", help: "go on without pictures that cannot be read" },
  transpose: { type: "boolean", help: "swap rows and columns of IDX images, as EMNIST needs" },
} as const satisfies FlagTable;

type PictureFlags = FlagValues<typeof PICTURE_FLAGS>;

/** What the flags ask for. */
export function pictureOptions(
  { imageSize, channels = "auto", testSplit, invert, skipUnreadable }: PictureFlags,
): PictureOptions {
  const size = imageSize === undefined ? "auto" : { width: imageSize, height: imageSize };
  const asked = channels === "auto" ? channels : channels === "3" ? 3 : 1;
  return { testSplit, size, channels: asked, invert, skipUnreadable };
}

/** What makes pictures again as a model's training had them. */
export function picturesFor(
  { inputShape: [channels, height, width] }: Model,
  { testSplit, invert, unreadable }: Partial<PictureFacts> = {},
): PictureOptions {
  const skipUnreadable = unreadable !== undefined;
  const size = { width, height };
  return { testSplit, invert, skipUnreadable, size, channels: channels === 3 ? 3 : 1 };
}

/** Checks that flags for pictures or IDX files had some to work on.
 *
 * @throws {UsageError} If they had not.
 */
export function requirePictures(
  { name, pictures, transposed }: Dataset,
  flags: Partial<PictureFlags>,
): void {
  const cannot = (flag: string, reason: string) =>
    new UsageError(`Cannot use --${flag} with dataset ${quoteWhole(name)}: ${reason}`);
  const { transpose, testSplit, imageSize, channels, invert, skipUnreadable } = flags;
  const given = Object.entries({
    "test-split": testSplit !== undefined,
    "image-size": imageSize !== undefined,
    channels: channels !== undefined,
    invert,
    "skip-unreadable": skipUnreadable,
  }).find(([, isGiven]) => isGiven)?.[0];
  if (given !== undefined && pictures === undefined) {
    throw cannot(given, "it is for folders of pictures");
  }
  if (transpose && !transposed) throw cannot("transpose", "it is for folders of IDX files");
  if (testSplit !== undefined && pictures?.testSplit === undefined) {
    throw cannot("test-split", "it has a test folder of its own");
  }
}

/** Where fitted pictures are kept for the next command; to forget them, remove it. */
const PICTURE_CACHE = join(DEFAULT_DATA_DIR, ".pictures");

/** Shows how far the reading of pictures has come. */
export function showPictures(quiet: boolean): PictureHooks & { readonly stop: () => void } {
  let progress: ProgressBar | undefined;
  return {
    cacheDir: PICTURE_CACHE,
    onPicture: (done, total, cached) => {
      progress ??= startProgress("reading pictures", { unit: "pictures", total, quiet });
      const note = cached > 0 ? `${formatCount(cached)} decoded before` : undefined;
      progress.update(done, { note });
    },
    stop: () => progress?.stop(),
  };
}

/** What is said where most pictures are dark on light. */
export function darkOnLightNote({ name, pictures }: Dataset): string {
  return `note: most pictures of ${quoteWhole(name)} look dark on light, models learn better ` +
    `from light on dark: try ${pictures?.invert ? "it without --invert" : "--invert"}`;
}

/** Says what finding and reading something left out, changed or took for something, a line each on standard
 * error.
 *
 * @param label Names it where that is not said in the notes.
 */
export function sayNotes(
  { label, notes = [] }: { readonly label?: string; readonly notes?: readonly string[] },
): void {
  const before = label === undefined ? "note: " : `note: ${label}: `;
  for (const note of notes) console.error(printable(before + note));
}
