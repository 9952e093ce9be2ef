/** What a model costs and sees: parameters, multiply-accumulates and receptive field per layer. */

import { checkModelArgument } from "../check.ts";
import type { Pair, Window } from "./layers/layer.ts";
import { definitionOf } from "./layers/table.ts";
import { IMAGE, type Layer, type Model, type PlacedTensor, type Shape } from "./sequential.ts";

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
  /** Number of numbers that training changes, or would if they were not frozen. */
  readonly parameters: number;
  /** Number of running means and variances, which training measures. */
  readonly statistics: number;
  /** Whether it has parameters, and training leaves all of them as they are. */
  readonly frozen: boolean;
  /** Multiply-accumulates of one image's forward pass. */
  readonly forwardMacs: number;
  /** Multiply-accumulates of one image's training step: forward, weight gradient unless it is frozen, and
   * input gradient unless nothing before this layer is trained. */
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
  const image: Sight = { field: [1, 1], jump: [1, 1], isTrained: false };
  const sights: Sight[] = [];
  return model.layers.map((layer) => {
    const inputs = layer.inputs.map((input) => input === IMAGE ? image : sights[input]);
    const before: Sight = {
      field: perAxis((axis) => Math.max(...inputs.map(({ field }) => field[axis]))),
      jump: perAxis((axis) => Math.max(...inputs.map(({ jump }) => jump[axis]))),
      isTrained: inputs.some(({ isTrained }) => isTrained),
    };
    const isTrained = layer.parameters.some(({ trained }) => trained);
    const { macs: forwardMacs, sees } = definitionOf(layer).cost(layer);
    const window = sees === "everything" ? undefined : sees;
    const receptiveField = sees === "everything"
      ? [height, width] as const
      : perAxis((axis) => before.field[axis] + ((window?.size[axis] ?? 1) - 1) * before.jump[axis]);
    sights.push({
      field: receptiveField,
      jump: perAxis((axis) => before.jump[axis] * (window?.stride[axis] ?? 1)),
      isTrained: before.isTrained || isTrained,
    });
    return {
      name: layer.name,
      type: layer.type,
      detail: window === undefined ? "" : describe(window),
      outputShape: layer.outputShape,
      parameters: sizeOf(layer.parameters),
      // What one number holds for all channels is a count of batches.
      statistics: sizeOf((layer.statistics ?? []).filter(({ shape }) => shape.length > 0)),
      frozen: layer.parameters.length > 0 && !isTrained,
      forwardMacs,
      trainingMacs: (1 + Number(isTrained) + Number(before.isTrained)) * forwardMacs,
      receptiveField,
    };
  });
}

/** What a layer's output knows of the image, and whether a gradient must reach it. */
interface Sight {
  readonly field: Pair;
  readonly jump: Pair;
  readonly isTrained: boolean;
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

function sizeOf(tensors: readonly PlacedTensor[]): number {
  return tensors.reduce((sum, { size }) => sum + size, 0);
}

function perAxis(value: (axis: 0 | 1) => number): Pair {
  return [value(0), value(1)];
}

function describe({ size, stride, padding }: Window): string {
  const parts = [size.join("x")];
  if (stride.some((step) => step !== 1)) parts.push(`stride ${shorten(stride)}`);
  if (padding.some((width) => width !== 0)) parts.push(`padding ${shorten(padding)}`);
  return parts.join(", ");
}

function shorten([height, width]: Pair): string {
  return height === width ? String(height) : `${height}x${width}`;
}
