/** What a trained session says about images. */

import type { Session } from "../backends/backend.ts";
import type { LabeledImages } from "../data/dataset.ts";
import { countCorrect } from "./metrics.ts";
import { type ClassProbability, topClasses } from "./top_classes.ts";

/** How well a session does on labelled images. */
export interface Evaluation {
  /** Mean softmax cross-entropy. */
  readonly loss: number;
  /** Share of correct predictions, 0 .. 1. */
  readonly accuracy: number;
  /** Most probable class of each image; {@linkcode classificationReport} says more with it. */
  readonly predictions: Uint8Array;
}

/** Evaluates a session on labelled images, which stay attached to it.
 *
 * @throws {TypeError} If the images are not of the model's shape, or a label is not a class.
 * @example Accuracy before training is about that of guessing
 * ```ts
 * import { evaluate, lenet, loadDataset, openBackend } from "@lenet/lenet";
 *
 * const { test } = await loadDataset("sample");
 * await using session = await openBackend("wasm", lenet());
 *
 * const { accuracy } = await evaluate(session, test);
 * if (accuracy > 0.3) throw new Error(`expected a guess, found ${accuracy}`);
 * ```
 */
export async function evaluate(session: Session, data: LabeledImages): Promise<Evaluation> {
  await session.attach(data);
  const { loss, predictions } = await session.evaluate(data);
  return { loss, accuracy: countCorrect(predictions, data.labels) / data.count, predictions };
}

/** What a prediction says. */
export interface PredictOptions {
  /** One name per class. */
  readonly classNames: readonly string[];
  /** Number of classes to name, the most probable first; default 3. */
  readonly top?: number;
}

/** Says what is in images, which stay attached to the session.
 *
 * @param data Images of the model's shape; their labels do not matter.
 * @returns For each image its most probable classes, the most probable first.
 * @throws {TypeError} If the images are not of the model's shape.
 * @example Three classes for each image of the test set
 * ```ts
 * import { loadDataset, openBackend, predict, zooModel } from "@lenet/lenet";
 *
 * const { test, classNames } = await loadDataset("sample");
 * await using session = await openBackend("wasm", zooModel("softmax"));
 *
 * const [first] = await predict(session, test, { classNames });
 * if (first.length !== 3) throw new Error("expected three classes");
 * ```
 */
export async function predict(
  session: Session,
  data: LabeledImages,
  { classNames, top }: PredictOptions,
): Promise<ClassProbability[][]> {
  await session.attach(data);
  const logits = await session.predict(data);
  const classCount = logits.length / data.count;
  return Array.from(
    { length: data.count },
    (_, n) => topClasses(logits.subarray(n * classCount, (n + 1) * classCount), classNames, top),
  );
}
