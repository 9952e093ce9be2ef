/** What a model's layers make of one image. */

import { gatherImages } from "../backends/gather.ts";
import { forward } from "../backends/reference/network.ts";
import { Program } from "../backends/program.ts";
import type { LabeledImages } from "../data/dataset.ts";
import { definitionOf } from "../nn/layers/table.ts";
import type { ImageShape, Layer, Model } from "../nn/sequential.ts";
import { summarize } from "../nn/summary.ts";

/** The output of one layer for one image. */
export interface FeatureMaps {
  /** The layer, and what follows it number by number: `conv1, bn1, sigmoid`. */
  readonly label: string;
  readonly shape: ImageShape;
  /** [channels, height, width]. */
  readonly values: Float64Array;
}

/** Multiply-accumulates beyond which plain loops would keep the user waiting. */
const MAX_MACS = 200e6;

/** Feature maps after every layer that puts out an image; what only changes the numbers of one layer, as an
 * activation or a batch norm, counts as part of it.
 *
 * @param one The image, alone in its data set.
 * @returns undefined if the model is too large to be looked at in passing.
 */
export function featureMaps(
  model: Model,
  { parameters, statistics = new Float32Array(), one }: {
    readonly parameters: Float32Array;
    readonly statistics?: Float32Array;
    readonly one: LabeledImages;
  },
): FeatureMaps[] | undefined {
  const { layers } = model;
  const macs = summarize(model).reduce((sum, layer) => sum + layer.forwardMacs, 0);
  if (macs > MAX_MACS) return undefined;
  const indices = Uint32Array.of(0);
  const images = new Float64Array(one.images.length);
  gatherImages(model, one.images, images, { indices });
  const outputs = forward(model, Float64Array.from(parameters), {
    images,
    mode: "eval",
    batchSize: 1,
    statistics: Float64Array.from(statistics),
    ...{ seed: 0, step: 0, indices },
    sum() {},
  });
  const program = new Program(layers);
  return layers.flatMap((layer, index) => {
    const { outputShape: shape } = layer;
    const [next, ...others] = program.readersOf(index).map((reader) => layers[reader]);
    const isPart = others.length === 0 && next !== undefined && changesNumbers(next);
    if (!isImage(shape) || isPart) return [];
    return [{ label: labelOf(layer, layers), shape, values: outputs[index] }];
  });
}

/** Whether each of its outputs follows from the input at the same place. */
function changesNumbers(layer: Layer): boolean {
  const { inputs, inputShape, outputShape } = layer;
  return inputs.length === 1 && String(inputShape) === String(outputShape) &&
    definitionOf(layer).cost(layer).sees === undefined;
}

function isImage(shape: readonly number[]): shape is ImageShape {
  return shape.length === 3;
}

/** `conv1, sigmoid`: `conv1` is a layer's own name; one that has only its index is called by its kind, and
 * by the index too where it begins. */
function labelOf(layer: Layer, layers: readonly Layer[]): string {
  const { name, type, inputs: [input] } = layer;
  const before = changesNumbers(layer) ? layers[input] : undefined;
  const isNamed = !/^\d+$/.test(name.slice(name.lastIndexOf(".") + 1));
  if (before === undefined) return isNamed ? name : `${type} ${name}`;
  return `${labelOf(before, layers)}, ${isNamed ? name : type}`;
}
