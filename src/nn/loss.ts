/** What is trained towards: softmax cross-entropy, with smoothed labels and classes of unequal weight. */

import { checkArray, checkNumber, checkObject, showKind } from "../check.ts";

/** How the loss that is trained on differs from plain softmax cross-entropy, as PyTorch's
 * `CrossEntropyLoss(weight, label_smoothing)` defines it. What is evaluated stays plain.
 */
export interface LossOptions {
  /** Share of each label that all classes get alike, 0 .. 1; default 0. */
  readonly labelSmoothing?: number;
  /** Weight of each class, above 0: a batch's loss is the mean weighted by its labels' weights;
   * default: all the same.
   */
  readonly classWeights?: readonly number[];
}

/** A loss as engines read it: class k is wanted `others[k]` of every image, and a label the rest of what
 * its images want in all.
 */
export interface LossTargets {
  /** What an image counts for in its batch's mean, by its label. */
  readonly weights: readonly number[];
  /** What an image wants of all classes together, by its label. */
  readonly totals: readonly number[];
  readonly others: readonly number[];
}

/** What the weight of a class may be: far from what float32 cannot tell apart. */
export const CLASS_WEIGHT = { min: 1e-6, max: 1e6 } as const;

/** Checks a loss for a number of classes.
 *
 * @returns undefined where it is plain cross-entropy.
 * @throws {TypeError} If there is not one weight a class.
 * @throws {RangeError} If a number is out of range.
 */
export function lossTargets(
  loss: LossOptions | undefined,
  classCount: number,
): LossTargets | undefined {
  if (loss === undefined) return undefined;
  checkObject("loss", loss, "an object such as { labelSmoothing: 0.1 }");
  const { labelSmoothing = 0, classWeights } = loss;
  checkNumber("labelSmoothing", labelSmoothing, { min: 0, max: 1 });
  if (classWeights !== undefined) checkWeights(classWeights, classCount);
  if (labelSmoothing === 0 && classWeights === undefined) return undefined;
  const weights = classWeights ?? Array.from({ length: classCount }, () => 1);
  const others = weights.map((weight) => labelSmoothing / classCount * weight);
  const smoothed = others.reduce((sum, other) => sum + other, 0);
  const totals = weights.map((weight) => (1 - labelSmoothing) * weight + smoothed);
  return { weights, totals, others };
}

function checkWeights(weights: unknown, classCount: number): void {
  if (!Array.isArray(weights) || weights.length !== classCount) {
    const found = Array.isArray(weights) ? String(weights.length) : showKind(weights);
    throw new TypeError(
      `Invalid classWeights: expected an array of ${classCount} numbers, one a class, found ${found}`,
    );
  }
  for (const [k, weight] of weights.entries()) {
    checkNumber(`classWeights[${k}]`, weight, CLASS_WEIGHT);
  }
}

/** Weights that make classes count alike, however many images each has: with them, the mean weight of
 * an image is 1. A class without images gets the weight of one with a single image.
 *
 * @param labels Class of each image to train on.
 * @throws {TypeError} If the labels are no bytes.
 * @throws {RangeError} If a label is not below the number of classes.
 * @example Three images of one class and one of another
 * ```ts
 * import { balancedWeights } from "@lenet/lenet";
 *
 * const weights = balancedWeights(Uint8Array.of(0, 0, 0, 1), 2);
 * if (weights[1] !== 3 * weights[0]) throw new Error("expected three times the weight");
 * ```
 */
export function balancedWeights(labels: Uint8Array, classCount: number): number[] {
  checkArray("labels", labels, Uint8Array, " of classes");
  checkNumber("classCount", classCount, { whole: true, min: 1, max: 256 });
  const counts = Array.from({ length: classCount }, () => 0);
  for (const label of labels) {
    if (label >= classCount) {
      throw new RangeError(`Cannot weigh label ${label}: there are ${classCount} classes`);
    }
    counts[label]++;
  }
  return counts.map((count) => labels.length / (classCount * Math.max(1, count)));
}

/** What the losses of each batch of an order are added up to be divided by: its number of images, or
 * their weight where classes have weights.
 */
export function batchDivisors(
  { order, batchSize, labels }: {
    readonly order: Uint32Array;
    readonly batchSize: number;
    readonly labels: Uint8Array;
  },
  targets: LossTargets | undefined,
): Float64Array {
  return Float64Array.from({ length: Math.ceil(order.length / batchSize) }, (_, batch) => {
    const indices = order.subarray(batch * batchSize, (batch + 1) * batchSize);
    if (targets === undefined) return indices.length;
    return indices.reduce((sum, index) => sum + targets.weights[labels[index]], 0);
  });
}
