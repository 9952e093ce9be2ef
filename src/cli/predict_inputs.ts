/** The pictures that a command line names: files, folders and standard input. */

import { FolderReader, listKinds } from "../data/folder_reader.ts";
import { fitPicture, type GreyPicture, hasLightBorder } from "../data/picture.ts";
import { decodePicture, MAX_PICTURE_BYTES, PICTURE_KINDS } from "../data/picture_file.ts";
import { quote, quoteWhole } from "../quote.ts";
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

/** The names of the pictures: a folder stands for those in it and below, `-` for standard input.
 *
 * What systems leave in folders is passed over; what else is no picture is told to `onNote`.
 *
 * @throws {UsageError} If standard input is named twice.
 */
export async function* pictureNames(
  given: readonly string[],
  onNote: (line: string) => void = () => {},
): AsyncGenerator<string | PictureFailure> {
  if (given.filter((name) => name === "-").length > 1) {
    throw new UsageError('Cannot read "-" twice: standard input holds one picture');
  }
  for (const name of given) {
    if (name === "-" || !await isFolder(name)) {
      yield name;
      continue;
    }
    const { paths, unreadable, others } = await (await FolderReader.open(name)).picturesIn(name);
    for (const { path, reason } of unreadable) {
      yield { name: path, message: `Cannot read ${quoteWhole(path)}: ${reason}` };
    }
    if (paths.length > 0) {
      if (others.size > 0) onNote(`${quoteWhole(name)}: left out ${listKinds(others)}`);
      yield* paths;
    } else if (unreadable.length === 0) {
      const found = others.size > 0 ? listKinds(others) : "nothing";
      yield {
        name,
        message:
          `Cannot find a picture in ${quote(name)}: expected ${PICTURE_KINDS} files, found ` +
          found,
      };
    }
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
    const lightOnDark = decodePicture(bytes, label, { invert, fit: size });
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
