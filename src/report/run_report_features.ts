/** What a model's layers make of one image. */

import type { Backend } from "../backends/backend.ts";
import type { LabeledImages } from "../data/dataset.ts";
import type { FlattenLayer, ImageShape, Layer, Model } from "../nn/sequential.ts";
import { summarize } from "../nn/summary.ts";

/** The output of one layer for one image. */
export interface FeatureMaps {
  /** The layer, and the activation after it: `conv1, sigmoid`. */
  readonly label: string;
  readonly shape: ImageShape;
  /** [channels, height, width]. */
  readonly values: Float32Array;
}

/** Multiply-accumulates beyond which a plain backend would keep the user waiting. */
const MAX_MACS = 100e6;

/** Feature maps after every layer that puts out an image; an activation counts as part of the layer
 * before it.
 *
 * @param backend Must walk the model's layers, as `reference` does.
 * @param one The image, alone in its data set.
 * @returns undefined if the model is too large to be looked at in passing.
 */
export async function featureMaps(
  backend: Backend,
  model: Model,
  { parameters, statistics = new Float32Array(), one }: {
    readonly parameters: Float32Array;
    readonly statistics?: Float32Array;
    readonly one: LabeledImages;
  },
): Promise<FeatureMaps[] | undefined> {
  const macs = summarize(model).reduce((sum, layer) => sum + layer.forwardMacs, 0);
  // Each layer's maps are computed from the image on.
  if (macs * model.layers.length > MAX_MACS) return undefined;
  const maps: FeatureMaps[] = [];
  for (const [index, layer] of model.layers.entries()) {
    const next = model.layers[index + 1];
    if (!isImage(layer.outputShape) || (next !== undefined && isActivation(next))) continue;
    const part = upTo(model, index);
    await using session = await backend.open(part, {
      optimizer: { type: "sgd", momentum: 0 },
      batchSize: 1,
    });
    const { parameterCount, statisticCount } = part;
    await session.loadState({
      parameters: parameters.slice(0, parameterCount),
      statistics: statistics.slice(0, statisticCount),
      slots: [],
      step: 0,
    });
    await session.attach(one);
    const before = model.layers[index - 1];
    maps.push({
      label: isActivation(layer) && before !== undefined
        ? `${labelOf(before)}, ${layer.type}`
        : labelOf(layer),
      shape: layer.outputShape,
      values: await session.predict(one),
    });
  }
  return maps;
}

/** The model up to a layer, whose flattened output takes the place of the logits.
 *
 * `sequential` cannot make it: it allows no more logits than a byte counts, since labels are bytes.
 * Predicting needs no labels.
 */
function upTo(model: Model, index: number): Model {
  const { outputShape } = model.layers[index];
  const size = outputShape.reduce((product, length) => product * length, 1);
  const last: FlattenLayer = {
    type: "flatten",
    name: "features",
    inputs: [index],
    parameters: [],
    inputShape: outputShape,
    outputShape: [size],
  };
  const layers = [...model.layers.slice(0, index + 1), last];
  const used = layers.flatMap(({ parameters }) => parameters);
  const end = used.at(-1);
  const measured = layers.flatMap((layer: Layer) => layer.statistics ?? []);
  return {
    ...model,
    layers,
    specs: [...model.specs.slice(0, index + 1), { type: "flatten" }],
    parameters: used,
    parameterCount: end === undefined ? 0 : end.offset + end.size,
    statistics: measured,
    statisticCount: measured.reduce((sum, { size }) => sum + size, 0),
    classCount: size,
  };
}

function isImage(shape: readonly number[]): shape is ImageShape {
  return shape.length === 3;
}

function isActivation({ type }: Layer): boolean {
  return type === "sigmoid" || type === "tanh" || type === "relu";
}

/** `conv1` for a named layer, `conv2d 0` for one that has only its index. */
function labelOf({ name, type }: Layer): string {
  return /^\d/.test(name) ? `${type} ${name}` : name;
}
