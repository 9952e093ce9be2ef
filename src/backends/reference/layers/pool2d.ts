/** Average and maximum pooling, forward and backward, in float64 plain loops. */

import type { Pool2dLayer } from "../../../nn/sequential.ts";
import type { LayerMath } from "./layer.ts";

/** Mean over each window, whose gradient is shared evenly.
 *
 * Shapes: input [batchSize, channels, height, width] -> [batchSize, channels, outHeight, outWidth].
 */
export const avgPool2d = pool2d({
  value: mean,
  giveBack(gradInput, { window, gradient }) {
    for (const index of window) gradInput[index] += gradient / window.length;
  },
});

/** Maximum over each window, whose gradient goes to the first maximum. Shapes as avgPool2d. */
export const maxPool2d = pool2d({
  value: (input, window) => input[firstMaximum(input, window)],
  giveBack(gradInput, { input, window, gradient }) {
    gradInput[firstMaximum(input, window)] += gradient;
  },
});

interface Pooling {
  value(input: Float64Array, window: readonly number[]): number;
  /** Adds the gradient of a window's value to those of its elements. */
  giveBack(gradInput: Float64Array, taken: {
    readonly input: Float64Array;
    readonly window: readonly number[];
    readonly gradient: number;
  }): void;
}

function pool2d({ value, giveBack }: Pooling): LayerMath<Pool2dLayer> {
  return {
    forward(layer, { inputs: [input] }) {
      const outputs: number[] = [];
      forEachWindow(layer, input.length, (window) => outputs.push(value(input, window)));
      return Float64Array.from(outputs);
    },
    backward(layer, { inputs: [input], gradOutput }) {
      const gradInput = new Float64Array(input.length);
      forEachWindow(layer, input.length, (window, index) => {
        giveBack(gradInput, { input, window, gradient: gradOutput[index] });
      });
      return [gradInput];
    },
  };
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
