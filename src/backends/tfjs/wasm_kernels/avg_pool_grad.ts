import type { AvgPoolGradAttrs } from "@tensorflow/tfjs";
import { poolGradientAxes } from "./gradient_axes.ts";
import { requireFloat32, SINGLE_POSITION } from "./window.ts";
import { forEachWindow } from "./window_pool.ts";
import type { WorkspaceKernel } from "./workspace.ts";

/** Gradient of 2D average pooling: every input of a window gets an equal share of its output's.
 *
 * Shapes: dy [batch, outHeight, outWidth, channels] -> input [batch, height, width, channels].
 *
 * As on TensorFlow.js's other backends the share is one over the window's size, also at a padded
 * border where the forward mean was taken over fewer inputs.
 */
export const avgPoolGrad: WorkspaceKernel<"dy" | "input", AvgPoolGradAttrs> = (
  workspace,
  { dy, input },
  { filterSize, strides, pad },
) => {
  const opName = "AvgPoolGrad";
  requireFloat32(opName, { dy });
  const [rows, columns] = poolGradientAxes(
    { opName, filterSize, strides, pad },
    input.shape,
    dy.shape,
  );
  const [batchSize, , , channels] = input.shape;
  const dx = workspace.zeros(input.shape);
  const errors = workspace.floats(dy);
  const gradient = workspace.floats(dx);
  const share = 1 / (rows.filterSize * columns.filterSize);
  forEachWindow(batchSize, channels, [SINGLE_POSITION, rows, columns], (output, inputs, count) => {
    for (let i = 0; i < count; i++) {
      const target = inputs[i];
      for (let c = 0; c < channels; c++) gradient[target + c] += errors[output + c] * share;
    }
  });
  return dx;
};
