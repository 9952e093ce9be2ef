/** What `export --quantize int8` does before a format is written: calibrates, and measures what it costs. */

import { sliceImages } from "../data/dataset.ts";
import { definitionOf } from "../nn/layers/table.ts";
import { formatCount, printable } from "../quote.ts";
import { createRandom, permutation } from "../random.ts";
import { evaluate } from "../train/inference.ts";
import { openBackend } from "../train/open_backend.ts";
import { CALIBRATION_COUNT, quantizeModel, referenceLogitsOf } from "../train/quantize.ts";
import { UsageError } from "./errors.ts";
import { loadForEvaluation } from "./eval_dataset.ts";
import type { LoadedModel } from "./loaded_model.ts";
import { sayNotes } from "./picture_flags.ts";

/** A quantised model, an image of its test set and what quantising cost, as JSON has it. */
export type Quantized = Awaited<ReturnType<typeof quantizeLoaded>>;

/** Multiply-accumulates that measuring may take: some seconds. */
const MOST_MACS = 2e9;
/** Test images that are asked at most, and at least, if there are as many. */
const [MOST_IMAGES, FEWEST_IMAGES] = [1000, 200];
/** What whole numbers may cost before it is told. */
const TOLERATED = 0.005;

/** Quantises a model by the images it was trained on, or those of `--dataset`.
 *
 * @throws {UsageError} If nobody knows what it was trained on.
 */
export async function quantizeLoaded(
  loaded: LoadedModel,
  { dataset: name, json }: { readonly dataset?: string; readonly json: boolean },
) {
  const { label, run, model, parameters, statistics } = loaded;
  if (name === undefined && run === undefined) {
    throw new UsageError(
      `Cannot quantize ${label} without images: name what it was trained on with --dataset NAME|DIR`,
    );
  }
  const { dataset, test, notes } = await loadForEvaluation(loaded, { dataset: name, json });
  sayNotes({ label, notes });
  const { train } = dataset;
  const calibration = train.count > 0 ? train : test;
  const macs = model.layers.reduce((sum, layer) => sum + definitionOf(layer).cost(layer).macs, 0);
  const affordable = Math.max(Math.floor(MOST_MACS / Math.max(macs, 1)), FEWEST_IMAGES);
  const taken = { count: Math.min(affordable, CALIBRATION_COUNT) };
  const quantized = await quantizeModel({ ...loaded, notes: undefined }, calibration, taken);
  const indices = permutation(test.count, createRandom(0, "evaluation"))
    .slice(0, Math.min(affordable, MOST_IMAGES)).sort();
  const logits = await referenceLogitsOf(quantized, test, indices);
  const { classCount } = model;
  const right = indices.filter((index, n) => {
    const row = logits.subarray(n * classCount, (n + 1) * classCount);
    return row.indexOf(Math.max(...row)) === test.labels[index];
  });
  await using session = await openBackend("wasm", model, { parameters, statistics, batchSize: 1 });
  const { predictions } = await evaluate(session, test);
  const rightInFloats = indices.filter((index) => predictions[index] === test.labels[index]);
  const facts = {
    type: "int8",
    dataset: dataset.name,
    /** Training images whose ranges were taken. */
    calibrationCount: Math.min(taken.count, calibration.count),
    testCount: indices.length,
    /** Share of the test images that whole numbers name rightly, by the reference's arithmetic, rounded as the
     * file says; and share that floats do. */
    accuracy: right.length / indices.length,
    floatAccuracy: rightInFloats.length / indices.length,
  } as const;
  const lost = facts.floatAccuracy - facts.accuracy;
  if (lost > TOLERATED) {
    const note = `whole numbers cost it ${lost.toFixed(4)} of its accuracy; where that is too ` +
      `much, export floats`;
    sayNotes({ label, notes: [note] });
  }
  return { model: quantized, pixels: sliceImages(test, 0, 1).images, facts };
}

/** The facts as one line. */
export function showFacts(
  { dataset, calibrationCount, testCount, accuracy, floatAccuracy }: Quantized["facts"],
): string {
  return `int8: accuracy ${accuracy.toFixed(4)} on ${formatCount(testCount)} test images of ` +
    `${printable(dataset)} by the reference's arithmetic, rounded likewise; ` +
    `${floatAccuracy.toFixed(4)} in floats; calibrated on ${formatCount(calibrationCount)} images`;
}
