/** Parameter updates in float64, as PyTorch defines them. */

import type { OptimizerSpec } from "../backend.ts";

/** What one update reads and changes, each a flat vector. */
export interface UpdateTensors {
  readonly parameters: Float64Array;
  readonly gradients: Float64Array;
  /** [], [velocity] or [mean, variance]. */
  readonly slots: readonly Float64Array[];
}

/** Updates parameters and slots in place.
 *
 * Source: PyTorch `torch.optim.SGD` (no dampening) and `torch.optim.Adam`.
 *
 * @param step Number of this update, from 1: Adam corrects the bias of its means by it.
 */
export function updateParameters(
  optimizer: OptimizerSpec,
  { parameters, gradients, slots }: UpdateTensors,
  { learningRate, step }: { readonly learningRate: number; readonly step: number },
): void {
  if (optimizer.type === "adam") {
    const [mean, variance] = slots;
    const { beta1, beta2, epsilon } = optimizer;
    for (let index = 0; index < parameters.length; index++) {
      const gradient = gradients[index];
      mean[index] = beta1 * mean[index] + (1 - beta1) * gradient;
      variance[index] = beta2 * variance[index] + (1 - beta2) * gradient * gradient;
      const correctedMean = mean[index] / (1 - beta1 ** step);
      const correctedVariance = variance[index] / (1 - beta2 ** step);
      parameters[index] -= learningRate * correctedMean / (Math.sqrt(correctedVariance) + epsilon);
    }
    return;
  }
  const [velocity] = slots;
  for (let index = 0; index < parameters.length; index++) {
    let change = gradients[index];
    if (velocity !== undefined) {
      change += optimizer.momentum * velocity[index];
      velocity[index] = change;
    }
    parameters[index] -= learningRate * change;
  }
}
