/** The linear layer's weight gradient, over all blocks of a batch; the rest of it is conv2d's. */

import { outer, outerSums6x2 } from "./outer";
import { ELEMENT_BYTES, sumLanes, VECTOR_BYTES } from "./simd";

/** Gradients of output features firstRow..lastRow (exclusive); equals the reference's linear
 * gradients to 1e-5 relative; without blocks, zeros. Added to what is there if `accumulate`, else written over it.
 *
 * Layout: input and gradOutput [block][feature][8 images], gradWeight [out][in], gradBias [out];
 * blocks lie inputBlockBytes and gradOutputBlockBytes apart; scratch holds 12 vectors. Threads share the work by rows, so that nothing has to be summed
 * between them.
 */
export function linearWeightGradient(
  input: usize, inFeatures: i32, inputBlockBytes: usize, gradOutput: usize,
  gradOutputBlockBytes: usize, blocks: i32, firstRow: i32, lastRow: i32, gradWeight: usize,
  gradBias: usize, ones: usize, scratch: usize, accumulate: bool,
): void {
  if (blocks == 0) {
    if (accumulate) return;
    const rows = lastRow - firstRow;
    memory.fill(gradWeight + firstRow * inFeatures * 4, 0, rows * inFeatures * 4);
    memory.fill(gradBias + firstRow * 4, 0, rows * 4);
    return;
  }
  const scratch2 = scratch + 6 * VECTOR_BYTES;
  const zero = f32x4.splat(0);
  for (let i = 0; i < inFeatures; i += 6) {
    const width = min(6, inFeatures - i);
    for (let o = firstRow; o < lastRow; o += 2) {
      const lone = o + 1 == lastRow;
      const row = gradWeight + (o * inFeatures + i) * 4;
      if (width == 6 && !lone) {
        outerSums6x2(
          blocks, input + i * ELEMENT_BYTES, inputBlockBytes, gradOutput + o * ELEMENT_BYTES,
          gradOutputBlockBytes, ELEMENT_BYTES, row, row + inFeatures * 4, accumulate,
        );
        continue;
      }
      v128.store(scratch, zero, 0);
      v128.store(scratch, zero, 16);
      v128.store(scratch, zero, 32);
      v128.store(scratch, zero, 48);
      v128.store(scratch, zero, 64);
      v128.store(scratch, zero, 80);
      v128.store(scratch, zero, 96);
      v128.store(scratch, zero, 112);
      v128.store(scratch, zero, 128);
      v128.store(scratch, zero, 144);
      v128.store(scratch, zero, 160);
      v128.store(scratch, zero, 176);
      outer(
        width, 1, blocks, input + i * ELEMENT_BYTES, inputBlockBytes, 0,
        gradOutput + o * ELEMENT_BYTES, gradOutputBlockBytes, 0, lone ? 0 : ELEMENT_BYTES, scratch,
        lone ? scratch : scratch2,
      );
      storeSums(width, scratch, row, accumulate);
      if (!lone) storeSums(width, scratch2, row + inFeatures * 4, accumulate);
    }
  }
  for (let o = firstRow; o < lastRow; o++) {
    v128.store(scratch, zero);
    outer(
      1, 1, blocks, gradOutput + o * ELEMENT_BYTES, gradOutputBlockBytes, 0, ones, 0, 0, 0, scratch,
      scratch,
    );
    storeSums(1, scratch, gradBias + o * 4, accumulate);
  }
}

/** Adds the lanes of `width` vectors and stores or accumulates the sums. */
function storeSums(width: i32, sums: usize, target: usize, accumulate: bool): void {
  const zero = f32x4.splat(0);
  if (width >= 4) {
    let sum = sumLanes(
      v128.load(sums), v128.load(sums, 16), v128.load(sums, 32), v128.load(sums, 48),
    );
    if (accumulate) sum = f32x4.add(sum, v128.load(target));
    v128.store(target, sum);
    sums += 4 * VECTOR_BYTES;
    target += 16;
    width -= 4;
  }
  for (; width > 0; width--) {
    const sum = f32x4.extract_lane(sumLanes(v128.load(sums), zero, zero, zero), 0);
    store<f32>(target, accumulate ? load<f32>(target) + sum : sum);
    sums += VECTOR_BYTES;
    target += 4;
  }
}
