/** The tensors of a `state_dict`: a model's flat parameter vector by name, whatever a file calls them. */

import { checkArray, checkModelArgument, checkNumber } from "../../check.ts";
import { type Model, type PlacedTensor, showShape } from "../../nn/sequential.ts";
import { MODEL_NAMES, type ModelName } from "../../nn/zoo.ts";
import { quote } from "../../quote.ts";
import { sizedAs, type TrainedModel } from "../trained_model.ts";
import type { Tensor } from "./file.ts";

/** Names the slices of a flat vector by the model's parameters, and of another by its running statistics;
 * the data is copied.
 *
 * @param statistics Left out, they are not among the tensors.
 * @throws {TypeError} If a vector is not one of float32.
 * @throws {RangeError} If it is not as long as the model's parameters, or statistics.
 * @example The names that PyTorch has
 * ```ts
 * import { initialParameters, lenet, toTensors } from "@lenet/lenet";
 *
 * const model = lenet();
 * const tensors = toTensors(model, initialParameters(model, 0));
 * if (!tensors.has("conv1.weight")) throw new Error("expected conv1.weight");
 * ```
 */
export function toTensors(
  model: Model,
  parameters: Float32Array,
  statistics?: Float32Array,
): Map<string, Tensor> {
  checkModelArgument(model);
  const tensors = slices("parameters", parameters, model.parameters, model.parameterCount);
  if (statistics === undefined) return new Map(tensors);
  const own = slices("statistics", statistics, model.statistics, model.statisticCount);
  return new Map([...tensors, ...own]);
}

/** All tensors of a model, its running statistics among them.
 *
 * @throws {RangeError} If there are not as many numbers as the model has.
 */
export function tensorsOf(
  { model, parameters, statistics = new Float32Array() }: TrainedModel,
): Map<string, Tensor> {
  return toTensors(model, parameters, statistics);
}

/** Whose count of batches nothing but PyTorch's files holds, and nothing reads. */
const COUNT = ".num_batches_tracked";

function slices(
  what: string,
  values: Float32Array,
  layout: readonly PlacedTensor[],
  length: number,
): (readonly [string, Tensor])[] {
  checkArray(what, values, Float32Array);
  checkNumber(`length of ${what}`, values.length, { min: length, max: length });
  return layout.map(({ name, shape, offset, size }) => {
    const data = values.slice(offset, offset + size);
    return [name, { shape, data, ...(name.endsWith(COUNT) && { dtype: "I64" }) }] as const;
  });
}

/** Collects a model's parameters from named tensors into a flat vector; its running statistics may be
 * among them, see {@linkcode statisticsFrom}.
 *
 * @param label Names the tensors' origin in errors.
 * @throws {TypeError} If a parameter is missing, has another shape, or there is one too many.
 * @example And back
 * ```ts
 * import { fromTensors, initialParameters, lenet, toTensors } from "@lenet/lenet";
 *
 * const model = lenet();
 * const tensors = toTensors(model, initialParameters(model, 0));
 * const flat = fromTensors(model, tensors, "example");
 * if (flat.length !== model.parameterCount) throw new Error("expected all parameters");
 * ```
 */
export function fromTensors(
  model: Model,
  tensors: ReadonlyMap<string, Tensor>,
  label: string,
): Float32Array<ArrayBuffer> {
  // All is checked before room is made: the model's sizes may come from a file too.
  requireTensors(model, model.parameters, { tensors, label });
  const known = new Set([...model.parameters, ...model.statistics].map(({ name }) => name));
  for (const name of tensors.keys()) {
    if (!known.has(name)) throw misfit(model, label, `it has no parameter ${quote(name)}`);
  }
  const values = new Float32Array(model.parameterCount);
  for (const { name, offset } of model.parameters) values.set(tensors.get(name)!.data, offset);
  return values;
}

/** Collects a model's running statistics from named tensors into a flat vector.
 *
 * The count of batches may be missing, as in older files: nothing is computed from it.
 *
 * @param label Names the tensors' origin in errors.
 * @returns undefined for a model without any.
 * @throws {TypeError} If one is missing, has another shape, or a variance is below 0.
 * @example LeNet has none
 * ```ts
 * import { initialParameters, lenet, statisticsFrom, toTensors } from "@lenet/lenet";
 *
 * const tensors = toTensors(lenet(), initialParameters(lenet(), 0));
 * if (statisticsFrom(lenet(), tensors, "example")) throw new Error("expected none");
 * ```
 */
export function statisticsFrom(
  model: Model,
  tensors: ReadonlyMap<string, Tensor>,
  label: string,
): Float32Array<ArrayBuffer> | undefined {
  if (model.statisticCount === 0) return undefined;
  const present = model.statistics.filter(({ name }) => tensors.has(name) || !name.endsWith(COUNT));
  requireTensors(model, present, { tensors, label });
  const values = new Float32Array(model.statisticCount);
  for (const { name, offset, initial } of present) {
    const { data } = tensors.get(name)!;
    // What begins as 1 is a variance.
    if (initial === 1 && data.some((value) => value < 0)) {
      throw misfit(model, label, `a variance in "${name}" is below 0`);
    }
    values.set(data, offset);
  }
  return values;
}

function requireTensors(
  model: Model,
  expected: readonly PlacedTensor[],
  { tensors, label }: { readonly tensors: ReadonlyMap<string, Tensor>; readonly label: string },
): void {
  for (const { name, shape } of expected) {
    const tensor = tensors.get(name);
    if (tensor === undefined) {
      const found = [...tensors].map(([other, { shape }]) => ({ name: other, shape }));
      const missing = listTensors([{ name, shape }]);
      throw misfit(model, label, `expected ${missing}, found ${listTensors(found)}`);
    }
    if (showShape(tensor.shape) !== showShape(shape)) {
      const [wanted, found] = [showShape(shape), showShape(tensor.shape)];
      throw misfit(model, label, `"${name}" must be ${wanted}, found ${found}`);
    }
  }
}

/** Names and shapes of tensors, the first few. */
export function listTensors(tensors: readonly Pick<PlacedTensor, "name" | "shape">[]): string {
  const shown = tensors.slice(0, 4).map(({ name, shape }) => `${quote(name)} ${showShape(shape)}`);
  return tensors.length === 0
    ? "no tensors"
    : shown.join(", ") + (tensors.length > 4 ? `, ... (${tensors.length})` : "");
}

function misfit(model: Model, label: string, reason: string): TypeError {
  return new TypeError(
    `Cannot load ${label} into model "${model.name}": ${reason}; choose a file of that model`,
  );
}

/** Tensors by name. */
export type Tensors = ReadonlyMap<string, Tensor>;

/** Tensors under a model's own names. */
export interface Fitted {
  readonly tensors: Tensors;
  /** How they are called in the file, where that is not so; a sentence. */
  readonly note?: string;
}

const MAX_SIDE = 1024;

/** Finds a model's parameters among tensors: by name, by name behind a prefix that all have, as
 * `module.`, or by shape, where a weight of each shape is there once. Nothing is ever transposed.
 *
 * @returns Nothing if they are not exactly the parameters of the model.
 */
export function fitTensors(model: Model, tensors: Tensors): Fitted | undefined {
  if (areParameters(model, tensors)) return { tensors };
  const [first] = model.parameters;
  const longer = [...tensors.keys()].find((name) => name.endsWith(`.${first.name}`));
  const prefix = longer?.slice(0, longer.length - first.name.length) ?? "";
  if (prefix !== "" && [...tensors.keys()].every((name) => name.startsWith(prefix))) {
    const bare = new Map([...tensors].map(([name, tensor]) => [name.slice(prefix.length), tensor]));
    if (areParameters(model, bare)) {
      return { tensors: bare, note: `its tensors' names begin with ${quote(prefix)}, left out` };
    }
  }
  return fitByShape(model, tensors);
}

/** The models of the zoo whose parameters tensors can be, each for the images and classes of these.
 *
 * Where several sizes of images fit, it is 28 x 28 if that is among them, else the smallest.
 */
export function zooModelsOf(
  tensors: Tensors,
  names: readonly ModelName[] = MODEL_NAMES,
): readonly Model[] {
  const models = names.flatMap((name) => sizedModel(name, tensors) ?? []);
  const named = models.filter((model) => fitTensors(model, tensors)?.tensors === tensors);
  return named.length > 0 ? named : models;
}

function sizedModel(name: ModelName, tensors: Tensors): Model | undefined {
  const all = [...tensors].flatMap(([name, tensor]) => STATISTIC.test(name) ? [] : [tensor]);
  const count = all.reduce((sum, { data }) => sum + data.length, 0);
  const heads = all.filter(({ shape }) => shape.length === 2 && shape[0] > 0 && shape[0] <= 256);
  for (const classCount of new Set(heads.map(({ shape }) => shape[0]))) {
    for (const channels of [1, 3]) {
      const sized = (side: number) =>
        sizedAs({ classCount, inputShape: [channels, side, side] }, name);
      for (const side of [28, smallestSide(count, sized)]) {
        const model = sized(side);
        if (model?.parameterCount === count && fitTensors(model, tensors)) return model;
      }
    }
  }
  return undefined;
}

/** The smallest side of images with as many parameters: their number grows with it. */
function smallestSide(count: number, sized: (side: number) => Model | undefined): number {
  let [low, high] = [1, MAX_SIDE];
  while (low < high) {
    const side = (low + high) >> 1;
    const found = sized(side)?.parameterCount ?? (side < 28 ? 0 : Infinity);
    if (found < count) low = side + 1;
    else high = side;
  }
  return low;
}

/** PyTorch's names of what is no parameter. */
const STATISTIC = /\.(running_mean|running_var|num_batches_tracked)$/;

function areParameters({ parameters, statistics }: Model, tensors: Tensors): boolean {
  const expected = [...parameters, ...statistics].filter(({ name }) =>
    tensors.has(name) || !name.endsWith(COUNT)
  );
  return tensors.size === expected.length &&
    expected.every(({ name, shape }) => String(tensors.get(name)?.shape) === String(shape));
}

/** PyTorch numbers the modules of an nn.Sequential, and others are called as their author liked. */
function fitByShape({ parameters, statisticCount }: Model, tensors: Tensors): Fitted | undefined {
  if (tensors.size !== parameters.length || statisticCount > 0) return undefined;
  const fitted = new Map<string, Tensor>();
  const pairs: string[] = [];
  const weights = parameters.filter(({ kind }) => kind === "weight");
  for (const { name, shape } of weights) {
    const isAlike = (other: Pick<PlacedTensor, "shape">) => String(other.shape) === String(shape);
    const found = [...tensors].filter(([other, tensor]) =>
      other.endsWith("weight") && isAlike(tensor)
    );
    const [layer, theirs] = [name, found[0]?.[0] ?? ""].map((text) =>
      text.slice(0, -"weight".length)
    );
    const bias = tensors.get(`${theirs}bias`);
    const isUnique = found.length === 1 && weights.filter(isAlike).length === 1;
    if (!isUnique || String(bias?.shape) !== String([shape[0]])) return undefined;
    fitted.set(name, found[0][1]).set(`${layer}bias`, bias!);
    pairs.push(`${quote(theirs.slice(0, -1))} is ${quote(layer.slice(0, -1))}`);
  }
  return {
    tensors: fitted,
    note: `its tensors are told apart by their shapes: ${pairs.join(", ")}`,
  };
}
