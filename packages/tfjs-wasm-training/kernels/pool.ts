import {
  type AvgPoolAttrs,
  backend_util,
  type MaxPool3DAttrs,
  type MaxPoolAttrs,
  type MaxPoolWithArgmaxAttrs,
  type TensorInfo,
  util,
} from "npm:@tensorflow/tfjs-core@4.22.0";
import { fitInput } from "./conv2d.ts";
import { isAllFinite } from "./elementwise.ts";
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
    // XNNPACK makes -Infinity of NaN.
    const isSound = x.dtype === "float32" && axes.every(everyWindowHasInput) &&
      isAllFinite(workspace.floats(x));
    if (!isSound) {
      const reduction = kernelName === "MaxPool" ? "maximum" : "mean";
      return reduceWindows(workspace, x, outShape, [SINGLE_POSITION, ...axes], reduction);
    }
    const fitted = fitInput(workspace, x, axes);
    return workspace.published(
      kernelName,
      { x: fitted.x },
      { filterSize, strides, pad: fitted.pad },
    )[0];
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

/** 2D max pooling with the flat index of each maximum, the first of equal ones.
 *
 * Shapes: x [batch, height, width, channels] -> values and int32 indices [batch, outHeight,
 * outWidth, channels]. The index of a window without a number is -1.
 *
 * The published kernel finds no maximum in a window of negative values.
 */
export const maxPoolWithArgmax: WorkspaceKernel<"x", MaxPoolWithArgmaxAttrs> = (
  workspace,
  { x },
  { filterSize, strides, pad, includeBatchInIndex },
) => {
  if (x.shape.length !== 4) {
    throw new TypeError(
      `Cannot run MaxPoolWithArgmax as x must be [batch, height, width, channels]: found [${x.shape}]`,
    );
  }
  const info = backend_util.computePool2DInfo(x.shape as Shape4D, filterSize, strides, 1, pad);
  const axes = rowsAndColumns("MaxPoolWithArgmax", info);
  const [batchSize, height, width, channels] = x.shape;
  const pooled = workspace.allocate(info.outShape, x.dtype);
  const indices = workspace.allocate(info.outShape, "int32");
  const from = workspace.view(x);
  const to = workspace.view(pooled);
  const positions = workspace.view(indices);
  const imageSize = height * width * channels;
  forEachWindow(batchSize, channels, [SINGLE_POSITION, ...axes], (output, inputs, count) => {
    for (let c = 0; c < channels; c++) {
      let maximum = -Infinity;
      let position = -1;
      for (let i = 0; i < count; i++) {
        if (from[inputs[i] + c] > maximum) {
          position = inputs[i] + c;
          maximum = from[position];
        }
      }
      to[output + c] = maximum;
      const isInImage = position >= 0 && !includeBatchInIndex;
      positions[output + c] = isInImage ? position % imageSize : position;
    }
  });
  return [pooled, indices];
};

/** Depth, rows and columns of a pooling; a 2D one has a single depth. */
export type PoolAxes = [depth: WindowAxis, rows: WindowAxis, columns: WindowAxis];

/** Calls `visit` for every window of every image, in the order of the outputs.
 *
 * `output` is the index of the window's first output channel, `inputs` holds the index of the first
 * channel of each input in the window, in reading order, `count` how many there are.
 */
export function forEachWindow(
  batchSize: number,
  channels: number,
  axes: PoolAxes,
  visit: (output: number, inputs: Int32Array, count: number) => void,
): void {
  const [depth, rows, columns] = axes;
  const [depthStarts, rowStarts, columnStarts] = axes.map(windowStarts);
  const [depthEnds, rowEnds, columnEnds] = axes.map(windowEnds);
  const inputs = new Int32Array(depth.filterSize * rows.filterSize * columns.filterSize);
  let output = 0;
  for (let image = 0; image < batchSize; image++) {
    for (let d = 0; d < depth.outSize; d++) {
      for (let r = 0; r < rows.outSize; r++) {
        for (let c = 0; c < columns.outSize; c++) {
          let count = 0;
          for (let z = depthStarts[d]; z < depthEnds[d]; z++) {
            for (let y = rowStarts[r]; y < rowEnds[r]; y++) {
              const row = ((image * depth.inSize + z) * rows.inSize + y) * columns.inSize;
              for (let x = columnStarts[c]; x < columnEnds[c]; x++) {
                inputs[count++] = (row + x) * channels;
              }
            }
          }
          visit(output, inputs, count);
          output += channels;
        }
      }
    }
  }
}
