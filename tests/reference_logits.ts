/** What a model answers according to the float64 reference. */

import { referenceBackend } from "../src/backends/reference/backend.ts";
import type { LabeledImages } from "../src/data/dataset.ts";
import type { TrainedModel } from "../src/formats/trained_model.ts";

/** Logits [count, classCount] of images, row by row. */
export async function referenceLogits(
  { model, parameters, statistics }: TrainedModel,
  data: LabeledImages,
): Promise<Float32Array> {
  await using session = await referenceBackend.open(model, {
    optimizer: { type: "sgd", momentum: 0 },
    batchSize: 1,
  });
  await session.loadState({ parameters, statistics, slots: [], step: 0 });
  await session.attach(data);
  return await session.predict(data);
}

/** Softmax of rows. */
export function probabilities(logits: Float32Array, classCount: number): number[] {
  return Array.from(logits, (logit, n) => {
    const row = logits.subarray(n - n % classCount, n - n % classCount + classCount);
    const sum = row.reduce((total, other) => total + Math.exp(other - logit), 0);
    return 1 / sum;
  });
}
