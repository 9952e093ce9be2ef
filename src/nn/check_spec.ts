/** Checks of layer specs, which may come from a config file: every field, before anything is built. */

import { quote } from "../quote.ts";
import type { LayerSpec } from "./layers.ts";

const MAX_SIZE = 65_536;
const MAX_LAYERS = 1_000;
/** Numbers in one tensor, or in all parameters: 1 GiB of float32. */
const MAX_ELEMENTS = 2 ** 28;

/** Which fields a layer has and the smallest value of each; a pair's field ends in a star. */
const FIELDS: Record<LayerSpec["type"], Record<string, number>> = {
  conv2d: { outChannels: 1, "inChannels?": 1, "kernelSize*": 1, "stride*": 1, "padding*": 0 },
  avgPool2d: { "poolSize*": 1, "stride*": 1 },
  maxPool2d: { "poolSize*": 1, "stride*": 1 },
  sigmoid: {},
  tanh: {},
  relu: {},
  flatten: {},
  linear: { outFeatures: 1, "inFeatures?": 1 },
};

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
  const field = { label: `model "${name}"`, key: "inputShape", minimum: 1 };
  for (const size of inputShape) checkSize(size, field);
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

/** Checks the type and every size of one layer spec.
 *
 * @throws {TypeError} If the spec is not an object or its type or name is not supported.
 * @throws {RangeError} If a size is not a whole number in range.
 */
export function checkSpec(spec: unknown, index: number): asserts spec is LayerSpec {
  if (typeof spec !== "object" || spec === null) {
    throw new TypeError(`Cannot read layer ${index}: expected an object, found ${quote(spec)}`);
  }
  const fields = spec as Record<string, unknown>;
  const { type } = fields;
  if (typeof type !== "string" || !Object.hasOwn(FIELDS, type)) {
    const known = Object.keys(FIELDS).join(", ");
    throw new TypeError(
      `Unknown layer type ${quote(type)} at layer ${index}: expected one of ${known}`,
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
  for (const [field, minimum] of Object.entries(FIELDS[type as LayerSpec["type"]])) {
    const key = field.replace(/[*?]$/, "");
    if (field.endsWith("*")) checkPair(fields[key], { label, key, minimum });
    else if (!field.endsWith("?") || fields[key] !== undefined) {
      checkSize(fields[key], { label, key, minimum });
    }
  }
}

interface Field {
  readonly label: string;
  readonly key: string;
  readonly minimum: number;
}

function checkPair(value: unknown, field: Field): void {
  if (!Array.isArray(value) || value.length !== 2) {
    throw new TypeError(
      `Invalid ${field.key} of ${field.label}: expected [height, width], found ${quote(value)}`,
    );
  }
  for (const size of value) checkSize(size, field);
}

function checkSize(value: unknown, field: Field): void {
  const { label, key, minimum } = field;
  if (!Number.isInteger(value) || Number(value) < minimum || Number(value) > MAX_SIZE) {
    throw new RangeError(
      `Invalid ${key} of ${label}: expected a whole number in ${minimum}..${MAX_SIZE}, ` +
        `found ${quote(value)}`,
    );
  }
}
