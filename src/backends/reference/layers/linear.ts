/** Fully connected layer, forward and backward, in float64 plain loops. */

import type { LinearLayer } from "../../../nn/sequential.ts";
import { type LayerMath, viewOf } from "./layer.ts";

/** Weight times input plus bias. Shapes: input [batchSize, in] -> [batchSize, out]. */
export const linear: LayerMath<LinearLayer> = {
  forward(layer, { inputs: [input], parameters }) {
    const weight = viewOf(layer.weight, parameters);
    const bias = layer.bias && viewOf(layer.bias, parameters);
    const [inFeatures] = layer.inputShape;
    const [outFeatures] = layer.outputShape;
    const batchSize = input.length / inFeatures;
    const output = new Float64Array(batchSize * outFeatures);
    for (let n = 0; n < batchSize; n++) {
      for (let o = 0; o < outFeatures; o++) {
        let sum = bias?.[o] ?? 0;
        for (let i = 0; i < inFeatures; i++) {
          sum += weight[o * inFeatures + i] * input[n * inFeatures + i];
        }
        output[n * outFeatures + o] = sum;
      }
    }
    return output;
  },

  backward(layer, { inputs: [input], parameters, gradOutput, gradients }) {
    const weight = viewOf(layer.weight, parameters);
    const gradWeight = viewOf(layer.weight, gradients);
    const gradBias = layer.bias && viewOf(layer.bias, gradients);
    const [inFeatures] = layer.inputShape;
    const [outFeatures] = layer.outputShape;
    const gradInput = new Float64Array(input.length);
    const batchSize = input.length / inFeatures;
    for (let n = 0; n < batchSize; n++) {
      for (let o = 0; o < outFeatures; o++) {
        const grad = gradOutput[n * outFeatures + o];
        if (gradBias) gradBias[o] += grad;
        for (let i = 0; i < inFeatures; i++) {
          gradWeight[o * inFeatures + i] += grad * input[n * inFeatures + i];
          gradInput[n * inFeatures + i] += grad * weight[o * inFeatures + i];
        }
      }
    }
    return [gradInput];
  },
};
