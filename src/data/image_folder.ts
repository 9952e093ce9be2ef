/** A dataset of pictures in folders, one folder a class. */

import { relative } from "node:path";
import type { Dataset, LabeledImages, UnreadablePicture } from "./dataset.ts";
import { DatasetError, UnreadablePicturesError } from "./errors.ts";
import { MAX_IDX_BYTES } from "./idx.ts";
import { countOf, formatCount, printable, quote, quoteWhole } from "../quote.ts";
import { sha256Hex } from "../sha256.ts";
import { isSystemError, readingReason } from "../system_reason.ts";
import { fittedPictures } from "./fitted_pictures.ts";
import { type Channels, isPictureChannels } from "./picture.ts";
import {
  choiceNotes,
  DEFAULT_IMAGE_SIZE,
  type PictureOptions,
  type PictureSize,
  squareOf,
  usualSize,
} from "./picture_choices.ts";
import type { FitTask } from "./picture_file.ts";
import { type ListedPicture, listPictures, type PictureListing } from "./picture_listing.ts";
import { orderByContent, selectImages, splitByContent, splitByPart } from "./split.ts";

/** Share of each class that becomes the test set where nothing else is asked for. */
export const DEFAULT_TEST_SPLIT = 0.2;

/** How loading is watched and stopped. */
export interface PictureHooks {
  /** Called after every picture; `cached` is how many had been decoded before, and kept. */
  readonly onPicture?: (done: number, total: number, cached: number) => void;
  /** Where fitted pictures are kept for the next time, as far as writing there is allowed; default
   * nowhere.
   */
  readonly cacheDir?: string;
  /** Stops before the next picture. */
  readonly signal?: AbortSignal;
}

/** Loads pictures of any size from a folder for each class, made grey or in colour, and fitted.
 *
 * Validation and test set are the folder's own; without a test, a share of each class becomes it, see
 * {@linkcode splitByContent}. Pictures are decoded on all cores, and only a few
 * are held decoded at a time.
 *
 * @throws {DatasetError} If the folder is not as it must be; see {@linkcode listPictures}.
 * @throws {UnreadablePicturesError} If pictures cannot be read and are not to be skipped.
 */
export async function loadImageFolder(
  folder: string,
  options: PictureOptions & PictureHooks = {},
): Promise<Dataset> {
  const {
    size: askedSize = squareOf(DEFAULT_IMAGE_SIZE),
    channels: askedChannels = 1,
    testSplit = DEFAULT_TEST_SPLIT,
    invert = false,
  } = options;
  const place = quoteWhole(folder);
  if (!(testSplit > 0 && testSplit <= 1)) {
    throw new RangeError(
      `Cannot split ${place}: testSplit must be above 0 and at most 1: found ${testSplit}`,
    );
  }
  if (askedChannels !== "auto" && !isPictureChannels(askedChannels)) {
    throw new RangeError(`Invalid channels ${quote(askedChannels)}: expected 1, 3 or "auto"`);
  }
  const listing = await listPictures(folder);
  const { classNames, parts } = listing;
  const size = askedSize === "auto" ? await usualSize(listing) : askedSize;
  const how = { ...options, folder, size, invert };
  const findColor = askedChannels === "auto";
  const grey = askedChannels === 3
    ? undefined
    : await readPictures(listing, { ...how, channels: 1, findColor });
  // A picture of colour ends reading in grey; without looking for it, nothing does.
  const made = grey ?? (await readPictures(listing, { ...how, channels: 3 }))!;
  const { all, pictures, digests, unreadable, lightBorders, ...read } = made;
  const skipped = skippedNotes(listing, { place, unreadable, ...options });
  const trained = new Set(pictures.map(({ part, label }) => part === "train" ? label : undefined));
  const gone = classNames.findIndex((_, label) => !trained.has(label));
  if (gone >= 0) {
    throw new DatasetError(
      `Cannot use the class ${quoteWhole(classNames[gone])} of ${place}: none of its pictures ` +
        `can be read; replace them, or remove its folder`,
    );
  }
  const filled = new Set(pictures.map(({ part }) => part));
  const empty = [...parts].find((part) => !filled.has(part));
  if (empty !== undefined) {
    throw new DatasetError(
      `Cannot use the ${empty} pictures of ${place}: none of them can be read; replace them, or ` +
        `remove their folder`,
    );
  }
  const split = parts.has("test")
    ? splitByPart(pictures, digests)
    : testSplit === 1
    ? { train: [], test: orderByContent(digests) }
    : splitByContent(all.labels, digests, testSplit);
  if (split.test.length === 0) {
    throw new DatasetError(
      `Cannot split ${place} into training and test: expected a class of 2 pictures or more, ` +
        `found 1 in each; add pictures`,
    );
  }
  const [train, test] = [selectImages(all, split.train), selectImages(all, split.test)];
  const validation = parts.has("validation") && selectImages(all, split.validation ?? []);
  const sets = { classNames, train, test, ...(validation && { validation }) };
  const asked = { size: askedSize, channels: askedChannels };
  const chosen = choiceNotes(all, read.colored, asked);
  const notes = [...listing.notes, ...read.notes, ...skipped, ...chosen];
  return {
    name: folder,
    ...sets,
    digest: digestOf(sets),
    pictures: {
      ...(!parts.has("test") && { testSplit }),
      invert,
      darkOnLight: 2 * lightBorders > all.count,
      ...(all.shape[0] === 3 && read.greys > 0 && { hasGrey: true }),
      ...(options.skipUnreadable && { unreadable }),
    },
    ...(notes.length > 0 && { notes }),
  };
}

/** Reads and fits all pictures; what cannot be read is left out and named.
 *
 * @returns Undefined if colour was looked for and found, in a picture that can be read.
 */
async function readPictures(
  listing: PictureListing,
  { folder, size, channels, invert, findColor = false, signal, cacheDir, onPicture }:
    & Omit<FitTask, "bytes" | "label">
    & PictureHooks
    & { readonly folder: string },
) {
  requireRoom(listing, { place: quoteWhole(folder), size, channels });
  const pixelCount = channels * size.width * size.height;
  const images = new Uint8Array(listing.pictures.length * pixelCount);
  const pictures: ListedPicture[] = [];
  const digests: string[] = [];
  const nameOf = (path: string) => relative(folder, path).replaceAll("\\", "/");
  const unreadable = listing.unreadable.map(({ path, reason }) => ({ name: nameOf(path), reason }));
  let [lightBorders, greys] = [0, 0];
  const colored: string[] = [];
  let [done, cached, animated] = [0, 0, 0];
  const paths = listing.pictures.map(({ path }) => path);
  const options = { folder, label: LABEL, size, channels, invert, findColor, cacheDir, signal };
  for await (const read of fittedPictures(paths, options)) {
    const picture = listing.pictures[done++];
    if ("error" in read) {
      unreadable.push({
        name: nameOf(picture.path),
        reason: unreadableReason(read.error, picture.path),
      });
    } else {
      const { pixels, hasColor, isGrey, hasLightBorder, isAnimated } = read.picture;
      if (findColor && hasColor) return undefined;
      images.set(pixels, pictures.length * pixelCount);
      lightBorders += hasLightBorder ? 1 : 0;
      animated += isAnimated ? 1 : 0;
      greys += isGrey ? 1 : 0;
      if (hasColor) colored.push(nameOf(picture.path));
      cached += read.isCached ? 1 : 0;
      digests.push(read.digest);
      pictures.push(picture);
    }
    onPicture?.(done, paths.length, cached);
  }
  const all: LabeledImages = {
    images: images.subarray(0, pictures.length * pixelCount),
    labels: Uint8Array.from(pictures, ({ label }) => label),
    count: pictures.length,
    shape: [channels, size.height, size.width],
    names: pictures.map(({ path }) => nameOf(path)),
  };
  unreadable.sort((a, b) => a.name < b.name ? -1 : 1);
  const colors = pictures.length - greys;
  const notes = [
    ...(channels === 1 && !findColor && colors > 0
      ? [`made ${countOf(colors, "picture")} of three channels grey`]
      : []),
    ...(animated > 0 ? [`took the first frame of ${countOf(animated, "animated picture")}`] : []),
    ...(channels === 3 && greys > 0
      ? [`${countOf(greys, "picture")} of one channel ${greys > 1 ? "have" : "has"} it three times`]
      : []),
  ];
  return { all, pictures, digests, unreadable, lightBorders, greys, colored, notes };
}

/** How a decoder's error calls the picture, whose name stands before it. */
const LABEL = "it";

/** What an error says of a file; thrown again where it is of something else. */
function unreadableReason(error: unknown, path: string): string {
  if (error instanceof SyntaxError) {
    return error.message.replace(`Cannot read ${LABEL} as a picture: `, "");
  }
  // Runs record it: no path of this machine.
  if (isSystemError(error)) return readingReason(error).split(";")[0].replace(/: \w+ '.*/s, "");
  if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
  const start = `Cannot read ${printable(path)}: `; // too large, or no file
  if (!error.message.startsWith(start)) throw error;
  return error.message.slice(start.length).split(";")[0];
}

/** What is said of pictures that could not be read and are left out.
 *
 * @throws {UnreadablePicturesError} If they are not to be left out.
 */
function skippedNotes(
  { pictures, unreadable: unlisted }: PictureListing,
  { place, unreadable, skipUnreadable = false }: {
    readonly place: string;
    readonly unreadable: readonly UnreadablePicture[];
    readonly skipUnreadable?: boolean;
  },
): string[] {
  if (unreadable.length === 0) return [];
  const first = unreadable.slice(0, 10).map(({ name, reason }) =>
    `${quoteWhole(name)} (${reason})`
  );
  const more = unreadable.length - first.length;
  const names = first.join(", ") + (more > 0 ? ` and ${formatCount(more)} more` : "");
  const total = countOf(pictures.length + unlisted.length, "picture");
  const share = `${formatCount(unreadable.length)} of the ${total} of ${place}`;
  if (skipUnreadable) {
    return [
      `left out ${formatCount(unreadable.length)} of ${total}, which cannot be read: ${names}`,
    ];
  }
  throw new UnreadablePicturesError(
    `Cannot read ${share}: ${names}; replace or remove them, or leave them out with ` +
      `--skip-unreadable`,
    unreadable,
  );
}

function requireRoom(
  { pictures }: PictureListing,
  { place, size: { width, height }, channels }: {
    readonly place: string;
    readonly size: PictureSize;
    readonly channels: Channels;
  },
): void {
  if (pictures.length * channels * width * height <= MAX_IDX_BYTES) return;
  const largest = Math.floor(Math.sqrt(MAX_IDX_BYTES / pictures.length / channels));
  throw new DatasetError(
    `Cannot hold the ${
      formatCount(pictures.length)
    } pictures of ${place} at ${channels} x ${height} x ${width}: ` +
      `expected at most ${formatCount(MAX_IDX_BYTES)} bytes in all; use --image-size ${largest} ` +
      `or less`,
  );
}

/** Over all that training and evaluation see, as for IDX files; and over the names of the classes. */
function digestOf(
  { classNames, ...sets }: Pick<Dataset, "classNames" | "train" | "validation" | "test">,
) {
  const parts = [sets.train, sets.test, ...(sets.validation ? [sets.validation] : [])];
  const head = { classNames, shape: sets.train.shape, counts: parts.map(({ count }) => count) };
  return sha256Hex(
    new TextEncoder().encode(JSON.stringify(head)),
    ...parts.flatMap(({ images, labels }) => [images, labels]),
  );
}
