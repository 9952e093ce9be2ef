import {
  backend_util,
  type Conv2DAttrs,
  type FusedConv2DAttrs,
  type TensorInfo,
  util,
} from "npm:@tensorflow/tfjs-core@4.22.0";
import { addBiasAndActivate, isFusableBias } from "./fused.ts";
import type { Shape4D } from "./gradient_axes.ts";
import {
  padAfter,
  requireChannelsLast,
  requireFloat32,
  rowsAndColumns,
  type WindowAxis,
} from "./window.ts";
import type { Workspace, WorkspaceKernel } from "./workspace.ts";

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
    const { bias } = inputs;
    const fusesBias = isFusableBias(workspace, bias, info.outChannels);
    const product = convolve(
      workspace,
      kernelName,
      fusesBias && bias ? { x, filter, bias } : { x, filter },
      axes,
    );
    return addBiasAndActivate(workspace, product, {
      ...inputs,
      ...attrs,
      bias: fusesBias ? undefined : bias,
    });
  };
}

/** The kernels of the wasm backend that run XNNPACK's convolution. */
export type ConvolutionKernel =
  | "Conv2D"
  | "FusedConv2D"
  | "DepthwiseConv2dNative"
  | "FusedDepthwiseConv2D";

/** Tensors of a convolution in NHWC and HWIO; the bias only for the fused kernels. */
export interface ConvolutionInputs {
  x: TensorInfo;
  filter: TensorInfo;
  bias?: TensorInfo;
}

/** Runs a published convolution with exactly the window geometry given. */
export function convolve(
  workspace: Workspace,
  kernelName: ConvolutionKernel,
  inputs: ConvolutionInputs,
  axes: [WindowAxis, WindowAxis],
): TensorInfo {
  const { x, pad } = fitInput(workspace, inputs.x, axes);
  const [taps, inChannels, outChannels] = [
    axes[0].filterSize * axes[1].filterSize,
    ...inputs.filter.shape.slice(2),
  ];
  const isDepthwise = kernelName.includes("Depthwise");
  if (taps === 1 && (isDepthwise || inChannels * outChannels === 1)) {
    return scaleChannels(workspace, { ...inputs, x }, axes, pad);
  }
  const [product] = workspace.published(kernelName, { ...inputs, x }, {
    activation: "linear",
    strides: axes.map((axis) => axis.stride),
    dilations: axes.map((axis) => axis.dilation),
    pad,
    dataFormat: "NHWC",
  });
  return product;
}

/** A depthwise convolution with a single tap, of which XNNPACK makes -Infinity of NaN. */
function scaleChannels(
  workspace: Workspace,
  { x, filter, bias }: ConvolutionInputs,
  axes: [WindowAxis, WindowAxis],
  paddings: backend_util.ExplicitPadding,
): TensorInfo {
  const padded = workspace.run("PadV2", { x }, { paddings, constantValue: 0 });
  const strides = [1, axes[0].stride, axes[1].stride, 1];
  const end = padded.shape;
  const none = { beginMask: 0, endMask: 0, ellipsisMask: 0, newAxisMask: 0, shrinkAxisMask: 0 };
  const images = workspace.run(
    "StridedSlice",
    { x: padded },
    { begin: [0, 0, 0, 0], end, strides, ...none },
  );
  const [inChannels, multiplier] = filter.shape.slice(2);
  const a = workspace.reshape(images, [...images.shape, 1]);
  const b = workspace.reshape(filter, [inChannels, multiplier]);
  const product = workspace.run("Multiply", { a, b });
  product.shape = [...images.shape.slice(0, 3), inChannels * multiplier];
  return bias ? workspace.run("Add", { a: product, b: bias }) : product;
}

/** Fits an input to XNNPACK, which computes the output size from explicit padding by itself.
 *
 * It writes as many values as it computes, and outside memory where they are more than were
 * allocated. So the padding is the one that yields just the windows wanted, and inputs that would
 * make room for one more window are cut off.
 */
export function fitInput(
  workspace: Workspace,
  x: TensorInfo,
  axes: [WindowAxis, WindowAxis],
): { x: TensorInfo; pad: backend_util.ExplicitPadding } {
  const [batchSize, , , channels] = x.shape;
  const begin = axes.map(cutBefore);
  const size = axes.map((axis, i) => axis.inSize - begin[i] - cutAfter(axis));
  if (Math.min(...size) <= 0) {
    // Every window lies in the padding: one zero, the rest padding.
    const [height, width] = axes.map(spanOf);
    const zero = workspace.zeros([batchSize, 1, 1, channels]);
    return { x: zero, pad: [[0, 0], [height - 1, 0], [width - 1, 0], [0, 0]] };
  }
  const [rowPad, columnPad] = axes.map(explicitPad);
  const pad: backend_util.ExplicitPadding = [[0, 0], rowPad, columnPad, [0, 0]];
  if (axes.every((axis, i) => size[i] === axis.inSize)) return { x, pad };
  const part = { begin: [0, ...begin, 0], size: [batchSize, ...size, channels] };
  return { x: workspace.run("Slice", { x }, part), pad };
}

function explicitPad(axis: WindowAxis): [number, number] {
  return [Math.max(0, axis.padBefore), Math.max(0, padAfter(axis))];
}

function cutBefore(axis: WindowAxis): number {
  return Math.max(0, -axis.padBefore);
}

/** Unread inputs at the end matter only once another window would fit on them. */
function cutAfter(axis: WindowAxis): number {
  const unread = -padAfter(axis);
  return unread >= axis.stride ? unread : 0;
}

/** Inputs and padding from the start of the first window to the end of the last. */
function spanOf(axis: WindowAxis): number {
  return (axis.outSize - 1) * axis.stride + (axis.filterSize - 1) * axis.dilation + 1;
}
