import {
  type DepthwiseConv2dNativeBackpropFilterAttrs,
  type DepthwiseConv2dNativeBackpropInputAttrs,
  type TensorInfo,
  util,
} from "npm:@tensorflow/tfjs-core@4.22.0";
import { convolve } from "./conv2d.ts";
import { convolutionGradientAxes } from "./gradient_axes.ts";
import { requireFloat32, type WindowAxis } from "./window.ts";
import type { Workspace, WorkspaceKernel } from "./workspace.ts";

/** Gradient of a depthwise convolution with respect to its input.
 *
 * Shapes: dy [batch, outHeight, outWidth, inChannels * multiplier], filter [filterHeight,
 * filterWidth, inChannels, multiplier] -> inputShape [batch, height, width, inChannels].
 *
 * It is itself a depthwise convolution of stride 1: of dy, its values `stride` apart with zeros
 * between, by the filter turned by 180 degrees; then a sum over each input channel's multiples.
 */
export const depthwiseBackpropInput: WorkspaceKernel<
  "dy" | "filter",
  DepthwiseConv2dNativeBackpropInputAttrs
> = (
  workspace,
  { dy, filter },
  { strides, dilations, pad, dimRoundingMode, inputShape },
) => {
  const opName = "DepthwiseConv2dNativeBackpropInput";
  requireFloat32(opName, { dy, filter });
  const axes = convolutionGradientAxes(
    { opName, strides, dilations, pad, dimRoundingMode, depthwise: true },
    inputShape,
    filter.shape,
    dy.shape,
  );
  if (util.sizeFromShape(inputShape) === 0 || util.sizeFromShape(dy.shape) === 0) {
    return workspace.zeros(inputShape);
  }
  const x = spreadOut(workspace, dy, axes);
  const [rows, columns] = axes.map((axis, i): WindowAxis => ({
    inSize: x.shape[1 + i],
    outSize: axis.inSize,
    filterSize: axis.filterSize,
    stride: 1,
    dilation: 1,
    padBefore: axis.filterSize - 1 - axis.padBefore,
  }));
  const turned = turnFilter(workspace, filter);
  const multiples = convolve(
    workspace,
    "DepthwiseConv2dNative",
    { x, filter: turned },
    [rows, columns],
  );
  const multiplier = filter.shape[3];
  if (multiplier === 1) return multiples;
  multiples.shape = [...inputShape, multiplier];
  return workspace.run("Sum", { x: multiples }, { axis: 4, keepDims: false });
};

/** Puts `stride - 1` zeros between neighbours along rows and columns. */
function spreadOut(
  workspace: Workspace,
  dy: TensorInfo,
  [rows, columns]: [WindowAxis, WindowAxis],
): TensorInfo {
  if (rows.stride === 1 && columns.stride === 1) return dy;
  const [batchSize, outHeight, outWidth, channels] = dy.shape;
  const height = (outHeight - 1) * rows.stride + 1;
  const width = (outWidth - 1) * columns.stride + 1;
  const spread = workspace.zeros([batchSize, height, width, channels]);
  const from = workspace.floats(dy);
  const to = workspace.floats(spread);
  let source = 0;
  for (let image = 0; image < batchSize; image++) {
    for (let y = 0; y < outHeight; y++) {
      let target = (image * height + y * rows.stride) * width * channels;
      for (let x = 0; x < outWidth; x++) {
        for (let c = 0; c < channels; c++) to[target + c] = from[source + c];
        source += channels;
        target += columns.stride * channels;
      }
    }
  }
  return spread;
}

/** [height, width, in, multiplier] -> [height, width, in * multiplier, 1], turned by 180 degrees. */
function turnFilter(workspace: Workspace, filter: TensorInfo): TensorInfo {
  const [height, width, inChannels, multiplier] = filter.shape;
  const channels = inChannels * multiplier;
  const turned = workspace.allocate([height, width, channels, 1]);
  const from = workspace.floats(filter);
  const to = workspace.floats(turned);
  const lastTap = height * width - 1;
  for (let tap = 0; tap <= lastTap; tap++) {
    to.set(from.subarray(tap * channels, (tap + 1) * channels), (lastTap - tap) * channels);
  }
  return turned;
}

/** Gradient of a depthwise convolution with respect to its filter.
 *
 * Shapes: x [batch, height, width, inChannels], dy [batch, outHeight, outWidth,
 * inChannels * multiplier] -> [filterHeight, filterWidth, inChannels, multiplier].
 */
export const depthwiseBackpropFilter: WorkspaceKernel<
  "x" | "dy",
  DepthwiseConv2dNativeBackpropFilterAttrs
> = (
  workspace,
  { x, dy },
  { strides, dilations, pad, dimRoundingMode, filterShape },
) => {
  const opName = "DepthwiseConv2dNativeBackpropFilter";
  requireFloat32(opName, { x, dy });
  const [rows, columns] = convolutionGradientAxes(
    { opName, strides, dilations, pad, dimRoundingMode, depthwise: true },
    x.shape,
    filterShape,
    dy.shape,
  );
  const [batchSize, height, width, inChannels] = x.shape;
  const multiplier = filterShape[3];
  const outChannels = inChannels * multiplier;
  const gradient = workspace.allocate(filterShape);
  const images = workspace.floats(x);
  const errors = workspace.floats(dy);
  // Summed in float64: a filter tap adds up every position of the batch.
  const sums = new Float64Array(rows.filterSize * columns.filterSize * outChannels);
  let error = 0;
  for (let image = 0; image < batchSize; image++) {
    for (let outRow = 0; outRow < rows.outSize; outRow++) {
      for (let outColumn = 0; outColumn < columns.outSize; outColumn++) {
        const top = outRow * rows.stride - rows.padBefore;
        const left = outColumn * columns.stride - columns.padBefore;
        const tapRowEnd = Math.min(rows.filterSize, height - top);
        const tapColumnEnd = Math.min(columns.filterSize, width - left);
        for (let tapRow = Math.max(0, -top); tapRow < tapRowEnd; tapRow++) {
          for (let tapColumn = Math.max(0, -left); tapColumn < tapColumnEnd; tapColumn++) {
            const pixel = ((image * height + top + tapRow) * width + left + tapColumn) * inChannels;
            let sum = (tapRow * columns.filterSize + tapColumn) * outChannels;
            if (multiplier === 1) {
              for (let c = 0; c < inChannels; c++) {
                sums[sum + c] += images[pixel + c] * errors[error + c];
              }
            } else {
              for (let c = 0, o = error; c < inChannels; c++) {
                for (let m = 0; m < multiplier; m++) sums[sum++] += images[pixel + c] * errors[o++];
              }
            }
          }
        }
        error += outChannels;
      }
    }
  }
  workspace.floats(gradient).set(sums);
  return gradient;
};
