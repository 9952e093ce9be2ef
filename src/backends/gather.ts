/** How images become the numbers that a model takes, for engines that do it in TypeScript. */

import { Augmenter, type Change, FRACTION_BITS, TURN_BITS } from "../data/augment.ts";
import type { Model } from "../nn/sequential.ts";
import { channelOf } from "../nn/standardization.ts";
import type { EngineOptions, Work } from "./engine.ts";

/** Draws how images are changed while an engine trains; nothing where they are not. */
export function augmenterOf(
  { inputShape: shape }: Model,
  { augmentation, seed }: Pick<EngineOptions, "augmentation" | "seed">,
): Augmenter | undefined {
  return augmentation && new Augmenter(augmentation, { seed, shape });
}

/** How a batch of some work changes its images: only where a model is trained. */
export function changesOf(
  augmenter: Augmenter | undefined,
  { kind, step }: Pick<Work<unknown>, "kind" | "step">,
  batch: number,
): ((image: number) => Change) | undefined {
  const trains = kind === "train" || kind === "gradients";
  return augmenter && trains ? (image) => augmenter.changeOf(step + batch, image) : undefined;
}

/** Which images go where. */
export interface Gathering {
  readonly indices: Uint32Array;
  /** Channels lie behind rows and columns, as TensorFlow.js has them; default: before. */
  readonly channelsLast?: boolean;
  /** How an image is changed, by its index; default: not at all. */
  readonly changeOf?: (image: number) => Change;
}

/** Writes (pixel / 255 - mean) / std of the chosen images, one after another, changed or not.
 *
 * What is outside of an image or erased is 0. All kernels that gather images must equal it: exactly in
 * which pixels they take with which weights, and to float32's rounding in what becomes of them.
 *
 * @param images Bytes, [images, channels, height, width].
 * @param output [indices, channels, height, width], or with channels last.
 */
export function gatherImages(
  { inputShape: [channels, height, width], standardization }: Model,
  images: Uint8Array,
  output: Float32Array | Float64Array,
  { indices, channelsLast = false, changeOf }: Gathering,
): void {
  const area = height * width;
  const [pixelStep, channelStep] = channelsLast ? [channels, 1] : [1, area];
  for (const [position, index] of indices.entries()) {
    const change = changeOf?.(index);
    for (let channel = 0; channel < channels; channel++) {
      const { mean, std } = channelOf(standardization, channel);
      const start = (index * channels + channel) * area;
      const plane = images.subarray(start, start + area);
      let to = position * channels * area + channel * channelStep;
      for (let pixel = 0; pixel < area; pixel++, to += pixelStep) {
        if (change === undefined) {
          output[to] = (plane[pixel] / 255 - mean) / std;
          continue;
        }
        const { sum, inside } = sampleAt(plane, { height, width, pixel }, change);
        output[to] = (sum / 255 * change.factor - mean * inside) / std;
      }
    }
  }
}

interface Place {
  readonly height: number;
  readonly width: number;
  readonly pixel: number;
}

/** What a changed image shows at a pixel: the sum of the bytes that it is made of, by their weights,
 * and the sum of these, which is below 1 where a part comes from outside.
 */
function sampleAt(
  plane: Uint8Array,
  { height, width, pixel }: Place,
  { flip, down, right, cos, sin, erased }: Change,
): { readonly sum: number; readonly inside: number } {
  const [y, x] = [Math.floor(pixel / width), pixel % width];
  const isErased = y >= erased.top && y < erased.bottom && x >= erased.left && x < erased.right;
  let [sum, inside] = [0, 0];
  if (isErased) return { sum, inside };
  // Twice the distance to the centre, which may lie between pixels.
  const [fromY, fromX] = [2 * (y - down) - (height - 1), 2 * (x - right) - (width - 1)];
  const sourceY = cos * fromY - sin * fromX + (height - 1) * 2 ** TURN_BITS;
  const sourceX = cos * fromX + sin * fromY + (width - 1) * 2 ** TURN_BITS;
  const one = 2 ** FRACTION_BITS;
  const [top, left] = [sourceY, sourceX].map((place) => place >> (TURN_BITS + 1));
  const [below, beside] = [sourceY, sourceX].map((place) =>
    (place >> (TURN_BITS + 1 - FRACTION_BITS)) & (one - 1)
  );
  for (const [row, rowWeight] of [[top, one - below], [top + 1, below]]) {
    for (const [column, columnWeight] of [[left, one - beside], [left + 1, beside]]) {
      if (row < 0 || row >= height || column < 0 || column >= width) continue;
      const weight = rowWeight * columnWeight / one ** 2;
      sum += weight * plane[row * width + (flip ? width - 1 - column : column)];
      inside += weight;
    }
  }
  return { sum, inside };
}
