/** Picture files: which they are, and how one is read so that a model is shown what it expects. */

import { decodePicture, type GreyPicture, invertPicture } from "./picture.ts";

/** Names of the files that are taken for pictures; what they are is for their content to say. */
export const PICTURE_FILE = /\.(png|jpe?g|jpe|jfif|webp|gif|bmp)$/i;

/** The same, in words for messages. */
export const PICTURE_KINDS = ".png, .jpg, .webp, .gif or .bmp";

/** Largest file that is read: far above any picture that can be decoded in reasonable time. */
export const MAX_PICTURE_BYTES = 64 * 2 ** 20;

/** Decodes a picture to grey, in its own size, light on dark.
 *
 * Training and predicting share it, so that a model is asked about what it was trained on.
 *
 * @param label Names the file in errors.
 * @param invert Turns dark on light into light on dark.
 * @throws {SyntaxError} If it is neither PNG nor JPEG, is damaged, or is too large.
 */
export function decodeLightOnDark(bytes: Uint8Array, label: string, invert: boolean): GreyPicture {
  // What shows through must end up dark, on either kind of picture.
  const decoded = decodePicture(bytes, label, invert ? 255 : 0);
  return invert ? invertPicture(decoded) : decoded;
}
