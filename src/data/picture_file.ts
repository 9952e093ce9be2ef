/** Picture files: which they are, and how one is read so that a model is shown what it expects. */

import { upright } from "./exif.ts";
import {
  type Channels,
  fitPicture,
  fittedSize,
  hasColor,
  hasLightBorder,
  invertPicture,
  type Picture,
  pictureOf,
} from "./picture.ts";
import { type PictureHeader, pictureHeader } from "./picture_header.ts";
import { KIND_NAMES, otherKind, PictureFault, pictureKind } from "./picture_kind.ts";
import { decodeJpeg, decodeRgba } from "./wasm_decoders.ts";

/** Names of the files that are taken for pictures; what they are is for their content to say. */
export const PICTURE_FILE = /\.(png|apng|jpe?g|jpe|jfif|webp|gif|bmp|dib)$/i;

/** The same, in words for messages. */
export const PICTURE_KINDS = ".png, .jpg, .webp, .gif or .bmp";

/** Largest file that is read: far above any picture that can be decoded in reasonable time. */
export const MAX_PICTURE_BYTES = 256 * 2 ** 20;

/** A decoded file. */
export interface DecodedPicture extends Picture {
  /** Whether it holds more pictures than this one, its first. */
  readonly isAnimated: boolean;
  /** Whether the file has one channel, whatever was asked for. */
  readonly isGrey: boolean;
}

/** What a picture is wanted for. */
export interface DecodeOptions {
  /** 1 makes it grey, 3 gives red, green and blue, all alike of a file of one channel; default 1. */
  readonly channels?: Channels;
  /** Turns dark on light into light on dark; default false. */
  readonly invert?: boolean;
  /** What it is going to be fitted into: a large JPEG is decoded to no less than twice that,
   * in a fraction of time and memory; default as large as it is.
   */
  readonly fit?: { readonly width: number; readonly height: number };
}

/** Memory that decoding a picture may take. */
const MAX_DECODER_BYTES = 768 * 2 ** 20;
/** Rows before and after they are unpacked, and four bytes a pixel. */
const DECODER_BYTES_PER_PIXEL = 12;
/** Of a fitted picture's pixel, what a scaled JPEG may move. */
const MOST_MOVED = 0.05;
/** A coefficient of a JPEG that has to be read to its end before the first pixel is known. */
const COEFFICIENT_BYTES = 2;

/** Decodes a PNG, JPEG, WebP, GIF or BMP file, to grey or colours.
 *
 * Training and predicting share it, so that a model is asked about what it was trained on. The kind is
 * told by the content. Grey is the luma of ITU-R BT.601: 0.299 red + 0.587 green + 0.114 blue. The
 * picture is turned upright as its EXIF data says; what shows through it, see {@linkcode pictureOf}.
 *
 * @param label Names the file in errors.
 * @throws {SyntaxError} If the file is none of them, is damaged, or is too large.
 */
export function decodePicture(
  bytes: Uint8Array,
  label: string,
  { channels = 1, invert = false, fit }: DecodeOptions = {},
): DecodedPicture {
  try {
    const kind = pictureKind(bytes);
    if (kind === undefined) {
      throw new PictureFault(`it is ${otherKind(bytes)}, expected ${KIND_NAMES}`);
    }
    const header = pictureHeader(bytes, kind);
    const { divisor, decoderBytes } = planDecoding(header, { fit, channels });
    if (decoderBytes > MAX_DECODER_BYTES) {
      const { width, height } = header;
      const [found, most] = [decoderBytes, MAX_DECODER_BYTES].map((n) => Math.ceil(n / 2 ** 20));
      throw new PictureFault(
        `it has ${width}x${height} pixels, which take ${found} MiB to decode, expected at most ` +
          `${most}; save it smaller`,
      );
    }
    const stored = kind === "jpeg"
      ? decodeJpeg(header, { divisor, channels })
      : decodeRgba(kind, header, (picture) => pictureOf(picture, channels));
    const picture = upright(stored, header.orientation);
    const { isAnimated, isGrey } = header;
    return { ...(invert ? invertPicture(picture) : picture), isAnimated, isGrey };
  } catch (error) {
    if (!(error instanceof PictureFault)) throw error;
    throw new SyntaxError(`Cannot read ${label} as a picture: ${error.message}`, { cause: error });
  }
}

/** A picture to be made into a model's input. */
export interface FitTask {
  /** Content of the file. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Names the file in errors. */
  readonly label: string;
  readonly size: { readonly width: number; readonly height: number };
  readonly channels: Channels;
  readonly invert: boolean;
  /** Whether to look for colour in a picture that is made grey; default false. */
  readonly findColor?: boolean;
}

/** A picture as a model takes it. */
export interface FittedPicture {
  /** A plane a channel, 0 black to 255 white, of the size asked for. */
  readonly pixels: Uint8Array;
  /** Whether it shows colour; left out where nobody looked. */
  readonly hasColor?: boolean;
  /** Whether its file has one channel. */
  readonly isGrey: boolean;
  /** Whether it was dark on light, by its border. */
  readonly hasLightBorder: boolean;
  /** Whether it is the first of several in its file. */
  readonly isAnimated: boolean;
}

/** What a worker answers. */
export type FitReport = { readonly fitted: FittedPicture } | { readonly fault: string };

/** Decodes and fits one picture on this thread.
 *
 * @throws {SyntaxError} If it cannot be decoded.
 */
export function fitFile(
  { bytes, label, size, channels, invert, findColor = false }: FitTask,
): FittedPicture {
  const decode = (wanted: Channels) =>
    decodePicture(bytes, label, { channels: wanted, invert, fit: size });
  const picture = decode(channels);
  const { isAnimated, isGrey } = picture;
  const fitted = fitPicture(picture, size);
  const isColored = channels === 3
    ? hasColor(fitted)
    : findColor
    ? !isGrey && hasColor(fitPicture(decode(3), size))
    : undefined;
  return {
    pixels: fitted.pixels,
    ...(isColored !== undefined && { hasColor: isColored }),
    isGrey,
    hasLightBorder: hasLightBorder(picture),
    isAnimated,
  };
}

/** Memory that decoding a file takes, about, in bytes; 0 where it is not going to be decoded. */
export function decodingBytes(
  { bytes, size: fit, channels }: Pick<FitTask, "bytes" | "size" | "channels">,
): number {
  try {
    const kind = pictureKind(bytes);
    if (kind === undefined) return 0;
    return planDecoding(pictureHeader(bytes, kind), { fit, channels }).decoderBytes;
  } catch {
    return 0; // what is wrong with it is said when it is decoded
  }
}

function planDecoding(
  header: PictureHeader,
  { fit, channels }: Pick<DecodeOptions, "fit"> & { readonly channels: Channels },
) {
  const { kind, width, height, bufferedSamples = 0 } = header;
  const pixels = width * height;
  if (kind !== "jpeg") {
    return { divisor: 1, decoderBytes: DECODER_BYTES_PER_PIXEL * pixels } as const;
  }
  const divisor = fit === undefined ? 1 : divisorFor(header, fit);
  const decoderBytes = COEFFICIENT_BYTES * bufferedSamples +
    (channels === 3 ? 7 : 4) * pixels / divisor ** 2;
  return { divisor, decoderBytes } as const;
}

/** How much smaller a JPEG may be decoded without the picture that is fitted showing it.
 *
 * Its last row and column may reach beyond the picture, which moves what is seen.
 */
function divisorFor(
  { width, height, orientation }: PictureHeader,
  fit: Required<DecodeOptions>["fit"],
): 1 | 2 | 4 | 8 {
  const box = orientation < 5 ? fit : { width: fit.height, height: fit.width };
  const whole = fittedSize({ width, height }, box);
  const scale = Math.min(box.width / width, box.height / height);
  return ([8, 4, 2] as const).find((divisor) => {
    const decoded = { width: Math.ceil(width / divisor), height: Math.ceil(height / divisor) };
    const beyond = Math.max(decoded.width * divisor - width, decoded.height * divisor - height);
    const fitted = fittedSize(decoded, box);
    return 2 * divisor * scale <= 1 && beyond * scale <= MOST_MOVED &&
      fitted.width === whole.width && fitted.height === whole.height;
  }) ?? 1;
}
