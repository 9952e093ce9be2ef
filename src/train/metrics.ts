/** Accuracy and its finer parts, from predictions and labels. */

/** What a model got right and wrong on a data set. */
export interface ClassificationReport {
  /** Share of correct predictions, 0 .. 1. */
  readonly accuracy: number;
  /** Images of class `row` predicted as class `column`: confusion[row][column]. */
  readonly confusion: readonly (readonly number[])[];
  /** In label order. */
  readonly perClass: readonly ClassReport[];
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
 * @example Two of three
 * ```ts
 * import { countCorrect } from "@lenet/lenet";
 *
 * if (countCorrect(Uint8Array.of(1, 2, 3), Uint8Array.of(1, 2, 0)) !== 2) throw new Error("expected 2");
 * ```
 */
export function countCorrect(predictions: Uint8Array, labels: Uint8Array): number {
  let correct = 0;
  for (let n = 0; n < labels.length; n++) correct += predictions[n] === labels[n] ? 1 : 0;
  return correct;
}

/** Compares predictions with labels, class by class.
 *
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
  return { accuracy: countCorrect(predictions, labels) / labels.length, confusion, perClass };
}
