/** Models in whole numbers of 8 bits: the arithmetic that the C and the ONNX of `--quantize int8` share. */

import type { Effect, Weighted } from "../nn/layers/layer.ts";
import { definitionOf, type Layer } from "../nn/layers/table.ts";
import { IMAGE } from "../nn/sequential.ts";
import { channelsOf } from "../nn/standardization.ts";
import { sliceOf } from "./folded_model.ts";
import type { TrainedModel } from "./trained_model.ts";

/** Which numbers the bytes of a tensor stand for: scale * (byte - zeroPoint), with bytes -128 to 127. */
export interface Grid {
  /** Distance of two neighbours, a float32 above 0. */
  readonly scale: number;
  /** The byte of 0. */
  readonly zeroPoint: number;
}

/** Weights of a layer in whole numbers. */
export interface QuantizedWeights {
  /** In the order of the float ones, -127 to 127. */
  readonly weight: Int8Array;
  /** What a weight of an output channel is multiplied by. */
  readonly scales: Float32Array;
  /** What is added, in units of a weight times an input. */
  readonly bias: Int32Array;
  /** These units. */
  readonly biasScales: Float32Array;
}

/** A model without dropout and folded batch norm, its tensors on grids of 256 numbers. */
export interface QuantizedModel extends TrainedModel {
  /** Of the standardized image. */
  readonly image: Grid;
  /** Of each layer's output; undefined where it stays float: the logits of a linear layer. */
  readonly grids: readonly (Grid | undefined)[];
  /** By the name of the layer; its parameters are these numbers as floats. */
  readonly weights: ReadonlyMap<string, QuantizedWeights>;
}

/** Smallest and largest number seen. */
export interface Extent {
  min: number;
  max: number;
}

/** Products of two are float32 still. */
const MIN_SCALE = 2 ** -60;

/** The grid that holds all numbers of a range, and 0. */
export function gridOf({ min, max }: Extent): Grid {
  const [low, high] = [Math.min(min, 0), Math.max(max, 0)];
  const scale = Math.max(Math.fround((high - low) / 255), MIN_SCALE);
  return { scale, zeroPoint: Math.min(Math.max(Math.round(-128 - low / scale), -128), 127) };
}

/** The byte that stands for a number: the nearest, halves upward. */
export function quantize(value: number, { scale, zeroPoint }: Grid): number {
  return Math.min(Math.max(Math.floor(value / scale + 0.5) + zeroPoint, -128), 127);
}

/** The number that a byte stands for. */
export function dequantize(byte: number, { scale, zeroPoint }: Grid): number {
  return scale * (byte - zeroPoint);
}

/** What reads the output of each layer, by its place. */
export function readersOf(layers: readonly Layer[], index: number): number[] {
  return [...layers.keys()].filter((reader) => layers[reader].inputs.includes(index));
}

/** Layers that give the numbers which they read, or cut them off. */
const KEEPING: readonly (Effect | undefined)[] = ["picks", "passes", "clamps"];

/** Puts a folded model on grids.
 *
 * Weights are symmetric for each output channel; outputs have the range that they were seen in. What a
 * ReLU or a maximum alone reads is cut off where they would: it shares the grid behind them.
 *
 * @param extents Of each layer's output over images that say what is usual.
 */
export function quantizeFolded(
  folded: TrainedModel,
  extents: readonly Extent[],
): QuantizedModel {
  const { model: { layers, inputShape: [channels], standardization } } = folded;
  const ends = channelsOf(standardization, channels)
    .flatMap(({ mean, std }) => [0 - mean / std, (1 - mean) / std]);
  const image = gridOf({ min: Math.min(...ends), max: Math.max(...ends) });
  const grids: (Grid | undefined)[] = extents.map(gridOf);
  for (const index of [...layers.keys()].reverse()) {
    const [reader, ...others] = readersOf(layers, index);
    if (reader === undefined || others.length > 0) continue;
    if (KEEPING.includes(definitionOf(layers[reader]).effect)) grids[index] = grids[reader];
  }
  for (const [index, layer] of layers.entries()) {
    const { effect } = definitionOf(layer);
    if (effect !== "picks" && effect !== "passes") continue;
    const [input] = layer.inputs;
    grids[index] = input === IMAGE ? image : grids[input];
  }
  const last = layers.length - 1;
  if (definitionOf(layers[last]).effect === "multiplies") grids[last] = undefined;
  const parameters = folded.parameters.slice();
  const weights = new Map<string, QuantizedWeights>();
  for (const layer of layers) {
    if (definitionOf(layer).effect !== "multiplies" || !("weight" in layer)) continue;
    const [input] = layer.inputs;
    const { scale } = input === IMAGE ? image : grids[input]!;
    const { weight, bias } = layer as Weighted;
    const rounded = quantizeWeights(
      sliceOf(parameters, weight),
      bias && sliceOf(parameters, bias),
      { outputs: weight.shape[0], scale },
    );
    weights.set(layer.name, rounded);
    const fan = weight.size / weight.shape[0];
    for (let n = 0; n < weight.size; n++) {
      parameters[weight.offset + n] = rounded.weight[n] * rounded.scales[Math.floor(n / fan)];
    }
    for (let n = 0; bias && n < bias.size; n++) {
      parameters[bias.offset + n] = rounded.bias[n] * rounded.biasScales[n];
    }
  }
  return { ...folded, parameters, image, grids, weights };
}

/** Largest sum of a weight's products that 32 bits are sure to hold, with a bit to spare for rounding. */
const MAX_SUM = 2 ** 30;

/** Rounds weights, each output channel's by a scale of its own: the largest becomes 127, unless the sum
 * of all products could leave 32 bits then.
 *
 * @param bias One number per output; left out: zeros.
 * @param scale Of the input's grid.
 */
export function quantizeWeights(
  weight: ArrayLike<number>,
  bias: ArrayLike<number> | undefined,
  { outputs, scale }: { readonly outputs: number; readonly scale: number },
): QuantizedWeights {
  const fan = weight.length / outputs;
  const values = Array.from(weight);
  const rows = Array.from({ length: outputs }, (_, o) => values.slice(o * fan, (o + 1) * fan));
  const scales = Float32Array.from(rows, (row, o) => {
    const largest = row.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const sum = row.reduce((sum, value) => sum + Math.abs(value), 0);
    const most = 255 * sum + Math.abs(bias?.[o] ?? 0) / scale;
    return Math.max(largest / 127, most / MAX_SUM, MIN_SCALE);
  });
  const biasScales = scales.map((one) => one * scale);
  return {
    weight: Int8Array.from(values, (value, n) => {
      const whole = Math.round(value / scales[Math.floor(n / fan)]);
      return Math.min(Math.max(whole, -127), 127);
    }),
    scales,
    bias: Int32Array.from(biasScales, (one, o) => Math.round((bias?.[o] ?? 0) / one)),
    biasScales,
  };
}
