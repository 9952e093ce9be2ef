/** Convolution, forward and backward; a linear layer is one of 1x1 over maps of one pixel. */

import type { Pair } from "../../../nn/layers/layer.ts";
import type { Conv2dLayer, LinearLayer } from "../../../nn/sequential.ts";
import { ELEMENT_BYTES, VECTOR_BYTES } from "../arena.ts";
import { locate, type Tensor } from "../tensors.ts";
import type { BlockCall, LayerCode, Rows, Stage, Thread, WeightCalls } from "./layer.ts";

type Convolution = Conv2dLayer | LinearLayer;

/** See `conv2d` of the reference. */
export const conv2d: LayerCode<Conv2dLayer> = {
  memory: ({ padding }) => ({ padding, output: "new", gradient: "new" }),
  sizes: convolutionSizes,
  packedBytes: ({ weight }) => 4 * weight.size,
  sumsBytes: ({ weight, bias }) => VECTOR_BYTES * (weight.size + bias.size),
  forward: convolve,
  backward(thread, stage) {
    const { kernels, own, ones, groupBytes } = thread;
    const { layer, inputs: [input], gradOutput, shape, sums } = stage;
    return [
      (block, group) =>
        kernels.conv2dWeightGradient(
          shape,
          locateCorner(input, layer.padding, { own, block }),
          locate(gradOutput!, own, block),
          ones,
          sums + group * groupBytes,
        ),
      ...inputGradient(thread, stage),
    ];
  },
  weights(thread, stage, { firstRow, lastRow }) {
    const { kernels, gradients, groupBytes } = thread;
    const { layer: { weight, bias }, shape, sums } = stage;
    return {
      reduce: (groups) =>
        kernels.conv2dReduceGradients(
          shape,
          sums,
          groupBytes,
          groups,
          firstRow,
          lastRow,
          gradients + 4 * weight.offset,
          gradients + 4 * bias.offset,
        ),
      pack: packRows(thread, stage, { firstRow, lastRow }),
    };
  },
};

/** The forward call of a layer that multiplies. */
export function convolve(
  { kernels, own, parameters }: Thread,
  { layer, inputs: [input], output, shape, packedForward }: Stage<Convolution>,
): BlockCall {
  const bias = parameters + 4 * layer.bias.offset;
  const { padding } = geometryOf(layer);
  return (block) =>
    kernels.conv2dForward(
      shape,
      locateCorner(input, padding, { own, block }),
      packedForward,
      bias,
      locate(output, own, block),
    );
}

/** The call that computes its input's gradient, if that is needed. */
export function inputGradient(
  { kernels, own }: Thread,
  { gradInputs: [target], gradOutput, shape, packedBackward }: Stage<Convolution>,
): BlockCall[] {
  if (target === undefined) return [];
  return [(block) =>
    kernels.conv2dInputGradient(
      shape,
      locate(gradOutput!, own, block),
      packedBackward,
      locate(target.tensor, own, block),
    )];
}

/** Packing its weights, as the forward pass and the input gradient read them. */
export function packRows(
  { kernels, parameters }: Thread,
  { layer, shape, packedForward, packedBackward }: Stage<Convolution>,
  { firstRow, lastRow }: Rows,
): WeightCalls["pack"] {
  const weight = parameters + 4 * layer.weight.offset;
  return () => {
    kernels.packForward(shape, weight, firstRow, lastRow, packedForward);
    if (packedBackward !== 0) {
      kernels.packBackward(shape, weight, firstRow, lastRow, packedBackward);
    }
  };
}

/** The fields of Conv2dShape. */
export function convolutionSizes(layer: Convolution, input: Tensor, output: Tensor): number[] {
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

function geometryOf(layer: Convolution): Pick<Conv2dLayer, "kernelSize" | "stride" | "padding"> {
  return "kernelSize" in layer ? layer : { kernelSize: [1, 1], stride: [1, 1], padding: [0, 0] };
}

/** Where the zeros begin that a layer needs around its input, which may have more. */
export function locateCorner(
  tensor: Tensor,
  [rows, columns]: Pair,
  { own, block }: { readonly own: number; readonly block: number },
): number {
  const border = rows * tensor.rowBytes + columns * tensor.channels * ELEMENT_BYTES;
  return locate(tensor, own, block) - border;
}
