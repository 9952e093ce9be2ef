import {
  backend_util,
  type Dilation2DAttrs,
  type TensorInfo,
} from "npm:@tensorflow/tfjs-core@4.22.0";
import type { Shape4D } from "./gradient_axes.ts";
import { rowsAndColumns, type WindowAxis } from "./window.ts";
import type { Workspace, WorkspaceKernel } from "./workspace.ts";

/** Grayscale dilation: the largest sum of a window's value and the filter's.
 *
 * Shapes: x [batch, height, width, channels], filter [filterHeight, filterWidth, channels] ->
 * [batch, outHeight, outWidth, channels].
 *
 * The published kernels start their search at the smallest positive number.
 */
export const dilation2d: WorkspaceKernel<"x" | "filter", Dilation2DAttrs> = (
  workspace,
  { x, filter },
  attrs,
) => {
  const { axes, outShape } = dilationAxes("Dilation2D", x, filter, attrs);
  const dilated = workspace.allocate(outShape, x.dtype);
  const to = workspace.view(dilated);
  forEachMaximum(workspace, x, filter, axes, (output, _input, _tap, maximum) => {
    to[output] = maximum;
  });
  return dilated;
};

/** Gradients of a dilation with respect to its input or filter: an output's gradient goes to its
 * maximum, the first of equal ones, as on TensorFlow.js's `cpu`.
 */
export function dilationGradient(of: "x" | "filter"): WorkspaceKernel<
  "x" | "filter" | "dy",
  Dilation2DAttrs
> {
  const opName = of === "x" ? "Dilation2DBackpropInput" : "Dilation2DBackpropFilter";
  return (workspace, { x, filter, dy }, attrs) => {
    const { axes, outShape } = dilationAxes(opName, x, filter, attrs);
    if (outShape.some((size, axis) => size !== dy.shape[axis])) {
      throw new TypeError(
        `Cannot run ${opName} as dy must be [${outShape}], the shape of the forward output: ` +
          `found [${dy.shape}]`,
      );
    }
    const operand = of === "x" ? x : filter;
    const gradient = workspace.zeros(operand.shape, operand.dtype);
    const errors = workspace.view(dy);
    const sums = workspace.view(gradient);
    forEachMaximum(workspace, x, filter, axes, (output, input, tap) => {
      sums[of === "x" ? input : tap] += errors[output];
    });
    return gradient;
  };
}

function dilationAxes(
  opName: string,
  x: TensorInfo,
  filter: TensorInfo,
  { strides, pad, dilations }: Dilation2DAttrs,
): { axes: [WindowAxis, WindowAxis]; outShape: number[] } {
  const info = backend_util.computeDilation2DInfo(
    x.shape as Shape4D,
    filter.shape as [number, number, number],
    strides,
    pad,
    "NHWC",
    dilations,
  );
  return { axes: rowsAndColumns(opName, info), outShape: info.outShape };
}

/** Calls `visit` for every output with its index, those of the input and the filter's value whose sum
 * is its maximum, and the maximum.
 */
function forEachMaximum(
  workspace: Workspace,
  x: TensorInfo,
  filter: TensorInfo,
  [rows, columns]: [WindowAxis, WindowAxis],
  visit: (output: number, input: number, tap: number, maximum: number) => void,
): void {
  const [batchSize, height, width, channels] = x.shape;
  const values = workspace.view(x);
  const weights = workspace.view(filter);
  let output = 0;
  for (let image = 0; image < batchSize; image++) {
    for (let r = 0; r < rows.outSize; r++) {
      for (let c = 0; c < columns.outSize; c++) {
        for (let channel = 0; channel < channels; channel++, output++) {
          const [top, left] = [
            r * rows.stride - rows.padBefore,
            c * columns.stride - columns.padBefore,
          ];
          // Where cpu starts its search, and what it takes for found in a window without a number.
          let maximum = Number.MIN_SAFE_INTEGER;
          let input = ((image * height + Math.max(0, top)) * width + Math.max(0, left)) * channels +
            channel;
          let tap = channel;
          for (let i = 0; i < rows.filterSize * columns.filterSize; i++) {
            const y = top + Math.floor(i / columns.filterSize) * rows.dilation;
            const z = left + i % columns.filterSize * columns.dilation;
            if (y < 0 || y >= height || z < 0 || z >= width) continue;
            const place = ((image * height + y) * width + z) * channels + channel;
            const sum = values[place] + weights[i * channels + channel];
            if (sum > maximum) [maximum, input, tap] = [sum, place, i * channels + channel];
          }
          visit(output, input, tap, maximum);
        }
      }
    }
  }
}
