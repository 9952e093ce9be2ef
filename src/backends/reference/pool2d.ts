/** Average and maximum pooling, forward and backward, in float64 plain loops. */

import type { Pool2dLayer } from "../../nn/sequential.ts";

/** Mean or maximum over each window.
 *
 * Shapes: input [batchSize, channels, height, width] -> [batchSize, channels, outHeight, outWidth].
 */
export function pool2dForward(layer: Pool2dLayer, input: Float64Array): Float64Array {
  const outputs: number[] = [];
  forEachWindow(layer, input.length, (window) => {
    outputs.push(
      layer.type === "avgPool2d" ? mean(input, window) : input[firstMaximum(input, window)],
    );
  });
  return Float64Array.from(outputs);
}

/** Returns the gradient of the input: shared evenly over a window, or given to its first maximum. */
export function pool2dBackward(
  layer: Pool2dLayer,
  input: Float64Array,
  gradOutput: Float64Array,
): Float64Array {
  const gradInput = new Float64Array(input.length);
  forEachWindow(layer, input.length, (window, outputIndex) => {
    if (layer.type === "avgPool2d") {
      for (const index of window) gradInput[index] += gradOutput[outputIndex] / window.length;
    } else {
      gradInput[firstMaximum(input, window)] += gradOutput[outputIndex];
    }
  });
  return gradInput;
}

function mean(input: Float64Array, window: readonly number[]): number {
  let sum = 0;
  for (const index of window) sum += input[index];
  return sum / window.length;
}

function firstMaximum(input: Float64Array, window: readonly number[]): number {
  let best = window[0];
  for (const index of window) {
    if (input[index] > input[best] || Number.isNaN(input[index])) best = index;
  }
  return best;
}

/** Visits the windows in output order, each as the indices of its pixels in row order. */
function forEachWindow(
  layer: Pool2dLayer,
  inputLength: number,
  visit: (window: readonly number[], outputIndex: number) => void,
): void {
  const [, height, width] = layer.inputShape;
  const [, outHeight, outWidth] = layer.outputShape;
  const { poolSize, stride } = layer;
  const planes = inputLength / (height * width);
  const window = new Array<number>(poolSize[0] * poolSize[1]);
  let outputIndex = 0;
  for (let plane = 0; plane < planes; plane++) {
    for (let y = 0; y < outHeight; y++) {
      for (let x = 0; x < outWidth; x++) {
        const corner = (plane * height + y * stride[0]) * width + x * stride[1];
        for (let tap = 0; tap < window.length; tap++) {
          window[tap] = corner + Math.floor(tap / poolSize[1]) * width + (tap % poolSize[1]);
        }
        visit(window, outputIndex++);
      }
    }
  }
}
