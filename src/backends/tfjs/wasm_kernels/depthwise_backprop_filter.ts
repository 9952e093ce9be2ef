import type { DepthwiseConv2dNativeBackpropFilterAttrs } from "@tensorflow/tfjs";
import { convolutionGradientAxes } from "./gradient_axes.ts";
import { requireFloat32 } from "./window.ts";
import type { WorkspaceKernel } from "./workspace.ts";

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
