/** Checks of layer specs, which may come from a config file: every field, before anything is built. */

import { quote } from "../quote.ts";
import type { Field } from "./layers/layer.ts";
import { definitionOf, LAYER_KINDS, type LayerSpec } from "./layers/table.ts";

const MAX_SIZE = 65_536;
/** Layers of a model. */
export const MAX_LAYERS = 1_000;
/** Numbers in one tensor, or in all parameters: 1 GiB of float32. */
const MAX_ELEMENTS = 2 ** 28;

/** Checks what a model is made from, apart from its layers.
 *
 * @throws {TypeError} If the specs are not a list, or the name or input shape is not one.
 * @throws {RangeError} If there are too many layers or a size is not a whole number in range.
 */
export function checkModel(specs: unknown, name: unknown, inputShape: unknown): void {
  // A name may come from a file and is shown on terminals.
  if (typeof name !== "string" || !/^\P{C}{1,100}$/u.test(name)) {
    throw new TypeError(
      `Invalid model name ${quote(name)}: expected 1 to 100 characters, none of them a control`,
    );
  }
  if (!Array.isArray(inputShape) || inputShape.length !== 3) {
    throw new TypeError(
      `Invalid inputShape of model "${name}": expected [channels, height, width], ` +
        `found ${quote(inputShape)}`,
    );
  }
  for (const size of inputShape) checkSize(size, 1, `inputShape of model "${name}"`);
  checkElements(inputShape, `the input of model "${name}"`);
  if (!Array.isArray(specs)) {
    throw new TypeError(
      `Cannot build model "${name}": expected a list of layers, found ${quote(specs)}`,
    );
  }
  if (specs.length > MAX_LAYERS) {
    throw new RangeError(
      `Cannot build model "${name}": expected at most ${MAX_LAYERS} layers, found ${specs.length}`,
    );
  }
}

/** Checks that a tensor is not larger than any machine could use.
 *
 * @throws {RangeError} If it is.
 */
export function checkElements(shape: readonly number[], what: string): void {
  const elements = shape.reduce((product, size) => product * size, 1);
  if (elements <= MAX_ELEMENTS) return;
  throw new RangeError(
    `Cannot build ${what}: [${shape.join(", ")}] has more than ${MAX_ELEMENTS} numbers`,
  );
}

/** Checks the type and every field of one layer spec; the layers in a field are left to be placed.
 *
 * @param index Names it in errors: its place among the layers.
 * @throws {TypeError} If the spec is not an object or its type or name is not supported.
 * @throws {RangeError} If a size is not a whole number in range.
 */
export function checkSpec(spec: unknown, index: number | string): asserts spec is LayerSpec {
  if (typeof spec !== "object" || spec === null) {
    throw new TypeError(`Cannot read layer ${index}: expected an object, found ${quote(spec)}`);
  }
  const fields = spec as Record<string, unknown>;
  const { type } = fields;
  if (!isKind(type)) {
    throw new TypeError(
      `Unknown layer type ${quote(type)} at layer ${index}: expected one of ${
        LAYER_KINDS.join(", ")
      }`,
    );
  }
  const { name } = fields;
  if (name !== undefined && (typeof name !== "string" || !/^[A-Za-z_]\w{0,63}$/.test(name))) {
    throw new TypeError(
      `Invalid layer name ${quote(name)} at layer ${index}: expected up to 64 letters, ` +
        `digits and underscores, not starting with a digit`,
    );
  }
  const label = `${type} "${name ?? index}"`;
  for (const [key, field] of Object.entries<Field>(definitionOf({ type }).fields)) {
    const value = fields[key];
    if (!field.optional || value !== undefined) checkField(value, field, `${key} of ${label}`);
  }
}

function isKind(type: unknown): type is LayerSpec["type"] {
  return LAYER_KINDS.some((kind) => kind === type);
}

function checkField(value: unknown, field: Field, what: string): void {
  const { type, minimum } = field;
  if (type === "whole") return checkSize(value, minimum, what);
  if (type === "number") return checkReal(value, field, what);
  if (type === "flag") {
    if (typeof value === "boolean") return;
    throw new TypeError(`Invalid ${what}: expected true or false, found ${quote(value)}`);
  }
  if (type === "layers") {
    if (Array.isArray(value) && value.length >= minimum) return;
    const expected = minimum > 0 ? `a list of ${minimum} or more layers` : "a list of layers";
    throw new TypeError(`Invalid ${what}: expected ${expected}, found ${quote(value)}`);
  }
  if (!Array.isArray(value) || value.length !== 2) {
    throw new TypeError(`Invalid ${what}: expected [height, width], found ${quote(value)}`);
  }
  for (const size of value) checkSize(size, minimum, what);
}

function checkReal(
  value: unknown,
  { minimum, maximum = Infinity, open }: Field,
  what: string,
): void {
  const fits = typeof value === "number" && value <= maximum &&
    (open ? value > minimum : value >= minimum);
  if (fits) return;
  throw new RangeError(
    `Invalid ${what}: expected a number in ${open ? "(" : "["}${minimum}, ${maximum}], found ` +
      `${quote(value)}`,
  );
}

function checkSize(value: unknown, minimum: number, what: string): void {
  if (!Number.isInteger(value) || Number(value) < minimum || Number(value) > MAX_SIZE) {
    throw new RangeError(
      `Invalid ${what}: expected a whole number in ${minimum}..${MAX_SIZE}, found ${quote(value)}`,
    );
  }
}
