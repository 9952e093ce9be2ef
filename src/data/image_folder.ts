/** A dataset of pictures in folders, one folder a class. */

import { relative } from "node:path";
import { DatasetError } from "./errors.ts";
import type { Dataset, LabeledImages } from "./dataset.ts";
import { MAX_IDX_BYTES } from "./idx.ts";
import { quoteWhole } from "../quote.ts";
import { readBounded } from "../read_bounded.ts";
import { sha256Hex } from "../sha256.ts";
import { isSystemError, readingReason } from "../system_reason.ts";
import { fitPicture, hasLightBorder } from "./picture.ts";
import { decodeLightOnDark, MAX_PICTURE_BYTES } from "./picture_file.ts";
import { type ListedPicture, listPictures, type PictureListing } from "./picture_listing.ts";
import { orderByContent, selectImages, type Split, splitByContent } from "./split.ts";

/** What becomes of pictures. */
export interface PictureOptions {
  /** What they are fitted to; default 28 x 28. */
  readonly size?: { readonly width: number; readonly height: number };
  /** Share of each class that becomes the test set, above 0; 1 for all, where nothing is to be
   * trained; default 0.2. Of no effect on a folder with a test folder of its own.
   */
  readonly testSplit?: number;
  /** Turns dark on light into light on dark; default false. */
  readonly invert?: boolean;
}

/** Share of each class that becomes the test set where nothing else is asked for. */
export const DEFAULT_TEST_SPLIT = 0.2;

/** Side of the square that pictures are fitted to where nothing else is asked for. */
export const DEFAULT_IMAGE_SIZE = 28;

/** How loading is watched and stopped. */
export interface PictureHooks {
  /** Called after every picture. */
  readonly onPicture?: (done: number, total: number) => void;
  /** Stops before the next picture. */
  readonly signal?: AbortSignal;
}

/** Loads pictures of any size from a folder for each class, made grey and fitted.
 *
 * The test set is the folder's own, or a share of each class; see {@linkcode splitByContent}. Only
 * one picture is held decoded at a time.
 *
 * @throws {DatasetError} If the folder is not as it must be; see {@linkcode listPictures}.
 * @throws {SyntaxError} If a picture cannot be decoded.
 */
export async function loadImageFolder(
  folder: string,
  options: PictureOptions & PictureHooks = {},
): Promise<Dataset> {
  const {
    size = { width: DEFAULT_IMAGE_SIZE, height: DEFAULT_IMAGE_SIZE },
    testSplit = DEFAULT_TEST_SPLIT,
    invert = false,
  } = options;
  if (!(testSplit > 0 && testSplit <= 1)) {
    throw new RangeError(
      `Cannot split "${folder}": testSplit must be above 0 and at most 1: found ${testSplit}`,
    );
  }
  const listing = await listPictures(folder);
  const { classNames, pictures } = listing;
  const pixelCount = size.width * size.height;
  if (pictures.length * pixelCount > MAX_IDX_BYTES) {
    throw new DatasetError(
      `Cannot hold the ${pictures.length.toLocaleString("en-US")} pictures of "${folder}" at ` +
        `${size.width} x ${size.height}: expected at most ${MAX_IDX_BYTES} bytes; use smaller ones`,
    );
  }
  const images = new Uint8Array(pictures.length * pixelCount);
  const digests: string[] = [];
  let lightBorders = 0;
  for (const [n, picture] of pictures.entries()) {
    options.signal?.throwIfAborted();
    const label = quoteWhole(picture.path);
    const bytes = await readPictureFile(picture, label);
    const decoded = decodeOrAdvise(bytes, label, invert);
    images.set(fitPicture(decoded, size).pixels, n * pixelCount);
    digests.push(sha256Hex(bytes));
    lightBorders += hasLightBorder(decoded) ? 1 : 0;
    options.onPicture?.(n + 1, pictures.length);
  }
  const labels = Uint8Array.from(pictures, ({ label }) => label);
  const split = divide(listing, { folder, labels, digests, testSplit });
  const all: LabeledImages = {
    images,
    labels,
    count: pictures.length,
    shape: [1, size.height, size.width],
    names: pictures.map(({ path }) => relative(folder, path)),
  };
  const [train, test] = [selectImages(all, split.train), selectImages(all, split.test)];
  return {
    name: folder,
    classNames,
    train,
    test,
    digest: digestOf({ classNames, train, test }),
    pictures: {
      ...(!listing.isSplit && { testSplit }),
      invert,
      darkOnLight: 2 * lightBorders > pictures.length,
    },
  };
}

async function readPictureFile({ path }: ListedPicture, label: string): Promise<Uint8Array> {
  try {
    return await readBounded(path, MAX_PICTURE_BYTES);
  } catch (error) {
    if (isSystemError(error)) {
      throw new DatasetError(`Cannot read ${label}: ${readingReason(error)}`, { cause: error });
    }
    if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
    throw new DatasetError(error.message, { cause: error }); // too large, or no file
  }
}

function decodeOrAdvise(bytes: Uint8Array, label: string, invert: boolean) {
  try {
    return decodeLightOnDark(bytes, label, invert);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new SyntaxError(`${error.message}; replace it or remove it`, { cause: error });
  }
}

function divide(
  { isSplit, pictures }: PictureListing,
  { folder, labels, digests, testSplit }: {
    readonly folder: string;
    readonly labels: Uint8Array;
    readonly digests: readonly string[];
    readonly testSplit: number;
  },
): Split {
  if (isSplit) {
    const order = orderByContent(digests);
    return {
      train: order.filter((index) => !pictures[index].isTest),
      test: order.filter((index) => pictures[index].isTest),
    };
  }
  if (testSplit === 1) return { train: [], test: orderByContent(digests) };
  const split = splitByContent(labels, digests, testSplit);
  if (split.test.length === 0) {
    throw new DatasetError(
      `Cannot split "${folder}" into training and test: expected a class of 2 pictures or more, ` +
        `found 1 in each; add pictures`,
    );
  }
  return split;
}

/** Over all that training and evaluation see, as for IDX files; and over the names of the classes. */
function digestOf({ classNames, train, test }: Pick<Dataset, "classNames" | "train" | "test">) {
  const head = { classNames, shape: train.shape, counts: [train.count, test.count] };
  return sha256Hex(
    new TextEncoder().encode(JSON.stringify(head)),
    ...[train.images, train.labels, test.images, test.labels],
  );
}
