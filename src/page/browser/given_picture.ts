/** Pictures that are dropped, pasted or chosen, made as the `predict` command makes them. */

/// <reference lib="dom" />
import type { RgbaPicture } from "../../data/picture.ts";

/** Above this, a browser scales a picture down: its pixels may take no more room. */
const MAX_PIXELS = 16 * 2 ** 20;

/** Reads a file of any kind that the browser can show, as it shows it: turned upright.
 *
 * @throws {RangeError} If it is too large.
 * @throws {SyntaxError} If it is no picture, or damaged.
 */
export async function rgbaOf(file: File): Promise<RgbaPicture> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
  } catch {
    throw new SyntaxError(
      `Cannot read "${file.name}" as a picture: choose a PNG, JPEG, WebP, GIF or BMP file`,
    );
  }
  const scale = Math.min(1, Math.sqrt(MAX_PIXELS / (bitmap.width * bitmap.height)));
  const width = Math.max(1, Math.round(scale * bitmap.width));
  const height = Math.max(1, Math.round(scale * bitmap.height));
  // Of workers, too, which have no document.
  const context = new OffscreenCanvas(width, height).getContext("2d", {
    willReadFrequently: true,
  })!;
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return { width, height, rgba: context.getImageData(0, 0, width, height).data };
}
