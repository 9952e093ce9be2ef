/** Convolution, forward and backward, in float64 plain loops. */

import type { Conv2dLayer } from "../../../nn/sequential.ts";
import { volume } from "../../../nn/layers/layer.ts";
import { type LayerMath, viewOf } from "./layer.ts";

/** Cross-correlates every image with every kernel and adds the bias.
 *
 * Shapes: input [batchSize, inChannels, height, width] -> [batchSize, outChannels, outHeight,
 * outWidth].
 */
export const conv2d: LayerMath<Conv2dLayer> = {
  forward(layer, { inputs: [input], parameters }) {
    const weight = viewOf(layer.weight, parameters);
    const bias = layer.bias && viewOf(layer.bias, parameters);
    const batchSize = input.length / volume(layer.inputShape);
    const output = new Float64Array(batchSize * volume(layer.outputShape));
    const step = layer.stride[1];
    forEachRow(layer, input.length, ({ outputIndex, inputIndex, weightIndex, count }) => {
      const w = weight[weightIndex];
      for (let x = 0; x < count; x++) output[outputIndex + x] += input[inputIndex + x * step] * w;
    });
    const [outChannels, outHeight, outWidth] = layer.outputShape;
    const area = outHeight * outWidth;
    for (let index = 0; bias && index < output.length; index++) {
      output[index] += bias[Math.floor(index / area) % outChannels];
    }
    return output;
  },

  backward(layer, { inputs: [input], parameters, gradOutput, gradients }) {
    const weight = viewOf(layer.weight, parameters);
    const gradWeight = viewOf(layer.weight, gradients);
    const gradBias = layer.bias && viewOf(layer.bias, gradients);
    const gradInput = new Float64Array(input.length);
    const step = layer.stride[1];
    forEachRow(layer, input.length, ({ outputIndex, inputIndex, weightIndex, count }) => {
      const w = weight[weightIndex];
      let sum = 0;
      for (let x = 0; x < count; x++) {
        const grad = gradOutput[outputIndex + x];
        gradInput[inputIndex + x * step] += grad * w;
        sum += grad * input[inputIndex + x * step];
      }
      gradWeight[weightIndex] += sum;
    });
    const [outChannels, outHeight, outWidth] = layer.outputShape;
    const area = outHeight * outWidth;
    for (let index = 0; gradBias && index < gradOutput.length; index++) {
      gradBias[Math.floor(index / area) % outChannels] += gradOutput[index];
    }
    return [gradInput];
  },
};

/** One weight's products along one row of the output. */
interface Row {
  /** The first of `count` neighbouring outputs. */
  readonly outputIndex: number;
  /** The pixel under it; the next output's is a stride further. */
  readonly inputIndex: number;
  readonly weightIndex: number;
  readonly count: number;
}

/** Visits every product of the cross-correlation once: all pairs of an output and a pixel under its
 * window, padding left out. Forward and backward are the same walk with different products. */
function forEachRow(layer: Conv2dLayer, inputLength: number, visit: (row: Row) => void): void {
  const [inChannels, height, width] = layer.inputShape;
  const [outChannels, outHeight, outWidth] = layer.outputShape;
  const { kernelSize: [kernelHeight, kernelWidth], stride, padding, groups } = layer;
  const [groupIn, groupOut] = [inChannels / groups, outChannels / groups];
  const batchSize = inputLength / volume(layer.inputShape);
  for (let n = 0; n < batchSize; n++) {
    for (let o = 0; o < outChannels; o++) {
      const firstChannel = Math.floor(o / groupOut) * groupIn;
      for (let c = 0; c < groupIn; c++) {
        for (let i = 0; i < kernelHeight; i++) {
          for (let j = 0; j < kernelWidth; j++) {
            const weightIndex = ((o * groupIn + c) * kernelHeight + i) * kernelWidth + j;
            // The outputs x whose pixel x * stride + j - padding lies in 0 .. width - 1.
            const first = Math.max(0, Math.ceil((padding[1] - j) / stride[1]));
            const end = Math.min(
              outWidth,
              Math.floor((width - 1 - j + padding[1]) / stride[1]) + 1,
            );
            for (let y = 0; y < outHeight; y++) {
              const inputY = y * stride[0] + i - padding[0];
              if (inputY < 0 || inputY >= height || first >= end) continue;
              const inputX = first * stride[1] + j - padding[1];
              visit({
                outputIndex: ((n * outChannels + o) * outHeight + y) * outWidth + first,
                inputIndex: ((n * inChannels + firstChannel + c) * height + inputY) * width +
                  inputX,
                weightIndex,
                count: end - first,
              });
            }
          }
        }
      }
    }
  }
}
