/** Softmax cross-entropy and its gradient, in float64. */

/** Loss, correct predictions and gradient of a batch of logits. */
export interface BatchLoss {
  /** -log softmax(logits)[label] of each image. */
  readonly losses: Float64Array;
  /** Class with the largest logit, the first among equals; one per image. */
  readonly predictions: Uint8Array;
  /** Gradient of the mean loss of the batch, [images, classCount]. */
  readonly gradLogits: Float64Array;
}

/** Softmax cross-entropy of logits [images, classCount] against labels [images].
 *
 * @param batchSize Images of the whole batch, of which these may be some.
 * The largest logit is subtracted first, so that no exponential overflows.
 */
export function softmaxCrossEntropy(
  logits: Float64Array,
  labels: Uint8Array,
  batchSize: number = labels.length,
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
    losses[n] = Math.log(sum) + largest - row[labels[n]];
    for (let k = 0; k < classCount; k++) {
      const target = k === labels[n] ? 1 : 0;
      gradLogits[n * classCount + k] = (exponentials[k] / sum - target) / batchSize;
    }
  }
  return { losses, predictions, gradLogits };
}
