/** From logits to the classes that they favour. */

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
