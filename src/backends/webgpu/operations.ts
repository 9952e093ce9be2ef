/** From layers to operations: which layers one kernel carries out together. */

import type {
  ActivationLayer,
  Conv2dLayer,
  ImageShape,
  LinearLayer,
  Model,
  Pool2dLayer,
} from "../../nn/sequential.ts";
import type { Pair } from "../../nn/layers.ts";
import { imageShape } from "./tensors.ts";

/** Kind of an activation, or none. */
export type Activation = ActivationLayer["type"] | "none";

/** Windows of a pooling; `none` is a window of one element. */
export interface Window {
  readonly type: "avgPool2d" | "maxPool2d" | "none";
  readonly size: Pair;
  readonly stride: Pair;
}

/** A layer with parameters, the activation after it and the pooling after that.
 *
 * A linear layer is a 1x1 convolution of maps of one pixel.
 */
export interface ConvolveOperation {
  readonly type: "convolve";
  readonly layer: Conv2dLayer | LinearLayer;
  readonly input: ImageShape;
  /** Before pooling. */
  readonly maps: ImageShape;
  readonly output: ImageShape;
  readonly kernelSize: Pair;
  readonly stride: Pair;
  readonly padding: Pair;
  readonly activation: Activation;
  readonly pool: Window;
}

/** Pooling that could not be joined to a convolution: its windows overlap, or come first. */
export interface PoolOperation {
  readonly type: "pool";
  readonly layer: Pool2dLayer;
  readonly input: ImageShape;
  readonly output: ImageShape;
  readonly pool: Window;
}

/** An activation on its own. */
export interface ActivationOperation {
  readonly type: "activation";
  readonly layer: ActivationLayer;
  readonly input: ImageShape;
  readonly output: ImageShape;
  readonly activation: Activation;
}

/** One step of the forward pass. */
export type Operation = ConvolveOperation | PoolOperation | ActivationOperation;

/** The window of an operation without pooling. */
export const NO_POOL: Window = { type: "none", size: [1, 1], stride: [1, 1] };

/** Largest window whose elements an invocation can hold at once. */
const LARGEST_JOINED_WINDOW = 16;

/** Walks a model's layers and joins those that one kernel carries out. */
export function listOperations(model: Model): Operation[] {
  const operations: Operation[] = [];
  for (const layer of model.layers) {
    const last = operations.at(-1);
    switch (layer.type) {
      case "flatten":
        break;
      case "conv2d":
      case "linear":
        operations.push(convolve(layer));
        break;
      case "sigmoid":
      case "tanh":
      case "relu":
        if (last?.type === "convolve" && last.activation === "none" && last.pool.type === "none") {
          operations.splice(-1, 1, { ...last, activation: layer.type });
        } else {
          const shape = imageShape(layer.inputShape);
          const activation = layer.type;
          operations.push({ type: "activation", layer, input: shape, output: shape, activation });
        }
        break;
      case "avgPool2d":
      case "maxPool2d": {
        const pool: Window = { type: layer.type, size: layer.poolSize, stride: layer.stride };
        if (last?.type === "convolve" && last.pool.type === "none" && canJoin(last, pool)) {
          operations.splice(-1, 1, { ...last, pool, output: layer.outputShape });
        } else {
          const { inputShape: input, outputShape: output } = layer;
          operations.push({ type: "pool", layer, input, output, pool });
        }
      }
    }
  }
  return operations;
}

function convolve(layer: Conv2dLayer | LinearLayer): ConvolveOperation {
  const maps = imageShape(layer.outputShape);
  const geometry = layer.type === "conv2d"
    ? { kernelSize: layer.kernelSize, stride: layer.stride, padding: layer.padding }
    : { kernelSize: [1, 1] as Pair, stride: [1, 1] as Pair, padding: [0, 0] as Pair };
  return {
    type: "convolve",
    layer,
    input: imageShape(layer.inputShape),
    maps,
    output: maps,
    ...geometry,
    activation: "none",
    pool: NO_POOL,
  };
}

/** Whether no element is in two windows, and an invocation can hold what a window needs. */
function canJoin(
  { stride, kernelSize }: ConvolveOperation,
  { size, stride: step }: Window,
): boolean {
  const apart = step[0] >= size[0] && step[1] >= size[1];
  const heldRows = (size[0] - 1) * stride[0] + 1;
  const patchWidth = (size[1] - 1) * stride[1] + kernelSize[1];
  return apart && size[0] * size[1] <= LARGEST_JOINED_WINDOW && heldRows * patchWidth <= 64;
}
