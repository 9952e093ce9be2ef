/** Softmax cross-entropy and its gradient, in float64. */

import type { LossTargets } from "../../nn/loss.ts";

/** Loss, correct predictions and gradient of a batch of logits. */
export interface BatchLoss {
  /** -log softmax(logits)[label] of each image, or that of every class times what is wanted of it. */
  readonly losses: Float64Array;
  /** Class with the largest logit, the first among equals; one per image. */
  readonly predictions: Uint8Array;
  /** Gradient of the sum of losses over the divisor, [batchSize, classCount]. */
  readonly gradLogits: Float64Array;
}

/** How losses are made; default: plain, and the gradient of their mean. */
export interface LossSettings {
  readonly targets?: LossTargets;
  readonly divisor?: number;
}

/** Softmax cross-entropy of logits [batchSize, classCount] against labels [batchSize].
 *
 * The largest logit is subtracted first, so that no exponential overflows.
 */
export function softmaxCrossEntropy(
  logits: Float64Array,
  labels: Uint8Array,
  { targets, divisor = labels.length }: LossSettings = {},
): BatchLoss {
  const count = labels.length;
  const classCount = logits.length / count;
  const gradLogits = new Float64Array(logits.length);
  const predictions = new Uint8Array(count);
  const losses = new Float64Array(count);
  for (let n = 0; n < count; n++) {
    const row = logits.subarray(n * classCount, (n + 1) * classCount);
    const largest = row.reduce((a, b) => Math.max(a, b));
    predictions[n] = Math.max(0, row.indexOf(largest));
    const exponentials = row.map((logit) => Math.exp(logit - largest));
    const sum = exponentials.reduce((a, b) => a + b);
    const total = targets?.totals[labels[n]] ?? 1;
    const all = targets?.others.reduce((a, b) => a + b) ?? 0;
    for (let k = 0; k < classCount; k++) {
      const target = (targets?.others[k] ?? 0) + (k === labels[n] ? total - all : 0);
      if (target > 0) losses[n] += target * (Math.log(sum) + largest - row[k]);
      gradLogits[n * classCount + k] = (total * exponentials[k] / sum - target) / divisor;
    }
  }
  return { losses, predictions, gradLogits };
}
