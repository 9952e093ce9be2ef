import {
  type AvgPoolAttrs,
  backend_util,
  type MaxPool3DAttrs,
  type MaxPoolAttrs,
  type TensorInfo,
  util,
} from "@tensorflow/tfjs";
import { fitInput } from "./convolve.ts";
import type { Shape4D, Shape5D } from "./gradient_axes.ts";
import {
  depthRowsAndColumns,
  requireChannelsLast,
  rowsAndColumns,
  SINGLE_POSITION,
  type WindowAxis,
  windowEnds,
  windowStarts,
} from "./window.ts";
import { forEachWindow, type PoolAxes } from "./window_pool.ts";
import type { Workspace, WorkspaceKernel } from "./workspace.ts";

type Reduction = "maximum" | "mean";

/** A 2D pooling that is right for every padding, stride, window and numeric type.
 *
 * The published kernels write outside memory where XNNPACK's output size differs from
 * TensorFlow.js's, and take the bits of int32 values for float32.
 */
export function poolKernel(
  kernelName: "MaxPool" | "AvgPool",
): WorkspaceKernel<"x", MaxPoolAttrs | AvgPoolAttrs> {
  return (workspace, { x }, { filterSize, strides, pad, dimRoundingMode }) => {
    const info = backend_util.computePool2DInfo(
      x.shape as Shape4D,
      filterSize,
      strides,
      1,
      pad,
      dimRoundingMode,
    );
    const axes = rowsAndColumns(kernelName, info);
    const outShape = [info.batchSize, axes[0].outSize, axes[1].outSize, info.outChannels];
    if (util.sizeFromShape(outShape) === 0) return workspace.allocate(outShape, x.dtype);
    if (isTrivial(axes) && util.arraysEqual(outShape, x.shape)) return workspace.share(x);
    if (x.dtype !== "float32" || !axes.every(everyWindowHasInput)) {
      const reduction = kernelName === "MaxPool" ? "maximum" : "mean";
      return reduceWindows(workspace, x, outShape, [SINGLE_POSITION, ...axes], reduction);
    }
    const fitted = fitInput(workspace, x, axes);
    return workspace.run(kernelName, { x: fitted.x }, { filterSize, strides, pad: fitted.pad });
  };
}

/** 3D max pooling, right also where a window holds negative values only.
 *
 * Shapes: x [batch, depth, height, width, channels] -> [batch, outDepth, outHeight, outWidth,
 * channels].
 */
export const maxPool3d: WorkspaceKernel<"x", MaxPool3DAttrs> = (
  workspace,
  { x },
  { filterSize, strides, pad, dimRoundingMode, dataFormat },
) => {
  const opName = "MaxPool3D";
  requireChannelsLast(opName, dataFormat);
  const info = backend_util.computePool3DInfo(
    x.shape as Shape5D,
    filterSize,
    strides,
    1,
    pad,
    dimRoundingMode,
  );
  return reduceWindows(workspace, x, info.outShape, depthRowsAndColumns(opName, info), "maximum");
};

function reduceWindows(
  workspace: Workspace,
  x: TensorInfo,
  outShape: number[],
  axes: PoolAxes,
  reduction: Reduction,
): TensorInfo {
  const [batchSize] = x.shape;
  const channels = x.shape[x.shape.length - 1];
  const pooled = workspace.allocate(outShape, x.dtype);
  const from = workspace.view(x);
  const to = workspace.view(pooled);
  const reduce = reduction === "maximum" ? maximum : mean;
  forEachWindow(batchSize, channels, axes, (output, inputs, count) => {
    for (let c = 0; c < channels; c++) to[output + c] = reduce(from, inputs, count, c);
  });
  return pooled;
}

function maximum(values: ArrayLike<number>, inputs: Int32Array, count: number, c: number): number {
  let largest = -Infinity;
  for (let i = 0; i < count; i++) {
    if (values[inputs[i] + c] > largest) largest = values[inputs[i] + c];
  }
  return largest;
}

function mean(values: ArrayLike<number>, inputs: Int32Array, count: number, c: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += values[inputs[i] + c];
  return sum / count;
}

/** TensorFlow.js takes a window of one input for the identity, whatever the stride and padding. */
function isTrivial(axes: WindowAxis[]): boolean {
  return axes.every((axis) => axis.filterSize === 1);
}

function everyWindowHasInput(axis: WindowAxis): boolean {
  const ends = windowEnds(axis);
  return windowStarts(axis).every((start, o) => start < ends[o]);
}
