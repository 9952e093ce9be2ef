/** Average and maximum pooling, forward and backward, in float64 plain loops. */

import type { Pool2dLayer } from "../../../nn/sequential.ts";
import { volume } from "../../../nn/layers/layer.ts";
import type { LayerMath } from "./layer.ts";

/** Mean over each window, zeros of its padding included, whose gradient is shared evenly.
 *
 * Shapes: input [batchSize, channels, height, width] -> [batchSize, channels, outHeight, outWidth].
 */
export const avgPool2d = pool2d({
  value: mean,
  giveBack(gradInput, { window, area, gradient }) {
    for (const index of window) gradInput[index] += gradient / area;
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
  /** @param area Pixels of the window, padding included. */
  value(input: Float64Array, window: readonly number[], area: number): number;
  /** Adds the gradient of a window's value to those of its elements. */
  giveBack(gradInput: Float64Array, taken: {
    readonly input: Float64Array;
    readonly window: readonly number[];
    readonly area: number;
    readonly gradient: number;
  }): void;
}

function pool2d({ value, giveBack }: Pooling): LayerMath<Pool2dLayer> {
  return {
    forward(layer, { inputs: [input] }) {
      const outputs: number[] = [];
      const area = volume(layer.poolSize);
      forEachWindow(layer, input.length, (window) => outputs.push(value(input, window, area)));
      return Float64Array.from(outputs);
    },
    backward(layer, { inputs: [input], gradOutput }) {
      const gradInput = new Float64Array(input.length);
      const area = volume(layer.poolSize);
      forEachWindow(layer, input.length, (window, index) => {
        giveBack(gradInput, { input, window, area, gradient: gradOutput[index] });
      });
      return [gradInput];
    },
  };
}

function mean(input: Float64Array, window: readonly number[], area: number): number {
  let sum = 0;
  for (const index of window) sum += input[index];
  return sum / area;
}

function firstMaximum(input: Float64Array, window: readonly number[]): number {
  let best = window[0];
  for (const index of window) {
    if (input[index] > input[best] || Number.isNaN(input[index])) best = index;
  }
  return best;
}

/** Visits the windows in output order, each as the indices of its pixels in row order, without padding. */
function forEachWindow(
  layer: Pool2dLayer,
  inputLength: number,
  visit: (window: readonly number[], outputIndex: number) => void,
): void {
  const [, height, width] = layer.inputShape;
  const [, outHeight, outWidth] = layer.outputShape;
  const { poolSize, stride, padding } = layer;
  const planes = inputLength / (height * width);
  let outputIndex = 0;
  for (let plane = 0; plane < planes; plane++) {
    for (let y = 0; y < outHeight; y++) {
      for (let x = 0; x < outWidth; x++) {
        const [top, left] = [y * stride[0] - padding[0], x * stride[1] - padding[1]];
        const window: number[] = [];
        for (let row = Math.max(top, 0); row < Math.min(top + poolSize[0], height); row++) {
          for (
            let column = Math.max(left, 0);
            column < Math.min(left + poolSize[1], width);
            column++
          ) {
            window.push((plane * height + row) * width + column);
          }
        }
        visit(window, outputIndex++);
      }
    }
  }
}
