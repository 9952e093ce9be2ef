/** Layers whose every output is made from one element of each input: activations, flatten, sums. */

import { drawAt, streamKey } from "../../../random.ts";
import { dropoutRule } from "../../../nn/layers/dropout.ts";
import { volume } from "../../../nn/layers/layer.ts";
import type {
  ActivationLayer,
  DropoutLayer,
  FlattenLayer,
  LeakyReluLayer,
  ResidualLayer,
} from "../../../nn/sequential.ts";
import type { ForwardTensors, LayerMath } from "./layer.ts";

interface Activation<Kind> {
  value(x: number, layer: Kind): number;
  /** As a function of input and output. */
  derivative(y: number, layer: Kind, x: number): number;
}

/** See `sigmoid` of `nn/`. */
export const sigmoid = activation<ActivationLayer>({
  value: (x) => 1 / (1 + Math.exp(-x)),
  derivative: (y) => y * (1 - y),
});

/** See `tanh` of `nn/`. */
export const tanh = activation<ActivationLayer>({ value: Math.tanh, derivative: (y) => 1 - y * y });

/** See `relu` of `nn/`. */
export const relu = activation<ActivationLayer>({
  value: (x) => x <= 0 ? 0 : x, // a NaN passes through
  derivative: (y) => y > 0 ? 1 : 0,
});

/** See `leakyRelu` of `nn/`. */
export const leakyRelu = activation<LeakyReluLayer>({
  value: (x, { negativeSlope }) => x <= 0 ? x * negativeSlope : x,
  derivative: (_y, { negativeSlope }, x) => x > 0 ? 1 : negativeSlope,
});

function activation<Kind extends ActivationLayer | LeakyReluLayer>(
  { value, derivative }: Activation<Kind>,
): LayerMath<Kind> {
  return {
    forward: (layer, { inputs: [input] }) => input.map((x) => value(x, layer)),
    backward: (layer, { inputs: [input], output, gradOutput }) => [
      gradOutput.map((grad, index) => grad * derivative(output[index], layer, input[index])),
    ],
  };
}

/** Zeros by chance, in training. */
export const dropout: LayerMath<DropoutLayer> = {
  forward: (layer, { inputs: [input], ...tensors }) => drop(layer, input, tensors),
  backward: (layer, { gradOutput, ...tensors }) => [drop(layer, gradOutput, tensors)],
};

function drop(
  layer: DropoutLayer,
  values: Float64Array,
  { batch: { mode, seed, step, indices }, index }: Pick<ForwardTensors, "batch" | "index">,
): Float64Array {
  if (mode === "eval") return values;
  const { stream, threshold, scale } = dropoutRule(layer, index);
  const key = streamKey(seed, stream);
  const size = volume(layer.inputShape);
  return values.map((value, place) => {
    const counter = { step, image: indices[Math.floor(place / size)], unit: place % size };
    return drawAt(key, counter) >= threshold ? value * scale : 0;
  });
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
