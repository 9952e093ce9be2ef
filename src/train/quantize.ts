/** From a trained model to one in whole numbers of 8 bits, and what such a model answers. */

import type { Unlabeled } from "../backends/backend.ts";
import { checkImages } from "../backends/check_data.ts";
import { checkNumber } from "../check.ts";
import { gatherImages } from "../backends/gather.ts";
import { foldModel } from "../formats/folded_model.ts";
import {
  dequantize,
  type Extent,
  quantize,
  type QuantizedModel,
  quantizeFolded,
} from "../formats/quantized_model.ts";
import type { TrainedModel } from "../formats/trained_model.ts";
import { IMAGE, type Model } from "../nn/sequential.ts";
import { createRandom, permutation } from "../random.ts";

/** Images that say what is usual; more change little. */
export const CALIBRATION_COUNT = 256;

/** Images that are taken at a time, so that memory stays bounded. */
const CHUNK_SIZE = 16;

/** Turns a trained model into one of whole numbers of 8 bits, for {@linkcode encodeC} and
 * {@linkcode encodeOnnx}.
 *
 * Batch norm is folded, weights are rounded for each output channel, and each layer's output is put on
 * 256 numbers of the range that it has over some of the images.
 *
 * @param data What it was trained on, or like it.
 * @param options `count` of its images are taken, or all if there are fewer; default 256.
 * @throws {TypeError} If the images are not of the model's shape.
 * @throws {RangeError} If there is no image, or a layer gives what is no number.
 * @example LeNet in a quarter of its bytes
 * ```ts
 * import { encodeC, initialParameters, lenet, loadDataset, quantizeModel } from "@lenet/lenet";
 *
 * const model = lenet();
 * const { train } = await loadDataset("sample");
 * const quantized = await quantizeModel({ model, parameters: initialParameters(model, 0) }, train);
 * const { flashBytes } = encodeC(quantized);
 * if (flashBytes > 70_000) throw new Error(`expected 70 KB, found ${flashBytes}`);
 * ```
 */
export async function quantizeModel(
  trained: TrainedModel,
  data: Unlabeled,
  { count = CALIBRATION_COUNT }: { readonly count?: number } = {},
): Promise<QuantizedModel> {
  checkNumber("count", count, { whole: true, min: 1 });
  checkImages(trained.model, data, false);
  const folded = foldModel(trained);
  const indices = permutation(data.count, createRandom(0, "calibration"))
    .slice(0, count).sort();
  const extents: Extent[] = folded.model.layers.map(() => ({ min: Infinity, max: -Infinity }));
  await run(folded, { data, indices }, (output, index) => {
    if (index === IMAGE) return;
    const extent = extents[index];
    for (const value of output) {
      if (!Number.isFinite(value)) throw notFinite(folded.model, index);
      extent.min = Math.min(extent.min, value);
      extent.max = Math.max(extent.max, value);
    }
  });
  return quantizeFolded(folded, extents);
}

function notFinite({ name, layers }: Model, index: number): RangeError {
  return new RangeError(
    `Cannot quantize model "${name}": layer "${layers[index].name}" gives what is no number; its ` +
      `training has diverged`,
  );
}

/** Logits [images, classes] of some images by a model of floats, or one of whole numbers: each output of
 * the float64 reference is rounded to its grid, as the exported files do. */
export async function referenceLogitsOf(
  trained: TrainedModel | QuantizedModel,
  data: Unlabeled,
  indices: Uint32Array,
): Promise<Float32Array> {
  if (!("grids" in trained)) return await run(trained, { data, indices }, () => {});
  const { image, grids } = trained;
  return await run(trained, { data, indices }, (values, index) => {
    const grid = index === IMAGE ? image : grids[index];
    if (grid === undefined) return;
    for (let n = 0; n < values.length; n++) values[n] = dequantize(quantize(values[n], grid), grid);
  });
}

/** Runs images through a model; who observes it sees the image as -1, then each layer's output. */
async function run(
  { model, parameters, statistics = new Float32Array() }: TrainedModel,
  { data, indices }: { readonly data: Unlabeled; readonly indices: Uint32Array },
  observe: (output: Float64Array, index: number) => void,
): Promise<Float32Array> {
  const { forward } = await import("../backends/reference/network.ts");
  const values = Float64Array.from(parameters);
  const batch = {
    mode: "eval",
    batchSize: CHUNK_SIZE,
    statistics: Float64Array.from(statistics),
    ...{ seed: 0, step: 0 },
    sum() {},
  } as const;
  const logits = new Float32Array(indices.length * model.classCount);
  const imageSize = data.images.length / data.count;
  for (let start = 0; start < indices.length; start += CHUNK_SIZE) {
    const chunk = indices.subarray(start, start + CHUNK_SIZE);
    const images = new Float64Array(chunk.length * imageSize);
    gatherImages(model, data.images, images, { indices: chunk });
    observe(images, IMAGE);
    const outputs = forward(model, values, { ...batch, images, indices: chunk }, observe);
    logits.set(outputs.at(-1)!, start * model.classCount);
  }
  return logits;
}
