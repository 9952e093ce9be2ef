import { backend_util, type Conv2DAttrs, type FusedConv2DAttrs, util } from "@tensorflow/tfjs";
import { type ConvolutionKernel, convolve } from "./convolve.ts";
import { addBiasAndActivate, isFusableBias } from "./fused.ts";
import type { Shape4D } from "./gradient_axes.ts";
import { requireChannelsLast, requireFloat32, rowsAndColumns } from "./window.ts";
import type { WorkspaceKernel } from "./workspace.ts";

type ConvolutionAttrs =
  & Pick<Conv2DAttrs, "strides" | "pad" | "dimRoundingMode">
  & Partial<Pick<Conv2DAttrs, "dilations" | "dataFormat">>
  & Partial<Pick<FusedConv2DAttrs, "activation" | "leakyreluAlpha">>;

/** A forward convolution that is right for every padding, stride and kernel size.
 *
 * Shapes: x [batch, height, width, inChannels], filter [filterHeight, filterWidth, inChannels,
 * outChannels] -> [batch, outHeight, outWidth, outChannels]; a depthwise filter's last axis is the
 * multiplier, and the output has inChannels * multiplier channels.
 *
 * The published kernels are wrong for 'same' padding with a kernel smaller than the stride, and
 * write outside memory where XNNPACK's output size differs from TensorFlow.js's: numeric padding
 * with a non-square kernel or stride, and every `dimRoundingMode` that rounds up.
 */
export function convolutionKernel(
  kernelName: ConvolutionKernel,
): WorkspaceKernel<"x" | "filter" | "bias" | "preluActivationWeights", ConvolutionAttrs> {
  const depthwise = kernelName.includes("Depthwise");
  return (workspace, inputs, attrs) => {
    const { x, filter } = inputs;
    requireChannelsLast(kernelName, attrs.dataFormat);
    requireFloat32(kernelName, { x, filter });
    const info = backend_util.computeConv2DInfo(
      x.shape as Shape4D,
      filter.shape as Shape4D,
      attrs.strides,
      attrs.dilations ?? 1,
      attrs.pad,
      attrs.dimRoundingMode,
      depthwise,
    );
    const axes = rowsAndColumns(kernelName, info);
    const outShape = [info.batchSize, axes[0].outSize, axes[1].outSize, info.outChannels];
    if (util.sizeFromShape(outShape) === 0) return workspace.allocate(outShape);
    const fusion = { ...inputs, ...attrs };
    if (!isFusableBias(workspace, fusion.bias, info.outChannels)) {
      const linear = { activation: "linear" };
      const product = convolve(workspace, kernelName, { x, filter }, axes, linear);
      return addBiasAndActivate(workspace, product, fusion);
    }
    const { activation, leakyreluAlpha } = attrs;
    return convolve(
      workspace,
      kernelName,
      inputs,
      axes,
      { activation, leakyreluAlpha },
    );
  };
}
