/** Checks of layer specs, which may come from a config file: every field, before anything is built. */

import type { LayerSpec } from "./layers.ts";

const MAX_SIZE = 65_536;

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

/** Checks the type and every size of one layer spec.
 *
 * @throws {TypeError} If the spec is not an object or its type or name is not supported.
 * @throws {RangeError} If a size is not a whole number in range.
 */
export function checkSpec(spec: unknown, index: number): asserts spec is LayerSpec {
  if (typeof spec !== "object" || spec === null) {
    throw new TypeError(`Cannot read layer ${index}: expected an object, found ${typeof spec}`);
  }
  const fields = spec as Record<string, unknown>;
  const type = String(fields.type);
  if (!Object.hasOwn(FIELDS, type)) {
    const known = Object.keys(FIELDS).join(", ");
    throw new TypeError(`Unknown layer type "${type}" at layer ${index}: expected one of ${known}`);
  }
  const { name } = fields;
  if (name !== undefined && (typeof name !== "string" || !/^[A-Za-z_]\w{0,63}$/.test(name))) {
    throw new TypeError(
      `Invalid layer name ${JSON.stringify(name)} at layer ${index}: expected up to 64 letters, ` +
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
      `Invalid ${field.key} of ${field.label}: expected [height, width], found ${
        JSON.stringify(value)
      }`,
    );
  }
  for (const size of value) checkSize(size, field);
}

function checkSize(value: unknown, field: Field): void {
  const { label, key, minimum } = field;
  if (!Number.isInteger(value) || Number(value) < minimum || Number(value) > MAX_SIZE) {
    throw new RangeError(
      `Invalid ${key} of ${label}: expected a whole number in ${minimum}..${MAX_SIZE}, ` +
        `found ${JSON.stringify(value)}`,
    );
  }
}
