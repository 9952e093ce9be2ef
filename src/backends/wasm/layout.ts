/** Where everything lives: one address for each tensor of a model, the same on every thread. */

import type { Conv2dLayer, Layer, LinearLayer, Model, Pool2dLayer } from "../../nn/sequential.ts";
import { isTrainable, planTensors, type Tensor } from "./tensors.ts";
import { groupStarts } from "./groups.ts";
import { Arena, BLOCK, ELEMENT_BYTES, VECTOR_BYTES } from "./arena.ts";

/** Most images whose inputs of linear layers are kept at a time, to stay in the caches. */
const MAX_CHUNK = 256;

/** What a layout is made for. */
export interface LayoutOptions {
  readonly batchSize: number;
  readonly threads: number;
  /** Vectors that the optimiser keeps beside the parameters. */
  readonly slotCount: number;
}

/** A layer and the addresses that its kernels need; 0 where there is none. */
export interface Stage {
  readonly layer: Layer;
  readonly input: Tensor;
  readonly output: Tensor;
  /** Undefined where no gradient is needed, before the first layer with parameters. */
  readonly gradInput?: Tensor;
  readonly gradOutput?: Tensor;
  /** Sizes, as `shapes.ts` of the kernels reads them. */
  readonly shape: number;
  readonly sizes: readonly number[];
  /** Weights in the order of the forward pass, and of the input gradient. */
  readonly packedForward: number;
  readonly packedBackward: number;
  /** Sums of a convolution's weight gradients over the first group of blocks. */
  readonly sums: number;
  readonly sumsBytes: number;
}

/** Addresses of a session. */
export interface Layout {
  readonly stages: readonly Stage[];
  readonly images: Tensor;
  readonly logits: Tensor;
  readonly gradLogits: Tensor;
  /** Words through which threads meet, and the description of the work at hand. */
  readonly control: number;
  readonly job: number;
  /** One element full of ones. */
  readonly ones: number;
  readonly parameters: number;
  readonly gradients: number;
  readonly slots: readonly number[];
  /** Twelve vectors; private, as the tensors that are not shared: their addresses count from the
   * start of a thread's own memory. */
  readonly scratch: number;
  /** Convolutions' sums of the first group of blocks, and the distance to the next group's. */
  readonly sums: number;
  readonly groupBytes: number;
  /** Images that are trained between two meetings of the threads; a multiple of eight. */
  readonly chunkSize: number;
  /** Where thread 0's own memory starts, and the distance to the next thread's. */
  readonly ownStart: number;
  readonly threadBytes: number;
  /** First address that is free for data. */
  readonly end: number;
}

/** Lays out a model's memory; pure, so that every thread finds the same. */
export function layOut(model: Model, options: LayoutOptions): Layout {
  const { batchSize, threads, slotCount } = options;
  const blocks = Math.ceil(Math.min(batchSize, MAX_CHUNK) / BLOCK);
  const shared = new Arena(VECTOR_BYTES * 256); // constants of the kernels lie below
  const own = new Arena(0);
  const group = new Arena(0);
  const control = shared.allocate(64);
  const job = shared.allocate(256);
  const ones = shared.allocate(ELEMENT_BYTES);
  const vectorBytes = 4 * model.parameterCount;
  const parameters = shared.allocate(vectorBytes);
  const gradients = shared.allocate(vectorBytes);
  const slots = Array.from({ length: slotCount }, () => shared.allocate(vectorBytes));
  const plan = planTensors(model, { shared, own, blocks: Math.max(blocks, threads) });
  const scratch = own.allocate(12 * VECTOR_BYTES);
  const firstTrainable = model.layers.findIndex(isTrainable);
  const stages = model.layers.map((layer, index): Stage => {
    const [input, output] = [plan.activations[index], plan.activations[index + 1]];
    const sizes = sizesOf(layer, input, output);
    const weightBytes = isTrainable(layer) ? 4 * layer.weight.size : 0;
    const sumsBytes = layer.type === "conv2d"
      ? VECTOR_BYTES * (layer.weight.size + layer.bias.size)
      : 0;
    return {
      layer,
      input,
      output,
      gradInput: index > firstTrainable ? plan.gradients[index] : undefined,
      gradOutput: index >= firstTrainable ? plan.gradients[index + 1] : undefined,
      shape: shared.allocate(4 * sizes.length),
      sizes,
      packedForward: shared.allocate(weightBytes),
      packedBackward: index > firstTrainable ? shared.allocate(weightBytes) : 0,
      sums: group.allocate(sumsBytes),
      sumsBytes,
    };
  });
  const sums = shared.allocate(group.end * (groupStarts(blocks, threads).length - 1));
  return {
    stages: stages.map((stage) => ({ ...stage, sums: sums + stage.sums })),
    images: plan.activations[0],
    logits: plan.activations.at(-1)!,
    gradLogits: plan.gradients.at(-1)!,
    control,
    job,
    ones,
    parameters,
    gradients,
    slots,
    scratch,
    sums,
    groupBytes: group.end,
    chunkSize: blocks * BLOCK,
    ownStart: shared.end,
    threadBytes: own.end,
    end: shared.end + threads * own.end,
  };
}

/** The fields of Conv2dShape or Pool2dShape of the kernels, in their order. */
function sizesOf(layer: Layer, input: Tensor, output: Tensor): number[] {
  switch (layer.type) {
    case "conv2d":
    case "linear":
      return convolutionSizes(layer, input, output);
    case "avgPool2d":
    case "maxPool2d":
      return poolSizes(layer, input, output);
    default:
      return [];
  }
}

function convolutionSizes(layer: Conv2dLayer | LinearLayer, input: Tensor, output: Tensor) {
  const { kernelSize, stride, padding } = layer.type === "conv2d"
    ? layer
    : { kernelSize: [1, 1], stride: [1, 1], padding: [0, 0] };
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

function poolSizes(layer: Pool2dLayer, input: Tensor, output: Tensor) {
  return [
    input.channels,
    input.height,
    input.width,
    input.rowBytes,
    output.height,
    output.width,
    output.rowBytes,
    ...layer.poolSize,
    ...layer.stride,
  ];
}
