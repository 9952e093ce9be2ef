/** Models as programs that only use them want them: without what matters in training alone. */

import { definitionOf, type LayerSpec } from "../nn/layers/table.ts";
import type { PlacedTensor } from "../nn/layers/layer.ts";
import { type Model, sequential } from "../nn/sequential.ts";
import { tensorsOf } from "./safetensors/state_dict.ts";
import type { TrainedModel } from "./trained_model.ts";

/** Where the layers of a folded model come from. */
interface Origins {
  /** By a layer's name in the folded model, its name before. */
  readonly names: Map<string, string>;
  /** By a folded layer's name, the batch norms whose factors and shifts go into its weights, in order. */
  readonly scales: Map<string, string[]>;
}

/** The same model for use alone: dropout is left out, and batch norm goes into the weights and the bias of
 * the convolution or linear layer before it. A batch norm that has none before it stays.
 *
 * Names of layers are kept; those that are numbers are counted anew. The factors are computed in
 * float64 and rounded once.
 *
 * @throws {RangeError} If there are not as many parameters or running statistics as the model has, or a
 * weight is no number in float32 any more.
 */
export function foldModel(trained: TrainedModel): TrainedModel {
  const { model, classNames, pictures } = trained;
  const origins: Origins = { names: new Map(), scales: new Map() };
  const specs = foldRow(model.specs, origins);
  const { name, inputShape, standardization } = model;
  const folded = sequential(specs, { name, inputShape, standardization });
  const tensors = tensorsOf(trained);
  const parameters = valuesOf(folded.parameters, tensors, origins);
  const statistics = valuesOf(folded.statistics, tensors, origins);
  const known = { ...(classNames && { classNames }), ...(pictures && { pictures }) };
  const result = { model: folded, parameters, statistics, ...known };
  for (const [into, scales] of origins.scales) {
    for (const scale of scales) scaleWeights(result, into, scalesOf(trained, scale));
  }
  for (const tensor of folded.parameters) {
    if (sliceOf(parameters, tensor).every(Number.isFinite)) continue;
    throw new RangeError(
      `Cannot use model "${model.name}": "${tensor.name}" would hold what is no number; its training has ` +
        `diverged, or a running variance is too small`,
    );
  }
  return result;
}

/** The numbers of one tensor. */
export function sliceOf(values: Float32Array, { offset, size }: PlacedTensor): Float32Array {
  return values.subarray(offset, offset + size);
}

/** Factor and shift of each channel of a batch norm outside of training. */
export function scalesOf(
  { model, parameters, statistics = new Float32Array() }: TrainedModel,
  name: string,
): { readonly factors: number[]; readonly shifts: number[] } {
  const layer = model.layers.find((layer) => layer.name === name)!;
  if (!("runningVar" in layer)) throw new TypeError(`layer "${name}" scales nothing`);
  const { weight, bias, runningMean, runningVar, eps } = layer;
  const factors = Array.from(
    { length: weight.size },
    (_, c) => parameters[weight.offset + c] / Math.sqrt(statistics[runningVar.offset + c] + eps),
  );
  const shifts = factors.map((factor, c) =>
    parameters[bias.offset + c] - statistics[runningMean.offset + c] * factor
  );
  return { factors, shifts };
}

/** @param paths What names within a block begin with, in the folded model and before. */
function foldRow(
  specs: readonly LayerSpec[],
  origins: Origins,
  [prefix, before]: readonly [string, string] = ["", ""],
): LayerSpec[] {
  const { names, scales } = origins;
  const row: LayerSpec[] = [];
  const nameOf = (spec: LayerSpec, index: number) => `${prefix}${spec.name ?? index}`;
  for (const [index, spec] of specs.entries()) {
    const origin = `${before}${spec.name ?? index}`;
    const { effect } = definitionOf(spec);
    const last = row.at(-1);
    // A block's body must have a layer.
    if (effect === "passes" && (row.length > 0 || index < specs.length - 1)) continue;
    if (effect === "scales" && last && definitionOf(last).effect === "multiplies") {
      row[row.length - 1] = { ...last, bias: true } as LayerSpec;
      const into = nameOf(last, row.length - 1);
      scales.set(into, [...scales.get(into) ?? [], origin]);
      continue;
    }
    const name = nameOf(spec, row.length);
    names.set(name, origin);
    const part = (key: "body" | "shortcut", layers: readonly LayerSpec[] = []) =>
      foldRow(layers, origins, [`${name}.${key}.`, `${origin}.${key}.`]);
    row.push(
      "body" in spec
        ? { ...spec, body: part("body", spec.body), shortcut: part("shortcut", spec.shortcut) }
        : spec,
    );
  }
  return row;
}

/** Values of a folded model's tensors, from where they were before; zeros for biases that are new. */
function valuesOf(
  wanted: readonly PlacedTensor[],
  tensors: ReturnType<typeof tensorsOf>,
  { names }: Origins,
): Float32Array {
  const result = new Float32Array(wanted.reduce((sum, { size }) => sum + size, 0));
  for (const { name, offset } of wanted) {
    const dot = name.lastIndexOf(".");
    const found = tensors.get(names.get(name.slice(0, dot)) + name.slice(dot));
    if (found) result.set(found.data, offset);
  }
  return result;
}

function scaleWeights(
  { model, parameters }: { readonly model: Model; readonly parameters: Float32Array },
  into: string,
  { factors, shifts }: ReturnType<typeof scalesOf>,
): void {
  const { parameters: [weight, bias] } = model.layers.find(({ name }) => name === into)!;
  const fan = weight.size / factors.length;
  for (const [channel, factor] of factors.entries()) {
    const start = weight.offset + channel * fan;
    for (let n = start; n < start + fan; n++) parameters[n] *= factor;
    const at = bias.offset + channel;
    parameters[at] = parameters[at] * factor + shifts[channel];
  }
}
