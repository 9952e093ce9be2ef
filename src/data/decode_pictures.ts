/** Pictures in memory, made into images that a model takes. */

import { checkArray, checkNumber, checkObject } from "../check.ts";
import { quote } from "../quote.ts";
import type { LabeledImages } from "./dataset.ts";
import { type Channels, fitPicture, isPictureChannels } from "./picture.ts";
import { decodePicture } from "./picture_file.ts";

/** Decodes PNG, JPEG, WebP, GIF and BMP files to images of one size, as training and `predict` do.
 *
 * A picture is scaled whole and centred, what is beside it is black. Labels are all 0.
 *
 * @param files Contents of the files.
 * @param size Height and width of the model's input.
 * @param channels 1 makes them grey, the default; 3 keeps red, green and blue.
 * @param invert Turns dark on light into light on dark; default false.
 * @throws {SyntaxError} If one is none of these, is damaged, or is too large.
 * @example A picture of one white pixel
 * ```ts
 * import { decodePictures } from "@lenet/lenet";
 *
 * const png =
 *   "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg==";
 * const file = Uint8Array.from(atob(png), (character) => character.charCodeAt(0));
 *
 * const { images, shape } = decodePictures([file], { height: 28, width: 28 });
 * if (images.length !== 784 || shape[1] !== 28) throw new Error("expected one image of 28 x 28");
 * ```
 */
export function decodePictures(
  files: readonly Uint8Array[],
  { channels = 1, invert = false, ...size }: {
    readonly height: number;
    readonly width: number;
    readonly channels?: Channels;
    readonly invert?: boolean;
  },
): LabeledImages {
  const { height, width } = size;
  checkObject("files", files, "an array of files' bytes");
  for (const [name, value] of Object.entries({ height, width })) {
    checkNumber(name, value, { whole: true, min: 1, max: 65_536 });
  }
  if (!isPictureChannels(channels)) {
    throw new RangeError(`Invalid channels ${quote(channels)}: expected 1 or 3`);
  }
  const imageSize = channels * height * width;
  const images = new Uint8Array(files.length * imageSize);
  for (const [n, file] of files.entries()) {
    checkArray(`picture ${n}`, file, Uint8Array, " of a file's bytes");
    const picture = decodePicture(file, `picture ${n}`, { channels, invert, fit: size });
    images.set(fitPicture(picture, size).pixels, n * imageSize);
  }
  const labels = new Uint8Array(files.length);
  return { images, labels, count: files.length, shape: [channels, height, width] };
}
