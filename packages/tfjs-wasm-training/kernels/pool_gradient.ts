import type {
  AvgPoolGradAttrs,
  MaxPool3DGradAttrs,
  MaxPoolGradAttrs,
  TensorInfo,
} from "npm:@tensorflow/tfjs-core@4.22.0";
import { pool3dGradientAxes, poolGradientAxes } from "./gradient_axes.ts";
import { forEachWindow, type PoolAxes } from "./pool.ts";
import { requireFloat32, SINGLE_POSITION } from "./window.ts";
import type { Workspace, WorkspaceKernel } from "./workspace.ts";

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

/** Gradient of 2D max pooling: a window's gradient goes to its maximum, the first of equal ones.
 *
 * Shapes: dy [batch, outHeight, outWidth, channels] -> input [batch, height, width, channels].
 *
 * The published kernel starts its search at the smallest positive number, and so finds no maximum
 * in a window of negative values.
 */
export const maxPoolGrad: WorkspaceKernel<"dy" | "input", MaxPoolGradAttrs> = (
  workspace,
  { dy, input },
  { filterSize, strides, pad, dimRoundingMode },
) => {
  const opName = "MaxPoolGrad";
  requireFloat32(opName, { dy });
  const axes = poolGradientAxes(
    { opName, filterSize, strides, pad, dimRoundingMode },
    input.shape,
    dy.shape,
  );
  return scatterToMaximum(workspace, dy, input, [SINGLE_POSITION, ...axes], "first");
};

/** Gradient of 3D max pooling; of equal maxima the last is taken, as on TensorFlow.js's `cpu`.
 *
 * Shapes: dy [batch, outDepth, outHeight, outWidth, channels] -> input [batch, depth, height, width,
 * channels].
 */
export const maxPool3dGrad: WorkspaceKernel<"dy" | "input", MaxPool3DGradAttrs> = (
  workspace,
  { dy, input },
  { filterSize, strides, pad, dimRoundingMode },
) => {
  const opName = "MaxPool3DGrad";
  requireFloat32(opName, { dy });
  const axes = pool3dGradientAxes(
    { opName, filterSize, strides, pad, dimRoundingMode },
    input.shape,
    dy.shape,
  );
  return scatterToMaximum(workspace, dy, input, axes, "last");
};

function scatterToMaximum(
  workspace: Workspace,
  dy: TensorInfo,
  input: TensorInfo,
  axes: PoolAxes,
  ofEqual: "first" | "last",
): TensorInfo {
  const [batchSize] = input.shape;
  const channels = input.shape[input.shape.length - 1];
  const dx = workspace.zeros(input.shape);
  const values = workspace.view(input);
  const errors = workspace.floats(dy);
  const gradient = workspace.floats(dx);
  const takeLast = ofEqual === "last";
  forEachWindow(batchSize, channels, axes, (output, inputs, count) => {
    for (let c = 0; c < channels; c++) {
      let maximum = -Infinity;
      let position = -1;
      for (let i = 0; i < count; i++) {
        const value = values[inputs[i] + c];
        if (value > maximum || (takeLast && value === maximum)) {
          maximum = value;
          position = inputs[i] + c;
        }
      }
      if (position >= 0) gradient[position] += errors[output + c];
    }
  });
  return dx;
}
