/** The pictures that a command line names: files, folders and standard input. */

import { join } from "node:path";
import { fitPicture, type GreyPicture, hasLightBorder } from "../data/picture.ts";
import { decodePicture, MAX_PICTURE_BYTES, PICTURE_FILE } from "../data/picture_file.ts";
import { quote } from "../quote.ts";
import { readBounded } from "../read_bounded.ts";
import { describeError, UsageError } from "./errors.ts";

/** A picture made into a model's input. */
export interface PictureInput {
  /** The path, or `-`. */
  readonly name: string;
  /** As large as the model's input, light on dark. */
  readonly picture: GreyPicture;
  /** What the user may want to know about it. */
  readonly doubt?: Doubt;
}

/** Why a picture may not be what the model expects: `inverted` or `blank`. */
export type Doubt = "inverted" | "blank";

/** A picture that cannot be used. */
export interface PictureFailure {
  readonly name: string;
  readonly message: string;
}

/** The names of the pictures: a folder stands for those in it, `-` for standard input.
 *
 * @throws {UsageError} If standard input is named twice.
 */
export async function* pictureNames(
  given: readonly string[],
): AsyncGenerator<string | PictureFailure> {
  if (given.filter((name) => name === "-").length > 1) {
    throw new UsageError('Cannot read "-" twice: standard input holds one picture');
  }
  for (const name of given) {
    if (name === "-" || !await isFolder(name)) {
      yield name;
      continue;
    }
    const inside = (await Array.fromAsync(Deno.readDir(name)))
      .filter((entry) => !entry.isDirectory && PICTURE_FILE.test(entry.name))
      .map((entry) => join(name, entry.name))
      .sort();
    if (inside.length === 0) {
      yield {
        name,
        message: `Cannot find a picture in ${quote(name)}: expected .png or .jpg files`,
      };
    }
    yield* inside;
  }
}

/** Reads a picture and makes it as the model's inputs are; a file that is none becomes a failure. */
export async function readPicture(
  name: string,
  size: { readonly width: number; readonly height: number },
  { invert }: { readonly invert: boolean },
): Promise<PictureInput | PictureFailure> {
  try {
    const [label, bytes] = name === "-"
      ? ["standard input", await readStandardInput()]
      : [quote(name), await readBounded(name, MAX_PICTURE_BYTES)];
    const lightOnDark = decodePicture(bytes, label, { invert });
    const doubt = doubtAbout(lightOnDark);
    return { name, picture: fitPicture(lightOnDark, size), ...(doubt && { doubt }) };
  } catch (error) {
    return { name, message: describeError(error) };
  }
}

function doubtAbout(picture: GreyPicture): Doubt | undefined {
  const [first] = picture.pixels;
  if (picture.pixels.every((pixel) => pixel === first)) return "blank";
  return hasLightBorder(picture) ? "inverted" : undefined;
}

/** Reads standard input to its end, but no more of it than a picture may have. */
async function readStandardInput(): Promise<Uint8Array> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for await (const chunk of Deno.stdin.readable) {
    length += chunk.length;
    if (length > MAX_PICTURE_BYTES) {
      throw new RangeError(
        `Cannot read standard input as a picture: it has more than ${MAX_PICTURE_BYTES} bytes`,
      );
    }
    chunks.push(chunk);
  }
  return await new Blob(chunks).bytes();
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch {
    return false; // what is wrong with it shows when it is read
  }
}
