import {
  backend_util,
  type Conv3DBackpropFilterV2Attrs,
  type Conv3DBackpropInputV2Attrs,
} from "npm:@tensorflow/tfjs-core@4.22.0";
import { infoThatExplains, type Shape5D } from "./gradient_axes.ts";
import { depthRowsAndColumns, requireFloat32, type WindowAxis } from "./window.ts";
import type { WorkspaceKernel } from "./workspace.ts";

/** Gradient of a 3D convolution with respect to its filter.
 *
 * Shapes: x [batch, depth, height, width, inChannels], dy [batch, outDepth, outHeight, outWidth,
 * outChannels] -> [filterDepth, filterHeight, filterWidth, inChannels, outChannels].
 *
 * The published kernel is wrong for every stride but 1.
 */
export const conv3dBackpropFilter: WorkspaceKernel<"x" | "dy", Conv3DBackpropFilterV2Attrs> = (
  workspace,
  { x, dy },
  { strides, pad, filterShape },
) => {
  const opName = "Conv3DBackpropFilterV2";
  requireFloat32(opName, { x, dy });
  const axes = conv3dAxes(opName, { inputShape: x.shape, filterShape, strides, pad }, dy.shape);
  const inChannels = filterShape[3];
  const outChannels = filterShape[4];
  const gradient = workspace.zeros(filterShape);
  const images = workspace.floats(x);
  const errors = workspace.floats(dy);
  const sums = workspace.floats(gradient);
  forEachTap(x.shape[0], axes, (position, output, tap) => {
    let sum = tap * inChannels * outChannels;
    for (let i = 0; i < inChannels; i++) {
      const pixel = images[position * inChannels + i];
      for (let o = 0; o < outChannels; o++) sums[sum++] += pixel * errors[output * outChannels + o];
    }
  });
  return gradient;
};

/** Gradient of a 3D convolution with respect to its input, which is also the transposed convolution.
 *
 * Shapes: dy [batch, outDepth, outHeight, outWidth, outChannels], filter [filterDepth,
 * filterHeight, filterWidth, inChannels, outChannels] -> inputShape [batch, depth, height, width,
 * inChannels].
 *
 * The published kernel is wrong for more than one channel.
 */
export const conv3dBackpropInput: WorkspaceKernel<"dy" | "filter", Conv3DBackpropInputV2Attrs> = (
  workspace,
  { dy, filter },
  { strides, pad, inputShape },
) => {
  const opName = "Conv3DBackpropInputV2";
  requireFloat32(opName, { dy, filter });
  const forward = { inputShape, filterShape: filter.shape, strides, pad };
  const axes = conv3dAxes(opName, forward, dy.shape);
  const inChannels = filter.shape[3];
  const outChannels = filter.shape[4];
  const dx = workspace.zeros(inputShape);
  const weights = workspace.floats(filter);
  const errors = workspace.floats(dy);
  const sums = workspace.floats(dx);
  forEachTap(inputShape[0], axes, (position, output, tap) => {
    let weight = tap * inChannels * outChannels;
    for (let i = 0; i < inChannels; i++) {
      let sum = 0;
      for (let o = 0; o < outChannels; o++) {
        sum += weights[weight++] * errors[output * outChannels + o];
      }
      sums[position * inChannels + i] += sum;
    }
  });
  return dx;
};

function conv3dAxes(
  opName: string,
  { inputShape, filterShape, strides, pad }: {
    inputShape: number[];
    filterShape: number[];
    strides: [number, number, number] | number;
    pad: "valid" | "same";
  },
  dyShape: number[],
): WindowAxis[] {
  const info = infoThatExplains({ opName }, dyShape, () =>
    backend_util.computeConv3DInfo(
      inputShape as Shape5D,
      filterShape as Shape5D,
      strides,
      1,
      pad,
    ));
  return depthRowsAndColumns(opName, info);
}

/** Calls `visit` for every filter tap that meets an input, with the numbers of the input position,
 * the output position and the tap. */
function forEachTap(
  batchSize: number,
  [depth, rows, columns]: WindowAxis[],
  visit: (position: number, output: number, tap: number) => void,
): void {
  let output = 0;
  for (let image = 0; image < batchSize; image++) {
    for (let d = 0; d < depth.outSize; d++) {
      for (let r = 0; r < rows.outSize; r++) {
        for (let c = 0; c < columns.outSize; c++, output++) {
          for (let tap = 0; tap < depth.filterSize * rows.filterSize * columns.filterSize; tap++) {
            const tapColumn = tap % columns.filterSize;
            const tapRow = Math.floor(tap / columns.filterSize) % rows.filterSize;
            const tapDepth = Math.floor(tap / columns.filterSize / rows.filterSize);
            const z = d * depth.stride + tapDepth - depth.padBefore;
            const y = r * rows.stride + tapRow - rows.padBefore;
            const x = c * columns.stride + tapColumn - columns.padBefore;
            if (z < 0 || z >= depth.inSize || y < 0 || y >= rows.inSize) continue;
            if (x < 0 || x >= columns.inSize) continue;
            visit(((image * depth.inSize + z) * rows.inSize + y) * columns.inSize + x, output, tap);
          }
        }
      }
    }
  }
}
