/** Pictures from PNG and JPEG files, made into what a model was trained on. */

import { decode as decodePng } from "fast-png";
import jpeg from "jpeg-js";
import { neededChunks } from "./png_chunks.ts";

/** A grey picture: one byte a pixel, row by row, 0 black to 255 white. */
export interface GreyPicture {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8Array;
}

/** Largest width and height that are decoded: a file can claim any. */
const MAX_SIDE = 8192;
const MAX_PIXELS = 32 * 2 ** 20;

/** Memory that decoding a JPEG may take. */
const MAX_JPEG_MEGABYTES = 512;
/** Coefficients, rows and colours of three components. */
const BYTES_PER_JPEG_PIXEL = 24;

const JPEG_SCAN = 0xda;
/** A progressive file has about ten. */
const USUAL_SCANS = 32;
const MAX_SCANNED_PIXELS = USUAL_SCANS * MAX_PIXELS;

const PNG_SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
/** Places in the header, which comes first. */
const [DEPTH_AT, COLOR_TYPE_AT, INTERLACE_AT] = [24, 25, 28];
/** The colour type of pixels that are places in a palette. */
const PALETTE_COLOR = 3;
const JPEG_SIGNATURE = [0xff, 0xd8, 0xff];

/** Decodes a PNG or JPEG file to grey.
 *
 * Grey is the luma of ITU-R BT.601: 0.299 red + 0.587 green + 0.114 blue.
 *
 * @param label Names the file in errors.
 * @param background Grey value behind what is transparent; default 0, black.
 * @throws {SyntaxError} If the file is neither, is damaged, or is too large.
 */
export function decodePicture(bytes: Uint8Array, label: string, background = 0): GreyPicture {
  try {
    if (startsWith(bytes, PNG_SIGNATURE)) return decodePngPicture(bytes, background);
    if (startsWith(bytes, JPEG_SIGNATURE)) return decodeJpegPicture(bytes);
  } catch (error) {
    throw new SyntaxError(`Cannot read ${label} as a picture: ${reasonOf(error)}`, {
      cause: error,
    });
  }
  throw new SyntaxError(`Cannot read ${label} as a picture: expected PNG or JPEG`);
}

function decodePngPicture(bytes: Uint8Array, background: number): GreyPicture {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 33) throw new PictureFault("the file is cut off");
  checkSize(view.getUint32(16), view.getUint32(20));
  // The decoder takes a whole byte for each of their samples, and would give other pixels.
  if (bytes[INTERLACE_AT] === 1 && bytes[DEPTH_AT] < 8) {
    throw new PictureFault(
      `it is interlaced with ${bytes[DEPTH_AT]} bits a sample; save it without interlacing`,
    );
  }
  const png = decodePng(neededChunks(bytes), { checkCrc: true });
  const { width, height, data, channels, depth } = png;
  const sample = sampleReader({ data, depth, rowSamples: width * channels });
  const pixels = new Uint8Array(width * height);
  if (png.palette === undefined && bytes[COLOR_TYPE_AT] === PALETTE_COLOR) {
    throw new PictureFault("its palette is missing");
  }
  // A picture in true colour can have a palette too, as a suggestion.
  if (png.palette !== undefined && channels === 1) {
    const greys = png.palette.map(([red, green, blue, alpha = 255]) =>
      over(luma(red, green, blue), alpha / 255, background)
    );
    for (let n = 0; n < pixels.length; n++) pixels[n] = greys[sample(n)] ?? background;
    return { width, height, pixels };
  }
  const scale = 255 / (2 ** depth - 1);
  const isColor = channels >= 3;
  const hasAlpha = channels % 2 === 0;
  const key = png.transparency;
  for (let n = 0; n < pixels.length; n++) {
    const first = n * channels;
    const red = sample(first);
    const [green, blue] = isColor ? [sample(first + 1), sample(first + 2)] : [red, red];
    const isKey = key !== undefined && key.length > 0 && red === key[0] &&
      (!isColor || green === key[1] && blue === key[2]);
    const alpha = isKey ? 0 : hasAlpha ? sample(first + channels - 1) * scale / 255 : 1;
    pixels[n] = over(luma(red, green, blue) * scale, alpha, background);
  }
  return { width, height, pixels };
}

/** Samples of less than a byte are packed, the first in the highest bits; rows start on a byte. */
function sampleReader({ data, depth, rowSamples }: {
  readonly data: ArrayLike<number>;
  readonly depth: number;
  readonly rowSamples: number;
}): (index: number) => number {
  if (depth >= 8) return (index) => data[index];
  const rowBytes = Math.ceil(rowSamples * depth / 8);
  return (index) => {
    const bit = (index % rowSamples) * depth;
    const byte = data[Math.floor(index / rowSamples) * rowBytes + (bit >> 3)];
    return (byte >> (8 - depth - (bit & 7))) & (2 ** depth - 1);
  };
}

function decodeJpegPicture(bytes: Uint8Array): GreyPicture {
  // Every 8 x 8 pixels take a bit or more, so that a small file cannot hold a large picture.
  const maxPixels = Math.min(MAX_PIXELS, 512 * bytes.length);
  checkScans(bytes, maxPixels);
  const { width, height, data } = jpeg.decode(bytes, {
    useTArray: true,
    maxMemoryUsageInMB: Math.min(
      MAX_JPEG_MEGABYTES,
      16 + BYTES_PER_JPEG_PIXEL * maxPixels / 2 ** 20,
    ),
    maxResolutionInMP: maxPixels / 1e6,
  });
  checkSize(width, height);
  const pixels = new Uint8Array(width * height);
  for (let n = 0; n < pixels.length; n++) {
    pixels[n] = Math.round(luma(data[4 * n], data[4 * n + 1], data[4 * n + 2]));
  }
  return { width, height, pixels };
}

/** Checks that the scans of a JPEG, each of which visits the whole picture, do not take for ever. */
function checkScans(bytes: Uint8Array, maxPixels: number): void {
  let scans = 0;
  for (let n = bytes.indexOf(0xff); n >= 0; n = bytes.indexOf(0xff, n + 1)) {
    if (bytes[n + 1] === JPEG_SCAN) scans++;
  }
  if (scans * maxPixels > MAX_SCANNED_PIXELS && scans > USUAL_SCANS) {
    throw new PictureFault(`it has ${scans} scans, more than its size calls for`);
  }
}

/** What is wrong with a picture, in words for the user. */
class PictureFault extends Error {}

/** A decoder's own words, unless it stumbled over what it had not foreseen. */
function reasonOf(error: unknown): string {
  if (error instanceof PictureFault || error instanceof SyntaxError) return error.message;
  if (!(error instanceof Error) || error.constructor !== Error) return "it is damaged";
  if (/limit exceeded/.test(error.message)) return "it claims more pixels than it can hold";
  return error.message.replace(/\P{ASCII}|\p{Cc}/gu, "?").slice(0, 100);
}

function checkSize(width: number, height: number): void {
  const isGood = width > 0 && height > 0 && width <= MAX_SIDE && height <= MAX_SIDE &&
    width * height <= MAX_PIXELS;
  if (!isGood) {
    throw new PictureFault(
      `it has ${width}x${height} pixels, expected 1x1 to ${MAX_SIDE}x${MAX_SIDE} and at most ` +
        `${MAX_PIXELS} in all`,
    );
  }
}

/** A grey value seen through its opacity, 0..1, before a background. */
function over(grey: number, alpha: number, background: number): number {
  return Math.round(alpha * grey + (1 - alpha) * background);
}

function luma(red: number, green: number, blue: number): number {
  return 0.299 * red + 0.587 * green + 0.114 * blue;
}

function startsWith(bytes: Uint8Array, signature: readonly number[]): boolean {
  return signature.every((byte, index) => bytes[index] === byte);
}

/** Fits a picture into width x height: scaled whole, centred, the rest black.
 *
 * A smaller picture is enlarged. Each new pixel is the mean of the area it covers.
 */
export function fitPicture(
  picture: GreyPicture,
  { width, height }: { readonly width: number; readonly height: number },
): GreyPicture {
  const scale = Math.min(width / picture.width, height / picture.height);
  const innerWidth = Math.max(1, Math.round(picture.width * scale));
  const innerHeight = Math.max(1, Math.round(picture.height * scale));
  const columns = areaWeights(picture.width, innerWidth);
  const rows = areaWeights(picture.height, innerHeight);
  const [left, top] = [(width - innerWidth) >> 1, (height - innerHeight) >> 1];
  const pixels = new Uint8Array(width * height);
  for (const [y, row] of rows.entries()) {
    for (const [x, column] of columns.entries()) {
      let sum = 0;
      for (const { index: sourceY, weight } of row) {
        for (const { index: sourceX, weight: weightX } of column) {
          sum += weight * weightX * picture.pixels[sourceY * picture.width + sourceX];
        }
      }
      pixels[(top + y) * width + left + x] = Math.round(sum);
    }
  }
  return { width, height, pixels };
}

/** Turns light into dark and dark into light. */
export function invertPicture({ width, height, pixels }: GreyPicture): GreyPicture {
  return { width, height, pixels: pixels.map((pixel) => 255 - pixel) };
}

/** Whether a picture has most of its border light, as dark things on paper have. */
export function hasLightBorder({ width, height, pixels }: GreyPicture): boolean {
  let [light, count] = [0, 0];
  for (let y = 0; y < height; y++) {
    const step = y === 0 || y === height - 1 ? 1 : Math.max(1, width - 1);
    for (let x = 0; x < width; x += step) {
      light += pixels[y * width + x] > 127 ? 1 : 0;
      count++;
    }
  }
  return 2 * light > count;
}

/** For each of `to` pixels, the source pixels under it and their share of its area. */
function areaWeights(from: number, to: number) {
  return Array.from({ length: to }, (_, target) => {
    const [start, end] = [target * from / to, (target + 1) * from / to];
    const shares = [];
    for (let index = Math.floor(start); index < end && index < from; index++) {
      const weight = (Math.min(index + 1, end) - Math.max(index, start)) / (end - start);
      shares.push({ index, weight });
    }
    return shares;
  });
}
