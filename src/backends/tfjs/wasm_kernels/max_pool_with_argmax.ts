import { backend_util, type MaxPoolWithArgmaxAttrs } from "@tensorflow/tfjs";
import type { Shape4D } from "./gradient_axes.ts";
import { rowsAndColumns, SINGLE_POSITION } from "./window.ts";
import { forEachWindow } from "./window_pool.ts";
import type { WorkspaceKernel } from "./workspace.ts";

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
