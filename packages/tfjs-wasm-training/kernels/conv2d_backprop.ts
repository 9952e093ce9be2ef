import {
  type Conv2DBackpropFilterAttrs,
  type Conv2DBackpropInputAttrs,
  type TensorInfo,
  util,
} from "npm:@tensorflow/tfjs-core@4.22.0";
import { convolve } from "./conv2d.ts";
import { convolutionGradientAxes } from "./gradient_axes.ts";
import { requireChannelsLast, requireFloat32, type WindowAxis } from "./window.ts";
import type { Workspace, WorkspaceKernel } from "./workspace.ts";

/** Gradient of a convolution with respect to its input, which is also the transposed convolution.
 *
 * Shapes: dy [batch, outHeight, outWidth, outChannels], filter [filterHeight, filterWidth,
 * inChannels, outChannels] -> inputShape [batch, height, width, inChannels].
 *
 * It is itself a convolution, of dy. One position of that convolution yields a whole block of
 * neighbouring inputs as its channels, each input with the filter taps that reach it. Blocks as
 * large as the stride avoid multiplying the zeros that a strided gradient otherwise has between its
 * values; wider blocks fill XNNPACK's channel tile when there are few input channels.
 */
export const conv2dBackpropInput: WorkspaceKernel<"dy" | "filter", Conv2DBackpropInputAttrs> = (
  workspace,
  inputs,
  { strides, pad, dataFormat, dimRoundingMode, inputShape },
) => {
  const opName = "Conv2DBackpropInput";
  const { filter } = inputs;
  requireChannelsLast(opName, dataFormat);
  requireFloat32(opName, { dy: inputs.dy, filter });
  const [rows, columns] = convolutionGradientAxes(
    { opName, strides, pad, dimRoundingMode, depthwise: false, ignoreExcess: true },
    inputShape,
    filter.shape,
    inputs.dy.shape,
  );
  const [batchSize, outHeight, outWidth, outChannels] = inputs.dy.shape;
  const size = [batchSize, rows.outSize, columns.outSize, outChannels];
  const dy = rows.outSize === outHeight && columns.outSize === outWidth
    ? inputs.dy
    : workspace.run("Slice", { x: inputs.dy }, { begin: [0, 0, 0, 0], size });
  if (util.sizeFromShape(inputShape) === 0 || util.sizeFromShape(dy.shape) === 0) {
    return workspace.zeros(inputShape);
  }
  const rowBlocks = blocksOf(rows, 1);
  const columnBlocks = cheapestBlocks(columns, rowBlocks.size * inputShape[3]);
  const blockFilter = rearrangeFilter(workspace, filter, rowBlocks, columnBlocks);
  const blocks = convolve(
    workspace,
    "Conv2D",
    { x: dy, filter: blockFilter },
    [rowBlocks.axis, columnBlocks.axis],
  );
  return joinBlocks(workspace, blocks, inputShape, rowBlocks.size, columnBlocks.size);
};

/** A partition of one axis of the input into blocks, and the window on dy that yields each. */
interface Blocks {
  /** Inputs in a block: a multiple of the forward stride. */
  size: number;
  axis: WindowAxis;
  /** The tap of the window on dy where forward tap `tap` reaches input `i` of a block, if it does. */
  windowTap(i: number, tap: number): number | undefined;
}

/** Input `i` gets `dy[o] * filter[tap]` wherever `i = o * stride + tap - padBefore`. */
function blocksOf(forward: WindowAxis, stepsPerBlock: number): Blocks {
  const { stride, padBefore, filterSize } = forward;
  const size = stride * stepsPerBlock;
  const first = Math.ceil((padBefore - filterSize + 1) / stride);
  const last = Math.floor((size - 1 + padBefore) / stride);
  return {
    size,
    axis: {
      inSize: forward.outSize,
      outSize: Math.ceil(forward.inSize / size),
      filterSize: last - first + 1,
      stride: stepsPerBlock,
      dilation: 1,
      padBefore: -first,
    },
    windowTap(i, tap) {
      const o = (i + padBefore - tap) / stride;
      return Number.isInteger(o) ? o - first : undefined;
    },
  };
}

/** XNNPACK computes output channels eight at a time; idle lanes cost as much as used ones. */
const CHANNEL_TILE = 8;

function cheapestBlocks(forward: WindowAxis, channels: number): Blocks {
  let best = blocksOf(forward, 1);
  let lowestCost = Infinity;
  for (let stepsPerBlock = 1; stepsPerBlock <= CHANNEL_TILE; stepsPerBlock++) {
    const blocks = blocksOf(forward, stepsPerBlock);
    const tiles = Math.ceil(blocks.size * channels / CHANNEL_TILE);
    const cost = blocks.axis.outSize * blocks.axis.filterSize * tiles;
    if (cost < lowestCost) {
      lowestCost = cost;
      best = blocks;
    }
  }
  return best;
}

/** [filterHeight, filterWidth, in, out] -> [windowHeight, windowWidth, out, row * column * in]. */
function rearrangeFilter(
  workspace: Workspace,
  filter: TensorInfo,
  rows: Blocks,
  columns: Blocks,
): TensorInfo {
  const [filterHeight, filterWidth, inChannels, outChannels] = filter.shape;
  const windowWidth = columns.axis.filterSize;
  const blockChannels = rows.size * columns.size * inChannels;
  const result = workspace.zeros([rows.axis.filterSize, windowWidth, outChannels, blockChannels]);
  const from = workspace.floats(filter);
  const to = workspace.floats(result);
  for (let row = 0; row < rows.size; row++) {
    for (let column = 0; column < columns.size; column++) {
      const blockChannel = (row * columns.size + column) * inChannels;
      for (let tapRow = 0; tapRow < filterHeight; tapRow++) {
        for (let tapColumn = 0; tapColumn < filterWidth; tapColumn++) {
          const windowRow = rows.windowTap(row, tapRow);
          const windowColumn = columns.windowTap(column, tapColumn);
          if (windowRow === undefined || windowColumn === undefined) continue;
          let source = (tapRow * filterWidth + tapColumn) * inChannels * outChannels;
          const target = (windowRow * windowWidth + windowColumn) * outChannels * blockChannels;
          for (let i = 0; i < inChannels; i++) {
            for (let o = 0; o < outChannels; o++) {
              to[target + o * blockChannels + blockChannel + i] = from[source++];
            }
          }
        }
      }
    }
  }
  return result;
}

/** [batch, blockRows, blockColumns, row * column * channel] -> [batch, height, width, channels]. */
function joinBlocks(
  workspace: Workspace,
  blocks: TensorInfo,
  outShape: number[],
  blockHeight: number,
  blockWidth: number,
): TensorInfo {
  const [batchSize, height, width, channels] = outShape;
  const [, blockRows, blockColumns] = blocks.shape;
  if (blockHeight === 1 && blockColumns * blockWidth === width) {
    blocks.shape = outShape;
    return blocks;
  }
  const joined = workspace.allocate(outShape);
  const from = workspace.floats(blocks);
  const to = workspace.floats(joined);
  const rowSize = blockWidth * channels;
  let target = 0;
  for (let image = 0; image < batchSize; image++) {
    for (let y = 0; y < height; y++) {
      const blockRow = image * blockRows + Math.floor(y / blockHeight);
      for (let blockColumn = 0; blockColumn < blockColumns; blockColumn++) {
        const block = (blockRow * blockColumns + blockColumn) * blockHeight;
        const source = (block + y % blockHeight) * rowSize;
        const length = Math.min(rowSize, (width - blockColumn * blockWidth) * channels);
        for (let i = 0; i < length; i++) to[target++] = from[source + i];
      }
    }
  }
  return joined;
}

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
