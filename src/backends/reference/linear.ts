/** Fully connected layer, forward and backward, in float64 plain loops. */

import type { LinearLayer } from "../../nn/sequential.ts";
import type { LayerParameters } from "./conv2d.ts";

/** weight times input plus bias. Shapes: input [batchSize, in] -> [batchSize, out]. */
export function linearForward(
  layer: LinearLayer,
  { weight, bias }: LayerParameters,
  input: Float64Array,
): Float64Array {
  const [inFeatures] = layer.inputShape;
  const [outFeatures] = layer.outputShape;
  const batchSize = input.length / inFeatures;
  const output = new Float64Array(batchSize * outFeatures);
  for (let n = 0; n < batchSize; n++) {
    for (let o = 0; o < outFeatures; o++) {
      let sum = bias[o];
      for (let i = 0; i < inFeatures; i++) {
        sum += weight[o * inFeatures + i] * input[n * inFeatures + i];
      }
      output[n * outFeatures + o] = sum;
    }
  }
  return output;
}

/** Adds the gradients of weight and bias to `gradients`, and returns the gradient of the input. */
export function linearBackward(
  layer: LinearLayer,
  { weight }: LayerParameters,
  { input, gradOutput, gradients }: {
    readonly input: Float64Array;
    readonly gradOutput: Float64Array;
    readonly gradients: LayerParameters;
  },
): Float64Array {
  const [inFeatures] = layer.inputShape;
  const [outFeatures] = layer.outputShape;
  const gradInput = new Float64Array(input.length);
  const batchSize = input.length / inFeatures;
  for (let n = 0; n < batchSize; n++) {
    for (let o = 0; o < outFeatures; o++) {
      const grad = gradOutput[n * outFeatures + o];
      gradients.bias[o] += grad;
      for (let i = 0; i < inFeatures; i++) {
        gradients.weight[o * inFeatures + i] += grad * input[n * inFeatures + i];
        gradInput[n * inFeatures + i] += grad * weight[o * inFeatures + i];
      }
    }
  }
  return gradInput;
}
