/** What a model costs and sees: parameters, multiply-accumulates and receptive field per layer. */

import { checkModelArgument } from "../check.ts";
import type { Pair } from "./layers.ts";
import type { Layer, Model, Shape } from "./sequential.ts";

/** One layer's row of the summary. */
export interface LayerSummary {
  /** Name of the layer. */
  readonly name: string;
  /** What the layer does. */
  readonly type: Layer["type"];
  /** Kernel, stride and padding in words, empty where a layer has none. */
  readonly detail: string;
  /** Shape of one sample's output. */
  readonly outputShape: Shape;
  /** Number of trainable numbers. */
  readonly parameters: number;
  /** Multiply-accumulates of one image's forward pass. */
  readonly forwardMacs: number;
  /** Multiply-accumulates of one image's training step: forward, weight gradient and, unless
   * nothing before this layer has parameters, input gradient. */
  readonly trainingMacs: number;
  /** Pixels of the input that one output sees, height and width; can exceed the input with padding. */
  readonly receptiveField: Pair;
}

/** Summarises a model, layer by layer.
 *
 * Source of the receptive field: r += (kernel - 1) * jump, jump *= stride, from r = jump = 1.
 *
 * @example What one output of the last convolution sees
 * ```ts
 * import { lenet, summarize } from "@lenet/lenet";
 *
 * const conv2 = summarize(lenet()).find(({ name }) => name === "conv2");
 * if (`${conv2?.receptiveField}` !== "14,14") throw new Error("expected 14 x 14 pixels");
 * ```
 */
export function summarize(model: Model): LayerSummary[] {
  checkModelArgument(model);
  const [, height, width] = model.inputShape;
  let receptiveField: Pair = [1, 1];
  let jump: Pair = [1, 1];
  let seenParameters = false;
  return model.layers.map((layer) => {
    const window = windowOf(layer);
    if (window !== undefined) {
      const [field, step] = [receptiveField, jump];
      receptiveField = mapPair((axis) => field[axis] + (window.size[axis] - 1) * step[axis]);
      jump = mapPair((axis) => step[axis] * window.stride[axis]);
    } else if (layer.type === "linear") {
      receptiveField = [height, width];
    }
    const forwardMacs = macs(layer);
    const passes = seenParameters ? 3 : 2;
    if (forwardMacs > 0) seenParameters = true;
    return {
      name: layer.name,
      type: layer.type,
      detail: describe(layer),
      outputShape: layer.outputShape,
      parameters: "weight" in layer ? layer.weight.size + layer.bias.size : 0,
      forwardMacs,
      trainingMacs: passes * forwardMacs,
      receptiveField,
    };
  });
}

/** Multiply-accumulates of training on one image; twice that is floating-point operations.
 *
 * @example LeNet on one image
 * ```ts
 * import { lenet, trainingMacs } from "@lenet/lenet";
 *
 * if (trainingMacs(lenet()) !== 1_131_960) throw new Error("expected 1,131,960");
 * ```
 */
export function trainingMacs(model: Model): number {
  return summarize(model).reduce((sum, layer) => sum + layer.trainingMacs, 0);
}

function mapPair(value: (axis: 0 | 1) => number): Pair {
  return [value(0), value(1)];
}

function windowOf(layer: Layer): { readonly size: Pair; readonly stride: Pair } | undefined {
  if (layer.type === "conv2d") return { size: layer.kernelSize, stride: layer.stride };
  if (layer.type === "avgPool2d" || layer.type === "maxPool2d") {
    return { size: layer.poolSize, stride: layer.stride };
  }
  return undefined;
}

/** Every output position of a convolution uses each weight once, so does a linear layer. */
function macs(layer: Layer): number {
  if (!("weight" in layer)) return 0;
  if (layer.type === "linear") return layer.weight.size;
  const [, outHeight, outWidth] = layer.outputShape;
  return layer.weight.size * outHeight * outWidth;
}

function describe(layer: Layer): string {
  const window = windowOf(layer);
  if (window === undefined) return "";
  const parts = [window.size.join("x")];
  if (window.stride.some((size) => size !== 1)) parts.push(`stride ${shorten(window.stride)}`);
  if (layer.type === "conv2d" && layer.padding.some((size) => size !== 0)) {
    parts.push(`padding ${shorten(layer.padding)}`);
  }
  return parts.join(", ");
}

function shorten([height, width]: Pair): string {
  return height === width ? String(height) : `${height}x${width}`;
}
