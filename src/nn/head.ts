/** Transfer: a trained model for other classes, of which only the head is new. */

import { checkArray, checkModelArgument, checkNumber, checkObject } from "../check.ts";
import { initialParameters, initialStatistics, type WeightInit } from "./init.ts";
import { definitionOf } from "./layers/table.ts";
import { type Model, type PlacedTensor, sequential } from "./sequential.ts";

/** A model and what it has learned. */
export interface Learned {
  /** The layers. */
  readonly model: Model;
  /** A flat vector, laid out as {@linkcode Model.parameters} says. */
  readonly parameters: Float32Array;
  /** Likewise, as {@linkcode Model.statistics} says; left out of a model without any. */
  readonly statistics?: Float32Array;
}

/** A model with a new head. */
export interface Transferred extends Required<Learned> {
  /** Names of the layers that are new: the head, and those behind it that have parameters. */
  readonly replaced: readonly string[];
}

/** Gives a trained model another number of classes: its head, the last layer that multiplies, gets as many
 * outputs and is drawn anew, with what is behind it; all before it keeps its parameters and statistics.
 *
 * @param classCount Classes of the new head, 1 to 256.
 * @param options Seed, 0 to 2^53 - 1, default 0, and how weights are drawn, default Xavier uniform.
 * @throws {TypeError} If a vector is not one of float32, or the last layer that multiplies does not alone decide how many classes there are.
 * @throws {RangeError} If a number is out of range, a vector is not as long as the model's, or what is new is
 * frozen.
 * @example Three classes in place of ten, and nothing but the head trained
 * ```ts
 * import { freeze, initialParameters, lenet, replaceHead } from "@lenet/lenet";
 *
 * const trained = { model: lenet(), parameters: initialParameters(lenet(), 0) };
 * const { model, replaced } = replaceHead(trained, 3);
 * if (model.classCount !== 3 || `${replaced}` !== "fc3") throw new Error("expected a new fc3");
 * const frozen = freeze(model, ["conv*", "fc1", "fc2"]);
 * if (frozen.parameters.filter(({ trained }) => trained).length !== 2) throw new Error("expected fc3");
 * ```
 */
export function replaceHead(
  learned: Learned,
  classCount: number,
  { seed = 0, init }: { readonly seed?: number; readonly init?: WeightInit } = {},
): Transferred {
  checkObject("learned", learned, "a model and its parameters");
  const { model, parameters, statistics = new Float32Array() } = learned;
  checkModelArgument(model);
  checkNumber("classCount", classCount, { whole: true, min: 1, max: 256 });
  for (
    const [name, values, length] of [
      ["parameters", parameters, model.parameterCount],
      ["statistics", statistics, model.statisticCount],
    ] as const
  ) {
    checkArray(name, values, Float32Array);
    checkNumber(`length of ${name}`, values.length, { min: length, max: length });
  }
  const place = model.specs.findLastIndex((spec) => definitionOf(spec).outputs !== undefined);
  const changed = withOutputs(model, place, classCount);
  const name = model.specs[place]?.name ?? String(place);
  const head = changed.layers.findIndex((layer) => layer.name === name);
  const replaced = changed.layers.slice(head).filter((layer) => layer.parameters.length > 0);
  const frozen = replaced.find((layer) => layer.parameters.some(({ trained }) => !trained));
  if (frozen !== undefined) {
    throw new RangeError(
      `Cannot freeze "${frozen.name}": it is drawn anew for ${classCount} classes; leave it out`,
    );
  }
  const before = changed.layers.slice(0, head);
  const kept = (values: Float32Array, tensors: readonly PlacedTensor[]) =>
    values.subarray(0, tensors.reduce((sum, { size }) => sum + size, 0));
  const drawn = initialParameters(changed, seed, init);
  drawn.set(kept(parameters, before.flatMap((layer) => layer.parameters)));
  const begun = initialStatistics(changed);
  begun.set(kept(statistics, before.flatMap((layer) => layer.statistics ?? [])));
  const names = replaced.map((layer) => layer.name);
  return { model: changed, parameters: drawn, statistics: begun, replaced: names };
}

/** The model with as many outputs of the layer at a place of its specs.
 *
 * @throws {TypeError} If that does not make as many classes.
 */
function withOutputs(model: Model, place: number, classCount: number): Model {
  const spec = model.specs[place];
  const cannot = (reason: string, cause?: unknown) =>
    new TypeError(
      `Cannot give model "${model.name}" ${classCount} classes in place of ${model.classCount}: ${reason}`,
      { cause },
    );
  if (spec === undefined) throw cannot("no layer but those in blocks says how many there are");
  const specs = model.specs.with(place, { ...spec, [definitionOf(spec).outputs!]: classCount });
  let changed: Model;
  try {
    changed = sequential(specs, model);
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof RangeError)) throw error;
    throw cannot(error.message, error);
  }
  if (changed.classCount === classCount) return changed;
  throw cannot(`its last ${spec.type} would make ${changed.classCount} of them`);
}
