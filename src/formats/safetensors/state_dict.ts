/** The tensors of a `state_dict`: a model's flat parameter vector by name, whatever a file calls them. */

import { checkArray, checkModelArgument, checkNumber } from "../../check.ts";
import { type Model, type Parameter, showShape } from "../../nn/sequential.ts";
import { MODEL_NAMES, type ModelName } from "../../nn/zoo.ts";
import { quote } from "../../quote.ts";
import { sizedAs } from "../trained_model.ts";
import type { Tensor } from "./file.ts";

/** Names the slices of a flat vector by the model's parameters; the data is copied.
 *
 * @throws {TypeError} If the vector is not one of float32.
 * @throws {RangeError} If it is not as long as the model's parameters.
 * @example The names that PyTorch has
 * ```ts
 * import { initialParameters, lenet, toTensors } from "@lenet/lenet";
 *
 * const model = lenet();
 * const tensors = toTensors(model, initialParameters(model, 0));
 * if (!tensors.has("conv1.weight")) throw new Error("expected conv1.weight");
 * ```
 */
export function toTensors(model: Model, values: Float32Array): Map<string, Tensor> {
  checkModelArgument(model);
  checkArray("parameters", values, Float32Array);
  checkNumber("length of parameters", values.length, {
    min: model.parameterCount,
    max: model.parameterCount,
  });
  return new Map(
    model.parameters.map(({ name, shape, offset, size }) => [
      name,
      { shape, data: values.slice(offset, offset + size) },
    ]),
  );
}

/** Collects a model's parameters from named tensors into a flat vector.
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
  for (const { name, shape } of model.parameters) {
    const tensor = tensors.get(name);
    if (tensor === undefined) {
      const found = [...tensors].map(([other, { shape }]) => ({ name: other, shape }));
      const expected = listTensors([{ name, shape }]);
      throw misfit(model, label, `expected ${expected}, found ${listTensors(found)}`);
    }
    if (showShape(tensor.shape) !== showShape(shape)) {
      const [expected, found] = [showShape(shape), showShape(tensor.shape)];
      throw misfit(model, label, `"${name}" must be ${expected}, found ${found}`);
    }
  }
  const known = new Set(model.parameters.map(({ name }) => name));
  for (const name of tensors.keys()) {
    if (!known.has(name)) throw misfit(model, label, `it has no parameter ${quote(name)}`);
  }
  const values = new Float32Array(model.parameterCount);
  for (const { name, offset } of model.parameters) values.set(tensors.get(name)!.data, offset);
  return values;
}

/** Names and shapes of tensors, the first few. */
export function listTensors(tensors: readonly Pick<Parameter, "name" | "shape">[]): string {
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
  const all = [...tensors.values()];
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

function areParameters({ parameters }: Model, tensors: Tensors): boolean {
  return tensors.size === parameters.length &&
    parameters.every(({ name, shape }) => String(tensors.get(name)?.shape) === String(shape));
}

/** PyTorch numbers the modules of an nn.Sequential, and others are called as their author liked. */
function fitByShape({ parameters }: Model, tensors: Tensors): Fitted | undefined {
  if (tensors.size !== parameters.length) return undefined;
  const fitted = new Map<string, Tensor>();
  const pairs: string[] = [];
  for (const { name, shape, kind } of parameters) {
    if (kind !== "weight") continue;
    const found = [...tensors].filter(([other, tensor]) =>
      other.endsWith("weight") && String(tensor.shape) === String(shape)
    );
    const same = parameters.filter((other) =>
      other.kind === kind && String(other.shape) === String(shape)
    );
    const [layer, theirs] = [name, found[0]?.[0] ?? ""].map((text) =>
      text.slice(0, -"weight".length)
    );
    const bias = tensors.get(`${theirs}bias`);
    if (found.length !== 1 || same.length !== 1 || String(bias?.shape) !== String([shape[0]])) {
      return undefined;
    }
    fitted.set(name, found[0][1]).set(`${layer}bias`, bias!);
    pairs.push(`${quote(theirs.slice(0, -1))} is ${quote(layer.slice(0, -1))}`);
  }
  return {
    tensors: fitted,
    note: `its tensors are told apart by their shapes: ${pairs.join(", ")}`,
  };
}
