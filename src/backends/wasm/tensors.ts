/** Which activations and gradients a model needs, which may share memory, and how each is laid out.
 */

import type {
  ActivationLayer,
  Conv2dLayer,
  FlattenLayer,
  Layer,
  LinearLayer,
  Model,
  Shape,
} from "../../nn/sequential.ts";
import { type Arena, ELEMENT_BYTES } from "./arena.ts";

/** A tensor [y][x][channel][8 images]; a vector is 1x1 with its features as channels. */
export interface Tensor {
  /** Element (0, 0, 0) of block 0, or within a thread's own memory. */
  readonly address: number;
  /** Where the border of zeros begins, for convolutions that pad; else equal to address. */
  readonly corner: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly rowBytes: number;
  /** One for each block, blockBytes apart; or else one for each thread, used block after block. */
  readonly shared: boolean;
  readonly blockBytes: number;
}

/** Tensors of a model: entry i is layer i's input, entry i + 1 its output. */
export interface TensorPlan {
  readonly activations: readonly Tensor[];
  readonly gradients: readonly Tensor[];
}

/** Where tensors are allocated. */
export interface TensorMemory {
  readonly shared: Arena;
  readonly own: Arena;
  /** Blocks for which shared tensors are kept. */
  readonly blocks: number;
}

/** Whether a layer has parameters. */
export function isTrainable(layer: Layer): layer is Conv2dLayer | LinearLayer {
  return layer.type === "conv2d" || layer.type === "linear";
}

/** Whether a layer is an elementwise function. */
export function isActivation(layer: Layer): layer is ActivationLayer {
  return layer.type === "sigmoid" || layer.type === "tanh" || layer.type === "relu";
}

/** Decides on the tensors of a model.
 *
 * An activation overwrites its input, because every layer before it but another activation can do
 * without its own output. What a linear layer reads, and the gradient of what it gives, is kept for
 * all blocks: its weight gradient is made from all of them at once. All else is used for one block
 * at a time and stays in a core's cache.
 */
export function planTensors(model: Model, memory: TensorMemory): TensorPlan {
  const { layers } = model;
  const activations = [
    allocate(model.inputShape, { ...memory, ...needsOf(layers, 0, false) }),
  ];
  const gradients = [allocate(model.inputShape, memory)];
  let activated = false; // whether the tensor at hand is an activation's output
  for (const [index, layer] of layers.entries()) {
    const overwrites = sharesInput(layer, activated);
    activated = isActivation(layer) || (activated && overwrites);
    const needs = needsOf(layers, index + 1, activated);
    activations.push(
      overwrites
        ? viewAs(activations[index], layer.outputShape)
        : allocate(layer.outputShape, { ...memory, ...needs }),
    );
    const keep = layer.type === "linear";
    gradients.push(
      overwrites || isActivation(layer)
        ? viewAs(gradients[index], layer.outputShape)
        : allocate(layer.outputShape, { ...memory, keep }),
    );
  }
  return { activations, gradients };
}

/** Whether a layer's output may lie where its input lies. */
function sharesInput(layer: Layer, activated: boolean): boolean {
  if (isActivation(layer)) return !activated;
  return layer.type === "flatten" && keepsOrder(layer);
}

/** Whether two tensors are views of one; addresses of shared and own memory count separately. */
export function sharesMemory(a: Tensor, b: Tensor): boolean {
  return a.shared === b.shared && a.address === b.address;
}

/** Whether [y][x][channel] is channel first already. */
function keepsOrder(layer: FlattenLayer): boolean {
  const [channels, height = 1, width = 1] = layer.inputShape;
  return channels === 1 || height * width === 1;
}

/** What the layer that reads an activation wants of it: a border, or to find it again later. */
function needsOf(layers: readonly Layer[], from: number, activated: boolean) {
  for (const layer of layers.slice(from)) {
    if (layer.type === "conv2d") return { padding: layer.padding };
    if (layer.type === "linear") return { keep: true };
    if (!sharesInput(layer, activated)) return {};
    activated ||= isActivation(layer);
  }
  return {};
}

/** The same memory under the shape that flatten gives it. */
function viewAs(tensor: Tensor, shape: Shape): Tensor {
  if (shape.length > 1 || tensor.height * tensor.width === 1) return tensor;
  return { ...tensor, channels: shape[0], height: 1, width: 1, rowBytes: tensor.blockBytes };
}

interface Needs extends TensorMemory {
  readonly padding?: readonly [number, number];
  readonly keep?: boolean;
}

function allocate(shape: Shape, needs: Needs): Tensor {
  const [channels, height = 1, width = 1] = shape;
  const { padding: [paddingHeight, paddingWidth] = [0, 0], keep: shared = false } = needs;
  const columnBytes = channels * ELEMENT_BYTES;
  const rowBytes = (width + 2 * paddingWidth) * columnBytes;
  const bytes = (height + 2 * paddingHeight) * rowBytes;
  // A power of two would put the same feature of all blocks into one set of the first-level cache.
  const blockBytes = shared && bytes % 1024 === 0 ? bytes + 3 * ELEMENT_BYTES : bytes;
  const corner = shared
    ? needs.shared.allocate(blockBytes * needs.blocks)
    : needs.own.allocate(blockBytes);
  return {
    address: corner + paddingHeight * rowBytes + paddingWidth * columnBytes,
    corner,
    channels,
    height,
    width,
    rowBytes,
    shared,
    blockBytes,
  };
}
