/** Pictures that are dropped, pasted or chosen, decoded as the `predict` command decodes them. */

/// <reference lib="dom" />
import { type GreyPicture, hasLightBorder } from "../../../data/picture.ts";
import { decodeLightOnDark, MAX_PICTURE_BYTES } from "../../../data/picture_file.ts";

/** A file that holds a picture. */
export class GivenPicture {
  readonly name: string;
  readonly #bytes: Uint8Array;
  /** Decoding takes long; what it gives is kept. */
  readonly #decoded = new Map<boolean, GreyPicture>();

  private constructor(name: string, bytes: Uint8Array) {
    this.name = name;
    this.#bytes = bytes;
  }

  /** Reads a file.
   *
   * PNG and JPEG are decoded by this project's own code; what else the browser can show is made a PNG
   * first.
   *
   * @throws {RangeError} If it is too large.
   * @throws {SyntaxError} If it is no picture.
   */
  static async read(file: File): Promise<GivenPicture> {
    if (file.size > MAX_PICTURE_BYTES) {
      throw new RangeError(
        `Cannot read "${file.name}": it has more than ${MAX_PICTURE_BYTES} bytes`,
      );
    }
    const bytes = new Uint8Array(await file.arrayBuffer());
    const isKnown = bytes[0] === 0x89 || (bytes[0] === 0xff && bytes[1] === 0xd8);
    return new GivenPicture(file.name, isKnown ? bytes : await toPng(file));
  }

  /** The picture, light on dark.
   *
   * @param invert Whether it is dark on light.
   * @throws {SyntaxError} If the file is damaged.
   */
  lightOnDark(invert: boolean): GreyPicture {
    let picture = this.#decoded.get(invert);
    if (picture === undefined) {
      picture = decodeLightOnDark(this.#bytes, `"${this.name}"`, invert);
      this.#decoded.set(invert, picture);
    }
    return picture;
  }

  /** Whether it looks dark on light, as photos of paper do. */
  looksDarkOnLight(): boolean {
    return hasLightBorder(this.lightOnDark(false));
  }
}

async function toPng(file: File): Promise<Uint8Array> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
  } catch {
    throw new SyntaxError(`Cannot read "${file.name}" as a picture: choose a PNG or JPEG file`);
  }
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
  canvas.getContext("2d")!.drawImage(bitmap, 0, 0);
  bitmap.close();
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
  if (!blob) throw new RangeError(`Cannot read "${file.name}": it is too large for this browser`);
  return new Uint8Array(await blob.arrayBuffer());
}
