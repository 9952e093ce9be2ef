/** A whole model, forward and backward, in float64: the oracle of every other backend. */

import { IMAGE, type Layer, type LayerKind, type Model } from "../../nn/sequential.ts";
import type { LayerOf } from "../../nn/layers/table.ts";
import { batchNorm } from "./layers/batch_norm.ts";
import { conv2d } from "./layers/conv2d.ts";
import {
  dropout,
  flatten,
  leakyRelu,
  relu,
  residual,
  sigmoid,
  tanh,
} from "./layers/elementwise.ts";
import type { BatchContext, LayerMath } from "./layers/layer.ts";
import { linear } from "./layers/linear.ts";
import { avgPool2d, maxPool2d } from "./layers/pool2d.ts";
import { type BatchLoss, type LossSettings, softmaxCrossEntropy } from "./softmax_cross_entropy.ts";

const TABLE: { readonly [Kind in LayerKind]: LayerMath<LayerOf<Kind>> } = {
  conv2d,
  avgPool2d,
  maxPool2d,
  globalAvgPool2d: avgPool2d,
  sigmoid,
  tanh,
  relu,
  leakyRelu,
  batchNorm2d: batchNorm,
  batchNorm1d: batchNorm,
  dropout,
  flatten,
  linear,
  residual,
};

function mathOf({ type }: Layer): LayerMath<Layer> {
  return TABLE[type];
}

/** Runs the model forward and returns the output of every layer, the logits last. Who observes it sees
 * each before another layer does, and may change it.
 *
 * In training it moves the batch's running statistics. Shapes: images [images, channels, height, width]
 * as the model's first layer takes them.
 */
export function forward(
  model: Model,
  parameters: Float64Array,
  { images, ...batch }: BatchContext & { readonly images: Float64Array },
  observe?: (output: Float64Array, index: number) => void,
): Float64Array[] {
  const outputs: Float64Array[] = [];
  for (const [index, layer] of model.layers.entries()) {
    const inputs = inputsOf(layer, images, outputs);
    const output = mathOf(layer).forward(layer, { inputs, parameters, batch, index });
    observe?.(output, index);
    outputs.push(output);
  }
  return outputs;
}

/** A batch that a model is trained on, or this shard's part of it. */
export interface TrainingBatch extends BatchContext {
  readonly images: Float64Array;
  readonly labels: Uint8Array;
}

/** Losses and predictions of images, and their part of the gradient of the sum of all of the batch's over
 * the divisor, as a flat vector. */
export function lossAndGradients(
  model: Model,
  parameters: Float64Array,
  { images, labels, ...batch }: TrainingBatch,
  loss: LossSettings = {},
): BatchLoss & { readonly gradients: Float64Array } {
  const { layers } = model;
  const outputs = forward(model, parameters, { images, ...batch });
  const batchLoss = softmaxCrossEntropy(outputs[layers.length - 1], labels, {
    divisor: batch.batchSize,
    ...loss,
  });
  const gradients = new Float64Array(model.parameterCount);
  const gradOutputs: (Float64Array | undefined)[] = [];
  gradOutputs[layers.length - 1] = batchLoss.gradLogits;
  for (const [index, layer] of [...layers.entries()].reverse()) {
    const inputs = inputsOf(layer, images, outputs);
    const tensors = { inputs, parameters, output: outputs[index], gradients, batch, index };
    const gradOutput = gradOutputs[index]!;
    const gradInputs = mathOf(layer).backward(layer, { ...tensors, gradOutput });
    for (const [place, input] of layer.inputs.entries()) {
      if (input !== IMAGE) gradOutputs[input] = add(gradOutputs[input], gradInputs[place]);
    }
  }
  for (const { trained, offset, size } of model.parameters) {
    if (!trained) gradients.fill(0, offset, offset + size);
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
