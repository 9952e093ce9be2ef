/** Elementwise activations, forward and backward, in float64. */

import type { ActivationLayer } from "../../nn/sequential.ts";

type ActivationType = ActivationLayer["type"];

const FUNCTIONS: Record<ActivationType, (x: number) => number> = {
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  tanh: Math.tanh,
  relu: (x) => x <= 0 ? 0 : x, // a NaN passes through
};

/** Derivatives, as functions of the output. */
const DERIVATIVES: Record<ActivationType, (y: number) => number> = {
  sigmoid: (y) => y * (1 - y),
  tanh: (y) => 1 - y * y,
  relu: (y) => y > 0 ? 1 : 0,
};

/** Applies the function to every element. */
export function activationForward(type: ActivationType, input: Float64Array): Float64Array {
  return input.map(FUNCTIONS[type]);
}

/** Returns the gradient of the input, from the output of the forward pass. */
export function activationBackward(
  type: ActivationType,
  output: Float64Array,
  gradOutput: Float64Array,
): Float64Array {
  const derivative = DERIVATIVES[type];
  return gradOutput.map((grad, index) => grad * derivative(output[index]));
}
