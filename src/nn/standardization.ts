/** How pixels become the numbers that the first layer takes. */

import { checkArray } from "../check.ts";
import { quote } from "../quote.ts";

/** The input of the first layer is (pixel / 255 - mean) / std; PyTorch's `transforms.Normalize`.
 *
 * A convolution's padding is zeros beside the result: pixels of the mean.
 */
export interface Standardization {
  /** Subtracted from pixel / 255: one number for all channels, or a list of one for each. */
  readonly mean: number | readonly number[];
  /** What the rest is divided by; more than 0. One number for all channels, or a list. */
  readonly std: number | readonly number[];
}

/** A {@linkcode Standardization} of one channel. */
export interface ChannelStandardization {
  /** Subtracted from pixel / 255. */
  readonly mean: number;
  /** What the rest is divided by; more than 0. */
  readonly std: number;
}

/** Pixel / 255 and no more: numbers in [0, 1]. */
export const NORMALIZED: Standardization = { mean: 0, std: 1 };

/** What becomes of the pixels of one channel, 0 for the first. */
export function channelOf(
  { mean, std }: Standardization,
  channel: number,
): ChannelStandardization {
  const of = (value: number | readonly number[]) =>
    typeof value === "number" ? value : value[channel];
  return { mean: of(mean), std: of(std) };
}

/** What becomes of the pixels of each channel of as many. */
export function channelsOf(
  standardization: Standardization,
  count: number,
): ChannelStandardization[] {
  return Array.from({ length: count }, (_, channel) => channelOf(standardization, channel));
}

/** One standardization of several channels: a number where they are alike, else a list. */
export function joinChannels(channels: readonly ChannelStandardization[]): Standardization {
  const join = (values: readonly number[]) =>
    values.every((value) => value === values[0]) ? values[0] : values;
  return {
    mean: join(channels.map(({ mean }) => mean)),
    std: join(channels.map(({ std }) => std)),
  };
}

/** Channels that a standardization tells apart: 1 where it treats all alike. */
export function channelCountOf({ mean, std }: Standardization): number {
  return Math.max([mean].flat().length, [std].flat().length);
}

/** The same as one multiplication and one addition to a pixel's byte.
 *
 * @param channel Of which channel; 0 is the first.
 * @throws {RangeError} If the mean or the standard deviation is out of range.
 * @example Pixels in [0, 1]
 * ```ts
 * import { byteTransform, NORMALIZED } from "@lenet/lenet";
 *
 * const { scale, offset } = byteTransform(NORMALIZED);
 * if (255 * scale + offset !== 1) throw new Error("expected white to be 1");
 * ```
 */
export function byteTransform(
  standardization: Standardization,
  channel = 0,
): { readonly scale: number; readonly offset: number } {
  checkStandardization(standardization);
  const { mean, std } = channelOf(standardization, channel);
  return { scale: 1 / (255 * std), offset: 0 - mean / std };
}

/** Whether pixels are taken as they are, in [0, 1]. */
export function isNormalized({ mean, std }: Standardization): boolean {
  return [mean].flat().every((value) => value === 0) && [std].flat().every((value) => value === 1);
}

/** What becomes of a pixel, as messages show it: `(pixel / 255 - 0.286) / 0.353`; of several channels
 * `(pixel / 255 - [0.49, 0.48, 0.45]) / [0.25, 0.24, 0.26]`.
 */
export function showPixels(standardization: Standardization): string {
  if (isNormalized(standardization)) return "pixel / 255";
  const [low, deviation] = [standardization.mean, standardization.std].map((value) => {
    const shown = [value].flat().map((number) => Number(number.toPrecision(4)));
    return typeof value === "number" ? `${shown}` : `[${shown.join(", ")}]`;
  });
  return `(pixel / 255 - ${low}) / ${deviation}`;
}

/** Mean and standard deviation of each channel's pixels over a set, in [0, 1].
 *
 * Sums whole numbers, so that the result is the same on every machine.
 *
 * @param images Pixels, 0..255, [images, channels, height, width].
 * @param shape Of one image, [channels, height, width]; left out, all pixels are of one channel.
 * @returns Numbers where all channels are alike, or there is one; else lists.
 * @throws {TypeError} If they are not bytes.
 * @throws {RangeError} If all pixels of all channels are the same: there is nothing to divide by.
 * @example Half black, half white
 * ```ts
 * import { standardizationOf } from "@lenet/lenet";
 *
 * const { mean, std } = standardizationOf(Uint8Array.of(0, 255));
 * if (mean !== 0.5 || std !== 0.5) throw new Error("expected 0.5 and 0.5");
 * ```
 */
export function standardizationOf(
  images: Uint8Array,
  [channels, height, width]: readonly number[] = [1, 1, images?.length],
): Standardization {
  checkArray("images", images, Uint8Array, " of pixels 0..255");
  const area = height * width;
  const [sums, squares] = [new Float64Array(channels), new Float64Array(channels)];
  for (let start = 0, channel = 0; start < images.length; start += area) {
    let [sum, square] = [0, 0];
    for (let place = start; place < start + area; place++) {
      sum += images[place];
      square += images[place] * images[place];
    }
    sums[channel] += sum;
    squares[channel] += square;
    channel = (channel + 1) % channels;
  }
  const count = images.length / channels;
  const found = Array.from(sums, (sum, channel) => {
    const mean = sum / count;
    return { mean, variance: squares[channel] / count - mean * mean };
  });
  // A channel without any contrast, as of pictures of one hue, holds nothing but its mean.
  const widest = Math.max(...found.map(({ variance }) => variance));
  if (!(widest > 0)) {
    throw new RangeError(
      "Cannot standardize: all pixels of the training set are the same; use --normalize",
    );
  }
  return joinChannels(found.map(({ mean, variance }) => ({
    mean: mean / 255,
    std: Math.sqrt(variance > 0 ? variance : widest) / 255,
  })));
}

/** Largest mean, and largest and smallest standard deviation, whose result float32 can hold. */
const [MAX_MAGNITUDE, MIN_STD] = [1e6, 1e-6];

/** Checks a standardization that may come from a file.
 *
 * @param channels Of the images; lists must have a number for each.
 * @throws {RangeError} If it is not one.
 */
export function checkStandardization(
  value: unknown,
  channels?: number,
): asserts value is Standardization {
  const { mean, std } = Object(value);
  const areValid = (found: unknown, isValid: (value: number) => boolean) =>
    [found].flat().every((one) => typeof one === "number" && isValid(one)) &&
    (!Array.isArray(found) || found.length > 0 && found.length === (channels ?? found.length));
  const isValid = areValid(mean, (value) => Math.abs(value) <= MAX_MAGNITUDE) &&
    areValid(std, (value) => value >= MIN_STD && value <= MAX_MAGNITUDE);
  if (isValid) return;
  const lists = channels === undefined || channels === 1
    ? ""
    : `, or lists of ${channels} each, one for each channel`;
  throw new RangeError(
    `Invalid standardization ${quote(value)}: expected a mean and a std above 0, such as ` +
      `{"mean":0.286,"std":0.353}${lists}`,
  );
}
