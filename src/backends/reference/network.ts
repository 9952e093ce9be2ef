/** A whole model, forward and backward, in float64: the oracle of every other backend. */

import type { Layer, Model, Parameter } from "../../nn/sequential.ts";
import { activationBackward, activationForward } from "./activation.ts";
import { conv2dBackward, conv2dForward, type LayerParameters } from "./conv2d.ts";
import { linearBackward, linearForward } from "./linear.ts";
import { pool2dBackward, pool2dForward } from "./pool2d.ts";
import { type BatchLoss, softmaxCrossEntropy } from "./softmax_cross_entropy.ts";

/** Runs the model forward and returns every tensor on the way: the input first, the logits last.
 *
 * Shapes: images [batchSize, channels, height, width] as pixel values in [0, 1].
 */
export function forward(
  model: Model,
  parameters: Float64Array,
  images: Float64Array,
): Float64Array[] {
  const tensors = [images];
  for (const layer of model.layers) {
    tensors.push(layerForward(layer, parameters, tensors[tensors.length - 1]));
  }
  return tensors;
}

/** Loss and predictions of a batch, and the gradient of the mean loss as a flat vector. */
export function lossAndGradients(
  model: Model,
  parameters: Float64Array,
  { images, labels }: { readonly images: Float64Array; readonly labels: Uint8Array },
): BatchLoss & { readonly gradients: Float64Array } {
  const tensors = forward(model, parameters, images);
  const batchLoss = softmaxCrossEntropy(tensors[tensors.length - 1], labels);
  const gradients = new Float64Array(model.parameterCount);
  let gradOutput = batchLoss.gradLogits;
  for (const [index, layer] of [...model.layers.entries()].reverse()) {
    const [input, output] = [tensors[index], tensors[index + 1]];
    gradOutput = layerBackward(layer, { parameters, gradients, input, output, gradOutput });
  }
  return { ...batchLoss, gradients };
}

function layerForward(layer: Layer, parameters: Float64Array, input: Float64Array): Float64Array {
  switch (layer.type) {
    case "conv2d":
      return conv2dForward(layer, layerViews(layer, parameters), input);
    case "linear":
      return linearForward(layer, layerViews(layer, parameters), input);
    case "avgPool2d":
    case "maxPool2d":
      return pool2dForward(layer, input);
    case "flatten":
      return input;
    default:
      return activationForward(layer.type, input);
  }
}

interface LayerTensors {
  readonly parameters: Float64Array;
  readonly gradients: Float64Array;
  readonly input: Float64Array;
  readonly output: Float64Array;
  readonly gradOutput: Float64Array;
}

function layerBackward(layer: Layer, tensors: LayerTensors): Float64Array {
  const { input, output, gradOutput } = tensors;
  switch (layer.type) {
    case "conv2d":
    case "linear": {
      const parameters = layerViews(layer, tensors.parameters);
      const gradients = layerViews(layer, tensors.gradients);
      return layer.type === "conv2d"
        ? conv2dBackward(layer, parameters, { input, gradOutput, gradients })
        : linearBackward(layer, parameters, { input, gradOutput, gradients });
    }
    case "avgPool2d":
    case "maxPool2d":
      return pool2dBackward(layer, input, gradOutput);
    case "flatten":
      return gradOutput;
    default:
      return activationBackward(layer.type, output, gradOutput);
  }
}

function layerViews(
  layer: { readonly weight: Parameter; readonly bias: Parameter },
  flat: Float64Array,
): LayerParameters {
  const view = ({ offset, size }: Parameter) => flat.subarray(offset, offset + size);
  return { weight: view(layer.weight), bias: view(layer.bias) };
}
