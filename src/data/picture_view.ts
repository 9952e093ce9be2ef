/** What of a picture a model is shown; web-standard, as pages use it too. */

import type { LabeledImages, PicturePolarity } from "./dataset.ts";
import { type Box, findObject } from "./find_object.ts";
import {
  borderTone,
  type Channels,
  channelsOf,
  cropPicture,
  greyOf,
  hasColor,
  hasLightBorder,
  invertPicture,
  padPicture,
  type Picture,
  planesOf,
} from "./picture.ts";

/** What can be asked for: the thing in a picture, all of it, or what the model was trained on. */
export const CROPS = ["auto", "object", "whole"] as const;

/** One of them. */
export type Crop = typeof CROPS[number];

/** What is known, and asked for. */
export interface ViewOptions {
  /** Of the model's input; default 1. A picture to view has as many. */
  readonly channels?: Channels;
  /** Of the model's input. */
  readonly size: { readonly width: number; readonly height: number };
  /** How the model's training took pictures. */
  readonly pictures?: PicturePolarity;
  /** Default `auto`. */
  readonly crop?: Crop;
  /** Whether light and dark are swapped; default as training did, else as the picture looks. */
  readonly swap?: boolean;
}

/** What a model is shown, as large as it is in the picture. */
export interface PictureView {
  readonly picture: Picture;
  /** Whether light and dark were swapped. */
  readonly isSwapped: boolean;
  /** The part that was cut out, in shares of the picture's width and height. */
  readonly box?: Box;
  /** Why it may not be what the model expects. */
  readonly doubt?: Doubt;
}

/** Light and dark the other way round than in training, one tone alone, no colour where training had it,
 * or nothing stands out.
 */
export type Doubt = "inverted" | "blank" | "no colour" | "no object";

/** Darkest and lightest tone that counts as black and white. */
const [BLACK, WHITE] = [3, 252];
/** What differs that much from a ground of black or white is no noise. */
const VISIBLE = 32;
/** Of the share that things take in training, what one before black or white must to be left so. */
const FRAMED = 0.85;

/** Share of the model's input that the thing in a picture is to take; 0 where pictures are taken whole.
 *
 * A grey model of which nothing is known is taken for one of Fashion-MNIST, whose things fill their
 * images.
 */
export function viewShare({ pictures, channels = 1, crop = "auto" }: ViewOptions): number {
  if (crop === "whole") return 0;
  const share = pictures === undefined && channels === 1 ? 1 : pictures?.objectShare ?? 0;
  return share === 0 && crop === "object" ? 1 : share;
}

/** Finds what to show a model of a picture.
 *
 * A model that was trained on pictures sees them as then: whole. One that was trained on images of one
 * thing each on black, as MNIST's, sees the thing alone, light on black and as large as there, but for
 * pictures that already are that: of the model's own size, or before even black or white. Where a
 * picture of such a model is taken whole, its borders continue when it is fitted.
 *
 * A model of colours sees a picture whole, as it is, or where that is asked for the part that the thing
 * is in, with its ground.
 */
export function viewPicture(picture: Picture, options: ViewOptions): PictureView {
  const { size, pictures, crop = "auto", swap } = options;
  const isColored = channelsOf(picture) === 3;
  const isBlank = planesOf(picture).every(({ pixels }) =>
    pixels.every((pixel) => pixel === pixels[0])
  );
  const share = isBlank ? 0 : viewShare(options);
  const isExact = picture.width === size.width && picture.height === size.height;
  const isReady = crop === "auto" && (isExact || isFramed(picture, size, share));
  const isLightKnown = pictures?.darkOnLight === true;
  if (share > 0 && !isReady) {
    const darkOnLight = swap === undefined ? undefined : swap !== isLightKnown;
    const found = findObject(greyOf(picture), { size, share, darkOnLight });
    if (found !== undefined && isColored) {
      const part = cropPicture(picture, found.box);
      const isSwapped = swap ?? pictures?.invert ?? false;
      return {
        picture: isSwapped ? invertPicture(part) : part,
        isSwapped,
        box: sharesOf(found.box, picture),
      };
    }
    if (found !== undefined) {
      return {
        picture: isLightKnown ? invertPicture(found.picture) : found.picture,
        isSwapped: found.darkOnLight !== isLightKnown,
        box: sharesOf(found.box, picture),
      };
    }
  }
  const isOwn = pictures !== undefined && (pictures.objectShare ?? 0) === 0;
  const looksSwapped = !isColored && !isExact && !isBlank && hasLightBorder(picture);
  const isSwapped = swap ?? (isOwn ? pictures.invert : looksSwapped);
  const shown = isSwapped ? invertPicture(picture) : picture;
  const doubt = isBlank
    ? "blank"
    : share > 0 && !isReady
    ? "no object"
    : isColored
    ? pictures?.hasGrey || hasColor(shown) ? undefined : "no colour"
    : hasLightBorder(shown) && !isLightKnown
    ? "inverted"
    : undefined;
  return { picture: isOwn ? shown : padPicture(shown, size), isSwapped, ...(doubt && { doubt }) };
}

/** Measures what share of the side of a set's images things take, in the middle of all; 0 unless nearly
 * all show something on black, and of images in colour, which are taken whole.
 */
export function objectShareOf(
  { images, count, shape: [channels, height, width] }: LabeledImages,
): number {
  if (channels > 1) return 0;
  const shares: number[] = [];
  const step = Math.max(1, Math.floor(count / 1000));
  for (let n = 0; n < count; n += step) {
    const start = n * height * width;
    const pixels = images.subarray(start, start + height * width);
    const picture = { width, height, pixels };
    shares.push(borderTone(picture) <= BLACK ? visibleShare(picture, 0, picture) : 0);
  }
  shares.sort((a, b) => a - b);
  const isUsual = shares[Math.floor(shares.length / 10)] > 0;
  return isUsual ? Number(shares[shares.length >> 1].toFixed(3)) : 0;
}

function isFramed(picture: Picture, size: ViewOptions["size"], share: number): boolean {
  const tone = borderTone(picture);
  return (tone <= BLACK || tone >= WHITE) && visibleShare(picture, tone, size) >= FRAMED * share;
}

/** Share of its side that what differs from a tone takes once the picture is fitted. */
function visibleShare(
  { width, height, pixels }: Picture,
  tone: number,
  size: ViewOptions["size"],
): number {
  let [left, top, right, bottom] = [width, height, 0, 0];
  pixels.forEach((pixel, n) => {
    if (Math.abs(pixel - tone) < VISIBLE) return;
    const [x, y] = [n % width, Math.floor(n / width)];
    [left, right] = [Math.min(left, x), Math.max(right, x + 1)];
    [top, bottom] = [Math.min(top, y), Math.max(bottom, y + 1)];
  });
  const scale = Math.max(width / size.width, height / size.height);
  return Math.max(0, (right - left) / size.width, (bottom - top) / size.height) / scale;
}

function sharesOf({ left, top, width, height }: Box, picture: Picture): Box {
  const share = (part: number, whole: number) => Number((part / whole).toFixed(4));
  return {
    left: share(left, picture.width),
    top: share(top, picture.height),
    width: share(width, picture.width),
    height: share(height, picture.height),
  };
}
