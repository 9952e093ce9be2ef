/** A whole model, forward and backward, in float64: the oracle of every other backend. */

import { IMAGE, type Layer, type LayerKind, type Model } from "../../nn/sequential.ts";
import type { LayerOf } from "../../nn/layers/table.ts";
import { conv2d } from "./layers/conv2d.ts";
import { flatten, relu, residual, sigmoid, tanh } from "./layers/elementwise.ts";
import type { LayerMath } from "./layers/layer.ts";
import { linear } from "./layers/linear.ts";
import { avgPool2d, maxPool2d } from "./layers/pool2d.ts";
import { type BatchLoss, type LossSettings, softmaxCrossEntropy } from "./softmax_cross_entropy.ts";

const TABLE: { readonly [Kind in LayerKind]: LayerMath<LayerOf<Kind>> } = {
  conv2d,
  avgPool2d,
  maxPool2d,
  sigmoid,
  tanh,
  relu,
  flatten,
  linear,
  residual,
};

function mathOf({ type }: Layer): LayerMath<Layer> {
  return TABLE[type];
}

/** Runs the model forward and returns the output of every layer, the logits last.
 *
 * Shapes: images [batchSize, channels, height, width] as the model's first layer takes them.
 */
export function forward(
  model: Model,
  parameters: Float64Array,
  images: Float64Array,
): Float64Array[] {
  const outputs: Float64Array[] = [];
  for (const layer of model.layers) {
    const inputs = inputsOf(layer, images, outputs);
    outputs.push(mathOf(layer).forward(layer, { inputs, parameters }));
  }
  return outputs;
}

/** Losses and predictions of a batch, and the gradient of their sum over the divisor as a flat vector. */
export function lossAndGradients(
  model: Model,
  parameters: Float64Array,
  { images, labels }: { readonly images: Float64Array; readonly labels: Uint8Array },
  loss: LossSettings = {},
): BatchLoss & { readonly gradients: Float64Array } {
  const { layers } = model;
  const outputs = forward(model, parameters, images);
  const batchLoss = softmaxCrossEntropy(outputs[layers.length - 1], labels, loss);
  const gradients = new Float64Array(model.parameterCount);
  const gradOutputs: (Float64Array | undefined)[] = [];
  gradOutputs[layers.length - 1] = batchLoss.gradLogits;
  for (const [index, layer] of [...layers.entries()].reverse()) {
    const inputs = inputsOf(layer, images, outputs);
    const tensors = { inputs, parameters, output: outputs[index], gradients };
    const gradOutput = gradOutputs[index]!;
    const gradInputs = mathOf(layer).backward(layer, { ...tensors, gradOutput });
    for (const [place, input] of layer.inputs.entries()) {
      if (input !== IMAGE) gradOutputs[input] = add(gradOutputs[input], gradInputs[place]);
    }
  }
  return { ...batchLoss, gradients };
}

function inputsOf({ inputs }: Layer, images: Float64Array, outputs: readonly Float64Array[]) {
  return inputs.map((input) => input === IMAGE ? images : outputs[input]);
}

/** What several layers read gets the sum of their gradients; none is changed, as they may be shared. */
function add(sum: Float64Array | undefined, gradient: Float64Array): Float64Array {
  return sum?.map((value, index) => value + gradient[index]) ?? gradient;
}
