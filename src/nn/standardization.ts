/** How pixels become the numbers that the first layer takes. */

import { checkArray } from "../check.ts";
import { quote } from "../quote.ts";

/** The input of the first layer is (pixel / 255 - mean) / std; PyTorch's `transforms.Normalize`.
 *
 * A convolution's padding is zeros beside the result: pixels of the mean.
 */
export interface Standardization {
  /** Subtracted from pixel / 255. */
  readonly mean: number;
  /** What the rest is divided by; more than 0. */
  readonly std: number;
}

/** Pixel / 255 and no more: numbers in [0, 1]. */
export const NORMALIZED: Standardization = { mean: 0, std: 1 };

/** The same as one multiplication and one addition to a pixel's byte.
 *
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
): { readonly scale: number; readonly offset: number } {
  checkStandardization(standardization);
  const { mean, std } = standardization;
  return { scale: 1 / (255 * std), offset: 0 - mean / std };
}

/** Whether pixels are taken as they are, in [0, 1]. */
export function isNormalized({ mean, std }: Standardization): boolean {
  return mean === 0 && std === 1;
}

/** What becomes of a pixel, as messages show it: `(pixel / 255 - 0.286) / 0.353`. */
export function showPixels({ mean, std }: Standardization): string {
  const [low, deviation] = [mean, std].map((value) => Number(value.toPrecision(4)));
  return mean === 0 && std === 1 ? "pixel / 255" : `(pixel / 255 - ${low}) / ${deviation}`;
}

/** Mean and standard deviation of all pixels of a set, in [0, 1].
 *
 * Sums whole numbers, so that the result is the same on every machine.
 *
 * @param images Pixels, 0..255.
 * @throws {TypeError} If they are not bytes.
 * @throws {RangeError} If all pixels are the same: there is nothing to divide by.
 * @example Half black, half white
 * ```ts
 * import { standardizationOf } from "@lenet/lenet";
 *
 * const { mean, std } = standardizationOf(Uint8Array.of(0, 255));
 * if (mean !== 0.5 || std !== 0.5) throw new Error("expected 0.5 and 0.5");
 * ```
 */
export function standardizationOf(images: Uint8Array): Standardization {
  checkArray("images", images, Uint8Array, " of pixels 0..255");
  let [sum, squares] = [0, 0];
  for (const pixel of images) {
    sum += pixel;
    squares += pixel * pixel;
  }
  const mean = sum / images.length;
  const variance = squares / images.length - mean * mean;
  if (!(variance > 0)) {
    throw new RangeError(
      "Cannot standardize: all pixels of the training set are the same; use --normalize",
    );
  }
  return { mean: mean / 255, std: Math.sqrt(variance) / 255 };
}

/** Largest mean, and largest and smallest standard deviation, whose result float32 can hold. */
const [MAX_MAGNITUDE, MIN_STD] = [1e6, 1e-6];

/** Checks a standardization that may come from a file.
 *
 * @throws {RangeError} If it is not one.
 */
export function checkStandardization(value: unknown): asserts value is Standardization {
  const { mean, std } = Object(value);
  const isValid = typeof mean === "number" && Math.abs(mean) <= MAX_MAGNITUDE &&
    typeof std === "number" && std >= MIN_STD && std <= MAX_MAGNITUDE;
  if (isValid) return;
  throw new RangeError(
    `Invalid standardization ${quote(value)}: expected a mean and a std above 0, such as ` +
      `{"mean":0.286,"std":0.353}`,
  );
}
