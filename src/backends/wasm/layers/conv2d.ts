/** Convolution, forward and backward; a linear layer is one of 1x1 over maps of one pixel. */

import type { Pair } from "../../../nn/layers/layer.ts";
import type { Conv2dLayer, LinearLayer } from "../../../nn/sequential.ts";
import { ELEMENT_BYTES, VECTOR_BYTES } from "../arena.ts";
import { type BlockTensor, locate } from "../tensors.ts";
import type { BlockCall, LayerCode, Rows, Stage, Thread } from "./layer.ts";

type Convolution = Conv2dLayer | LinearLayer;

/** See `conv2d` of the reference. */
export const conv2d: LayerCode<Conv2dLayer> = {
  isLinear: true,
  memory: ({ padding }) => ({ padding, rereads: true, output: "new", gradient: "new" }),
  sizes: convolutionSizes,
  packedBytes: ({ groups, weight }) => groups > 1 ? 0 : 4 * weight.size,
  sumsBytes: ({ weight, outputShape: [outChannels] }) => VECTOR_BYTES * (weight.size + outChannels),
  forward: convolve,
  backward(thread, stage) {
    const { kernels, own, ones, groupBytes } = thread;
    const { layer, inputs: [input], gradOutput, shape, sums } = stage;
    if (!layer.weight.trained) return inputGradient(thread, stage);
    const weightGradient: BlockCall = (block, group) => {
      const from = locateCorner(input, layer.padding, { own, block });
      const gradient = locate(gradOutput!, own, block);
      const to = sums + group * groupBytes;
      if (layer.groups > 1) {
        kernels.groupedConv2dWeightGradient(shape, layer.groups, from, gradient, to);
      } else {
        kernels.conv2dWeightGradient(shape, from, gradient, ones, to);
      }
    };
    return [weightGradient, ...inputGradient(thread, stage)];
  },
  weights(thread, stage, { firstRow, lastRow }) {
    const { kernels, gradients, groupBytes } = thread;
    const { layer, shape, sums } = stage;
    const { weight, groups: channelGroups, outputShape: [outChannels] } = layer;
    const pack = channelGroups > 1 ? undefined : packRows(thread, stage, { firstRow, lastRow });
    if (!weight.trained) return { pack };
    const [gradWeight, gradBias] = [gradients + 4 * weight.offset, gradBiasOf(thread, layer)];
    if (channelGroups > 1) {
      const rowSize = weight.size / outChannels;
      return {
        reduce(groups) {
          const [first, last] = [firstRow * rowSize, lastRow * rowSize];
          const biases = sums + VECTOR_BYTES * weight.size;
          kernels.reduceLanes(sums, groupBytes, groups, first, last, gradWeight);
          kernels.reduceLanes(biases, groupBytes, groups, firstRow, lastRow, gradBias);
        },
      };
    }
    return {
      reduce: (groups) =>
        kernels.conv2dReduceGradients(
          shape,
          sums,
          groupBytes,
          groups,
          firstRow,
          lastRow,
          gradWeight,
          gradBias,
        ),
      pack,
    };
  },
};

/** The forward call of a layer that multiplies. */
export function convolve(
  thread: Thread,
  { layer, inputs: [input], output, shape, packedForward }: Stage<Convolution>,
): BlockCall {
  const { kernels, own, parameters } = thread;
  const weight = parameters + 4 * layer.weight.offset;
  const bias = biasOf(thread, layer);
  const { padding, groups } = geometryOf(layer);
  return (block) => {
    const from = locateCorner(input, padding, { own, block });
    const to = locate(output, own, block);
    if (groups > 1) kernels.groupedConv2dForward(shape, groups, from, weight, bias, to);
    else kernels.conv2dForward(shape, from, packedForward, bias, to);
  };
}

/** Where its biases are. */
export function biasOf({ parameters, noBias }: Thread, { bias }: Convolution): number {
  return bias ? parameters + 4 * bias.offset : noBias;
}

/** Where the gradients of its biases go. */
export function gradBiasOf({ gradients, noBiasGradient }: Thread, { bias }: Convolution): number {
  return bias ? gradients + 4 * bias.offset : noBiasGradient;
}

/** The call that computes its input's gradient, if that is needed. */
export function inputGradient(
  { kernels, own, parameters }: Thread,
  { layer, gradInputs: [target], gradOutput, shape, packedBackward }: Stage<Convolution>,
): BlockCall[] {
  if (target === undefined) return [];
  const { groups } = geometryOf(layer);
  const weight = parameters + 4 * layer.weight.offset;
  return [(block) => {
    const [from, to] = [locate(gradOutput!, own, block), locate(target.tensor, own, block)];
    if (groups > 1) kernels.groupedConv2dInputGradient(shape, groups, from, weight, to);
    else kernels.conv2dInputGradient(shape, from, packedBackward, to);
  }];
}

/** Packing its weights, as the forward pass and the input gradient read them. */
export function packRows(
  { kernels, parameters }: Thread,
  { layer, shape, packedForward, packedBackward }: Stage<Convolution>,
  { firstRow, lastRow }: Rows,
): () => void {
  const weight = parameters + 4 * layer.weight.offset;
  return () => {
    kernels.packForward(shape, weight, firstRow, lastRow, packedForward);
    if (packedBackward !== 0) {
      kernels.packBackward(shape, weight, firstRow, lastRow, packedBackward);
    }
  };
}

/** The fields of Conv2dShape. */
export function convolutionSizes(
  layer: Convolution,
  { inputs: [input], output }: Pick<Stage, "inputs" | "output">,
): number[] {
  const { kernelSize, stride, padding } = geometryOf(layer);
  return [
    input.channels,
    input.height,
    input.width,
    input.rowBytes,
    output.channels,
    output.height,
    output.width,
    output.rowBytes,
    ...kernelSize,
    ...stride,
    ...padding,
  ];
}

type Geometry = Pick<Conv2dLayer, "kernelSize" | "stride" | "padding" | "groups">;

const POINT: Geometry = { kernelSize: [1, 1], stride: [1, 1], padding: [0, 0], groups: 1 };

function geometryOf(layer: Convolution): Geometry {
  return "kernelSize" in layer ? layer : POINT;
}

/** Where the zeros begin that a layer needs around its input, which may have more. */
export function locateCorner(
  tensor: BlockTensor,
  [rows, columns]: Pair,
  { own, block }: { readonly own: number; readonly block: number },
): number {
  const border = rows * tensor.rowBytes + columns * tensor.channels * ELEMENT_BYTES;
  return locate(tensor, own, block) - border;
}
