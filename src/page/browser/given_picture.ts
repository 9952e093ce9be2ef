/** Pictures that are dropped, pasted or chosen, made grey as the `predict` command makes them. */

/// <reference lib="dom" />
import { greyOf, type GreyPicture, hasLightBorder, invertPicture } from "../../data/picture.ts";

/** Above this, a browser scales a picture down: its pixels may take no more room. */
const MAX_PIXELS = 16 * 2 ** 20;

/** A file that holds a picture. */
export class GivenPicture {
  readonly name: string;
  readonly #grey: GreyPicture;

  private constructor(name: string, grey: GreyPicture) {
    this.name = name;
    this.#grey = grey;
  }

  /** Reads a file of any kind that the browser can show, as it shows it: turned upright.
   *
   * @throws {RangeError} If it is too large.
   * @throws {SyntaxError} If it is no picture, or damaged.
   */
  static async read(file: File): Promise<GivenPicture> {
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
    return new GivenPicture(file.name, greyOf({ width, height, rgba }));
  }

  /** The picture, light on dark.
   *
   * @param invert Whether it is dark on light.
   */
  lightOnDark(invert: boolean): GreyPicture {
    return invert ? invertPicture(this.#grey) : this.#grey;
  }

  /** Whether it looks dark on light, as photos of paper do. */
  looksDarkOnLight(): boolean {
    return hasLightBorder(this.#grey);
  }
}
