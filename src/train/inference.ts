/** What a trained session says about images. */

import type { Session, Unlabeled } from "../backends/backend.ts";
import { checkNumber, checkObject, showKind } from "../check.ts";
import type { LabeledImages } from "../data/dataset.ts";
import { type ClassProbability, countCorrect, topClasses } from "./metrics.ts";

/** How well a session does on labelled images. */
export interface Evaluation {
  /** Mean softmax cross-entropy. */
  readonly loss: number;
  /** Share of correct predictions, 0 .. 1. */
  readonly accuracy: number;
  /** Most probable class of each image; {@linkcode classificationReport} says more with it. */
  readonly predictions: Uint8Array;
}

/** Evaluates a session on labelled images, which it copies for this call alone unless they are attached.
 *
 * @throws {TypeError} If the images are not of the model's shape, or another call has not ended.
 * @throws {RangeError} If there is no image, or a label is not a class.
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
  checkSession(session);
  const { loss, predictions } = await session.evaluate(data);
  return { loss, accuracy: countCorrect(predictions, data.labels) / data.count, predictions };
}

/** What a prediction says. */
export interface PredictOptions {
  /** One name per class; default: the classes' numbers. */
  readonly classNames?: readonly string[];
  /** Number of classes to name, the most probable first; default 3. */
  readonly top?: number;
}

/** Says what is in images, which the session copies for this call alone unless they are attached.
 *
 * @param data Images of the model's shape; their labels do not matter.
 * @returns For each image its most probable classes, the most probable first.
 * @throws {TypeError} If the images are not of the model's shape, there are not as many names as classes,
 * or another call has not ended.
 * @throws {RangeError} If there is no image, or `top` is not 1 or more.
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
  data: Unlabeled,
  options: PredictOptions = {},
): Promise<ClassProbability[][]> {
  checkSession(session);
  checkObject("options", options);
  const { top = 3 } = options;
  checkNumber("top", top, { whole: true, min: 1 });
  const logits = await session.predict(data);
  const classCount = logits.length / data.count;
  const { classNames = Array.from({ length: classCount }, (_, label) => String(label)) } = options;
  checkClassNames(classNames, classCount);
  return Array.from(
    { length: data.count },
    (_, n) => topClasses(logits.subarray(n * classCount, (n + 1) * classCount), classNames, top),
  );
}

/** Checks that an argument is a session.
 *
 * @throws {TypeError} If it is not.
 */
export function checkSession(session: unknown): void {
  if (typeof Object(session).readState === "function") return;
  const advice = session instanceof Promise ? "; await it" : "";
  throw new TypeError(
    `Invalid session: expected what openBackend() resolves to, found ${showKind(session)}${advice}`,
  );
}

function checkClassNames(classNames: unknown, classCount: number): void {
  if (Array.isArray(classNames) && classNames.length === classCount) return;
  const found = Array.isArray(classNames) ? `${classNames.length}` : showKind(classNames);
  throw new TypeError(
    `Invalid classNames: expected an array of the model's ${classCount}, found ${found}`,
  );
}
