/** The pictures that a command line names: files, folders and standard input. */

import { FolderReader, listKinds } from "../data/folder_reader.ts";
import { fitPicture, type Picture } from "../data/picture.ts";
import { decodePicture, MAX_PICTURE_BYTES, PICTURE_KINDS } from "../data/picture_file.ts";
import {
  type PictureView,
  type ViewOptions,
  viewPicture,
  viewShare,
} from "../data/picture_view.ts";
import { quote, quoteWhole } from "../quote.ts";
import { readBounded } from "../read_bounded.ts";
import { describeError, UsageError } from "./errors.ts";
import { isFolder } from "./permissions.ts";

/** A picture made into a model's input. */
export interface PictureInput {
  /** The path, or `-`. */
  readonly name: string;
  /** As large as the model's input. */
  readonly picture: Picture;
  /** Whether its file has colours that the model is not shown. */
  readonly lostColors: boolean;
  /** How it was made. */
  readonly view: Omit<PictureView, "picture">;
}

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

/** How much larger than the model's input a picture is read in which a thing is to be found. */
const DETAIL = 8;

/** Reads a picture and makes it as the model's inputs are; a file that is none becomes a failure. */
export async function readPicture(
  name: string,
  options: ViewOptions,
): Promise<PictureInput | PictureFailure> {
  try {
    const [label, bytes] = name === "-"
      ? ["standard input", await readStandardInput()]
      : [quote(name), await readBounded(name, MAX_PICTURE_BYTES)];
    const { channels = 1, size: { width, height }, pictures } = options;
    const detail = viewShare(options) > 0 ? DETAIL : 1;
    const fit = { width: detail * width, height: detail * height };
    const decoded = decodePicture(bytes, label, { channels, fit });
    if (channels === 3 && decoded.isGrey && !pictures?.hasGrey) {
      throw new TypeError(
        `Cannot use ${label}: it has one channel, expected three: the model was trained on colours; ` +
          `give it pictures in colour, or train one with --channels 1`,
      );
    }
    const { picture, ...view } = viewPicture(decoded, options);
    const lostColors = channels === 1 && !decoded.isGrey;
    return { name, picture: fitPicture(picture, options.size), lostColors, view };
  } catch (error) {
    return { name, message: describeError(error) };
  }
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
