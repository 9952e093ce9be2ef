import { type Conv2DBackpropFilterAttrs, util } from "@tensorflow/tfjs";
import { convolve } from "./convolve.ts";
import { convolutionGradientAxes } from "./gradient_axes.ts";
import { requireChannelsLast, requireFloat32, type WindowAxis } from "./window.ts";
import type { WorkspaceKernel } from "./workspace.ts";

/** Gradient of a convolution with respect to its filter.
 *
 * Shapes: x [batch, height, width, inChannels], dy [batch, outHeight, outWidth, outChannels] ->
 * [filterHeight, filterWidth, inChannels, outChannels].
 *
 * It is itself a convolution: of x, with its channels as the batch and its batch as the channels,
 * by dy as the filter. The steps of the forward stride become the filter's dilation.
 */
export const conv2dBackpropFilter: WorkspaceKernel<"x" | "dy", Conv2DBackpropFilterAttrs> = (
  workspace,
  { x, dy },
  { strides, pad, dataFormat, dimRoundingMode, filterShape },
) => {
  const opName = "Conv2DBackpropFilter";
  requireChannelsLast(opName, dataFormat);
  requireFloat32(opName, { x, dy });
  const axes = convolutionGradientAxes(
    { opName, strides, pad, dimRoundingMode, depthwise: false },
    x.shape,
    filterShape,
    dy.shape,
  );
  if (util.sizeFromShape(x.shape) === 0 || util.sizeFromShape(dy.shape) === 0) {
    return workspace.zeros(filterShape);
  }
  const [rows, columns] = axes.map((axis): WindowAxis => ({
    ...axis,
    outSize: axis.filterSize,
    filterSize: axis.outSize,
    stride: 1,
    dilation: axis.stride,
  }));
  const images = workspace.transpose(x, [3, 1, 2, 0]);
  const filter = workspace.transpose(dy, [1, 2, 0, 3]);
  const gradient = convolve(workspace, "Conv2D", { x: images, filter }, [rows, columns]);
  return workspace.transpose(gradient, [1, 2, 0, 3]);
};
