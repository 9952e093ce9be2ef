/** Accuracy and its finer parts, from predictions and labels. */

import { checkArray, checkObject } from "../check.ts";
import { quote } from "../quote.ts";

/** What a model got right and wrong on a data set. */
export interface ClassificationReport extends MajorityComparison {
  /** Images of class `row` predicted as class `column`: confusion[row][column]. */
  readonly confusion: readonly (readonly number[])[];
  /** In label order. */
  readonly perClass: readonly ClassReport[];
}

/** An accuracy beside what a program reaches that looks at no image. */
export interface MajorityComparison {
  /** Share of correct predictions, 0 .. 1. */
  readonly accuracy: number;
  /** What naming the most frequent class for every image would have got right. */
  readonly majority: Majority;
  /** Whether the accuracy is above that: "unclear" if by no more than chance would give. */
  readonly isBetterThanMajority: boolean | "unclear";
}

/** The most frequent class of a data set. */
export interface Majority {
  /** Its name. */
  readonly className: string;
  /** Its share of the images, 0 .. 1: the accuracy of naming it every time. */
  readonly share: number;
}

/** One class's part of a {@linkcode ClassificationReport}. */
export interface ClassReport {
  /** Name of the class. */
  readonly className: string;
  /** Of the images predicted as this class, the share that is; 0 where none was predicted. */
  readonly precision: number;
  /** Of the images of this class, the share predicted as it; 0 where there is none. */
  readonly recall: number;
  /** Number of images of this class. */
  readonly support: number;
}

/** Number of predictions that equal their label.
 *
 * @throws {TypeError} If there are not as many of both, as bytes.
 * @example Two of three
 * ```ts
 * import { countCorrect } from "@lenet/lenet";
 *
 * if (countCorrect(Uint8Array.of(1, 2, 3), Uint8Array.of(1, 2, 0)) !== 2) throw new Error("expected 2");
 * ```
 */
export function countCorrect(predictions: Uint8Array, labels: Uint8Array): number {
  checkPair(predictions, labels);
  let correct = 0;
  for (let n = 0; n < labels.length; n++) correct += predictions[n] === labels[n] ? 1 : 0;
  return correct;
}

/** Compares predictions with labels, class by class.
 *
 * @throws {TypeError} If there are not as many of both, as bytes.
 * @throws {RangeError} If one of them has no name, or there are none.
 * @example Half of the cats are taken for dogs
 * ```ts
 * import { classificationReport } from "@lenet/lenet";
 *
 * const [predictions, labels] = [Uint8Array.of(0, 1, 1), Uint8Array.of(0, 0, 1)];
 * const { perClass: [cat] } = classificationReport(predictions, labels, ["cat", "dog"]);
 * if (cat.recall !== 0.5 || cat.precision !== 1) throw new Error("expected half of them");
 * ```
 */
export function classificationReport(
  predictions: Uint8Array,
  labels: Uint8Array,
  classNames: readonly string[],
): ClassificationReport {
  checkPair(predictions, labels);
  checkObject("classNames", classNames, "an array of names");
  if (labels.length === 0) throw new RangeError("Invalid labels: expected one or more, found none");
  for (const [n, label] of labels.entries()) {
    const wrong = Math.max(label, predictions[n]);
    if (wrong < classNames.length) continue;
    throw new RangeError(
      `Cannot report on class ${wrong} at place ${n}: there are ${classNames.length} classNames`,
    );
  }
  const confusion = classNames.map(() => classNames.map(() => 0));
  for (const [n, label] of labels.entries()) confusion[label][predictions[n]]++;
  const perClass = classNames.map((className, k) => {
    const support = confusion[k].reduce((sum, count) => sum + count, 0);
    const predicted = confusion.reduce((sum, row) => sum + row[k], 0);
    return {
      className,
      precision: predicted === 0 ? 0 : confusion[k][k] / predicted,
      recall: support === 0 ? 0 : confusion[k][k] / support,
      support,
    };
  });
  const accuracy = countCorrect(predictions, labels) / labels.length;
  return { ...compareWithMajority(accuracy, labels, classNames), confusion, perClass };
}

/** Compares an accuracy with that of naming the most frequent class for every image.
 *
 * @example Nine of ten are cats
 * ```ts
 * import { compareWithMajority } from "@lenet/lenet";
 *
 * const labels = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
 * const { majority, isBetterThanMajority } = compareWithMajority(0.9, labels, ["cat", "dog"]);
 * if (majority.share !== 0.9 || isBetterThanMajority !== false) throw new Error("expected no better");
 * ```
 */
export function compareWithMajority(
  accuracy: number,
  labels: Uint8Array,
  classNames: readonly string[],
): MajorityComparison {
  const counts = classNames.map(() => 0);
  for (const label of labels) counts[label]++;
  const most = counts.indexOf(Math.max(...counts));
  const share = counts[most] / labels.length;
  // Two standard errors: naming classes at random comes so far above in one of fifty sets.
  const margin = accuracy === 1 ? 0 : 2 * Math.sqrt(share * (1 - share) / labels.length);
  return {
    accuracy,
    majority: { className: classNames[most], share },
    isBetterThanMajority: accuracy > share + margin || (accuracy > share && "unclear"),
  };
}

/** Says that a model is no better than the most frequent class; undefined where it clearly is. */
export function majorityRemark(
  { majority: { className, share }, isBetterThanMajority }: MajorityComparison,
): string | undefined {
  if (isBetterThanMajority === true) return undefined;
  return `${isBetterThanMajority ? "not clearly" : "no"} better than always answering ` +
    `${quote(className)}: ${share.toFixed(3)}`;
}

function checkPair(predictions: Uint8Array, labels: Uint8Array): void {
  checkArray("predictions", predictions, Uint8Array, " of classes");
  checkArray("labels", labels, Uint8Array, " of classes");
  if (predictions.length === labels.length) return;
  throw new TypeError(
    `Cannot compare predictions with labels: expected as many, found ${predictions.length} and ` +
      `${labels.length}`,
  );
}

/** A class and its probability. */
export interface ClassProbability {
  /** Name of the class. */
  readonly className: string;
  /** Its place among the names. */
  readonly label: number;
  /** 0 .. 1. */
  readonly probability: number;
}

/** The most probable classes of one image, the most probable first.
 *
 * @param logits One number a class.
 */
export function topClasses(
  logits: Float32Array,
  classNames: readonly string[],
  count = 3,
): ClassProbability[] {
  const largest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const weights = Array.from(logits, (logit) => Math.exp(logit - largest));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights
    .map((weight, label) => ({ className: classNames[label], label, probability: weight / sum }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, count);
}
