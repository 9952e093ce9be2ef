/** Between a model's flat parameter vector and named tensors, as files hold them. */

import { checkArray, checkModelArgument, checkNumber } from "../check.ts";
import { type Model, type Parameter, showShape } from "../nn/sequential.ts";
import { quote } from "../quote.ts";
import type { Tensor } from "./safetensors.ts";

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
