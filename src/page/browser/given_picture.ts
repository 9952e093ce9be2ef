/** Pictures that are dropped, pasted or chosen, made as the `predict` command makes them. */

/// <reference lib="dom" />
import { type Channels, type Picture, pictureOf } from "../../data/picture.ts";

/** Above this, a browser scales a picture down: its pixels may take no more room. */
const MAX_PIXELS = 16 * 2 ** 20;

/** A file that holds a picture. */
export class GivenPicture {
  readonly name: string;
  /** What it shows. */
  readonly picture: Picture;

  private constructor(name: string, picture: Picture) {
    this.name = name;
    this.picture = picture;
  }

  /** Reads a file of any kind that the browser can show, as it shows it: turned upright.
   *
   * @param channels 1 makes it grey.
   * @throws {RangeError} If it is too large.
   * @throws {SyntaxError} If it is no picture, or damaged.
   */
  static async read(file: File, channels: Channels): Promise<GivenPicture> {
    let bitmap: ImageBitmap;
    try {
      bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
    } catch {
      throw new SyntaxError(
        `Cannot read "${file.name}" as a picture: choose a PNG, JPEG, WebP, GIF or BMP file`,
      );
    }
    const scale = Math.min(1, Math.sqrt(MAX_PIXELS / (bitmap.width * bitmap.height)));
    const canvas = document.createElement("canvas");
    const { width, height } = Object.assign(canvas, {
      width: Math.max(1, Math.round(scale * bitmap.width)),
      height: Math.max(1, Math.round(scale * bitmap.height)),
    });
    const context = canvas.getContext("2d", { willReadFrequently: true })!;
    context.drawImage(bitmap, 0, 0, width, height);
    bitmap.close();
    const { data: rgba } = context.getImageData(0, 0, width, height);
    return new GivenPicture(file.name, pictureOf({ width, height, rgba }, channels));
  }
}
