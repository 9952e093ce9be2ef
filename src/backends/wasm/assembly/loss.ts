/** Softmax cross-entropy, its gradient and the predictions, in one pass over the logits. */

import { expMinus } from "./exp";
import { ELEMENT_BYTES } from "./simd";

/** losses[i] = log(sum e^logits) - logits[label], gradient = (softmax - one-hot label) * scale, and
 * predictions[i] = the class with the largest logit, the first among equals.
 *
 * Equals the reference's softmaxCrossEntropy to 1e-6. Layout: logits and gradient [class][8
 * images]; `indices` names `count` images, whose labels are labels[index]; the gradient of idle
 * lanes is zero. A logit that is not finite makes the loss not finite. losses has room for eight.
 */
export function softmaxCrossEntropy(
  logits: usize, classes: i32, labels: usize, indices: usize, count: i32, scale: f32,
  gradient: usize, losses: usize, predictions: usize,
): void {
  for (let half = 0; half < 2; half++) {
    let maximum = v128.load(logits + half * 16);
    for (let c = 1; c < classes; c++) {
      maximum = f32x4.max(maximum, v128.load(logits + half * 16 + c * ELEMENT_BYTES));
    }
    let sum = f32x4.splat(0);
    for (let c = 0; c < classes; c++) {
      const offset = half * 16 + c * ELEMENT_BYTES;
      const power = expMinus(f32x4.sub(maximum, v128.load(logits + offset)));
      v128.store(gradient + offset, power);
      sum = f32x4.add(sum, power);
    }
    v128.store(losses + half * 16, sum);
    const share = f32x4.div(f32x4.splat(scale), sum);
    const lanes = i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(count - half * 4));
    for (let c = 0; c < classes; c++) {
      const offset = half * 16 + c * ELEMENT_BYTES;
      const product = f32x4.mul(v128.load(gradient + offset), share);
      v128.store(gradient + offset, v128.and(product, lanes));
    }
    for (let lane = 0; lane < min(4, count - half * 4); lane++) {
      const image = half * 4 + lane;
      const column = logits + image * 4;
      const label = <i32> load<u8>(labels + load<u32>(indices + image * 4));
      let best = 0;
      for (let c = 1; c < classes; c++) {
        if (load<f32>(column + c * ELEMENT_BYTES) > load<f32>(column + best * ELEMENT_BYTES)) {
          best = c;
        }
      }
      store<u8>(predictions + image, <u8> best);
      const top = load<f32>(column + best * ELEMENT_BYTES);
      const margin = top - load<f32>(column + label * ELEMENT_BYTES);
      store<f32>(losses + image * 4, Mathf.log(load<f32>(losses + image * 4)) + margin);
      const slope = gradient + label * ELEMENT_BYTES + image * 4;
      store<f32>(slope, load<f32>(slope) - scale);
    }
  }
}

/** Makes of what softmaxCrossEntropy has left the loss and the gradient of smoothed labels and weighted
 * classes: `targets` are the totals of all classes, then their `others` (see nn/loss.ts).
 *
 * With t for an image's total and p for softmax, t (p - label) + (all others) label - others is the
 * gradient, whose parts cancel nowhere, and t loss + sum of others (own logit - logit) the loss. Equals
 * the reference's softmaxCrossEntropy with targets to 1e-6. Arguments are those of softmaxCrossEntropy.
 */
export function weighTargets(
  logits: usize, classes: i32, labels: usize, indices: usize, count: i32, scale: f32,
  gradient: usize, losses: usize, targets: usize,
): void {
  const others = targets + 4 * classes;
  let all: f32 = 0;
  for (let c = 0; c < classes; c++) all += load<f32>(others + 4 * c);
  for (let image = 0; image < count; image++) {
    const label = <i32> load<u8>(labels + load<u32>(indices + image * 4));
    const total = load<f32>(targets + 4 * label);
    const own = load<f32>(logits + label * ELEMENT_BYTES + image * 4);
    let loss = total * load<f32>(losses + image * 4);
    for (let c = 0; c < classes; c++) {
      const offset = c * ELEMENT_BYTES + image * 4;
      const other = load<f32>(others + 4 * c);
      const wanted: f32 = c == label ? all - other : -other;
      loss += other * (own - load<f32>(logits + offset));
      store<f32>(gradient + offset, total * load<f32>(gradient + offset) + scale * wanted);
    }
    store<f32>(losses + image * 4, loss);
  }
}
