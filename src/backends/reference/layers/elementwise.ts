/** Layers whose every output is made from one element of each input: activations, flatten, sums. */

import type { ActivationLayer, FlattenLayer, ResidualLayer } from "../../../nn/sequential.ts";
import type { LayerMath } from "./layer.ts";

interface Activation {
  value(x: number): number;
  /** As a function of the output. */
  derivative(y: number): number;
}

/** See `sigmoid` of `nn/`. */
export const sigmoid = activation({
  value: (x) => 1 / (1 + Math.exp(-x)),
  derivative: (y) => y * (1 - y),
});

/** See `tanh` of `nn/`. */
export const tanh = activation({ value: Math.tanh, derivative: (y) => 1 - y * y });

/** See `relu` of `nn/`. */
export const relu = activation({
  value: (x) => x <= 0 ? 0 : x, // a NaN passes through
  derivative: (y) => y > 0 ? 1 : 0,
});

function activation({ value, derivative }: Activation): LayerMath<ActivationLayer> {
  return {
    forward: (_layer, { inputs: [input] }) => input.map((x) => value(x)),
    backward: (_layer, { output, gradOutput }) => [
      gradOutput.map((grad, index) => grad * derivative(output[index])),
    ],
  };
}

/** Channels come first already. */
export const flatten: LayerMath<FlattenLayer> = {
  forward: (_layer, { inputs: [input] }) => input,
  backward: (_layer, { gradOutput }) => [gradOutput],
};

/** The sum of body and shortcut. */
export const residual: LayerMath<ResidualLayer> = {
  forward: (_layer, { inputs: [body, shortcut] }) => body.map((x, index) => x + shortcut[index]),
  backward: (_layer, { gradOutput }) => [gradOutput, gradOutput],
};
