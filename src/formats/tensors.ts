/** Tensors of foreign files: numbers as bytes, little-endian, the order of axes, and files beside them. */

import { volume } from "../nn/layers/layer.ts";
import { showShape } from "../nn/sequential.ts";

interface NumberType {
  /** Bytes that a number takes. */
  readonly bytes: number;
  readonly read: (view: DataView, byteOffset: number) => number;
}

/** The types that are read. */
const TYPES = {
  float64: { bytes: 8, read: (view, at) => view.getFloat64(at, true) },
  float32: { bytes: 4, read: (view, at) => view.getFloat32(at, true) },
  float16: { bytes: 2, read: (view, at) => view.getFloat16(at, true) },
  bfloat16: { bytes: 2, read: (view, at) => fromBfloat16(view.getUint16(at, true)) },
  int64: { bytes: 8, read: (view, at) => Number(view.getBigInt64(at, true)) },
  int32: { bytes: 4, read: (view, at) => view.getInt32(at, true) },
  uint16: { bytes: 2, read: (view, at) => view.getUint16(at, true) },
  uint8: { bytes: 1, read: (view, at) => view.getUint8(at) },
  bool: { bytes: 1, read: (view, at) => view.getUint8(at) },
} satisfies Record<string, NumberType>;

/** Name of a type that is read. */
export type NumberTypeName = keyof typeof TYPES;

/** Bytes of one number. */
export function bytesOf(type: NumberTypeName): number {
  return TYPES[type].bytes;
}

/** Gives the numbers in bytes, each by its place among them. */
export function numbersIn(bytes: Uint8Array, type: NumberTypeName): (place: number) => number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { bytes: size, read }: NumberType = TYPES[type];
  return (place) => read(view, place * size);
}

/** Numbers as bytes, little-endian as every machine is that runs this. */
export function littleEndian(
  { buffer, byteOffset, byteLength }: Float32Array | Int32Array | Int8Array | BigInt64Array,
): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(new Uint8Array(buffer, byteOffset, byteLength));
}

/** The shortest decimal that is this float32, as it was meant: 0.1 for 0.10000000149011612. */
export function decimalOf(value: number): number {
  const shortest = [1, 2, 3, 4, 5, 6, 7, 8].map((digits) => Number(value.toPrecision(digits)))
    .find((short) => Math.fround(short) === value);
  return shortest ?? value;
}

const BITS = new DataView(new ArrayBuffer(4));

/** A float32 whose lower half is zeros. */
function fromBfloat16(bits: number): number {
  BITS.setUint32(0, bits << 16);
  return BITS.getFloat32(0);
}

/** Whether a name from a file leads to a file beside it, and nowhere else. */
export function isNameBeside(name: unknown): name is string {
  return typeof name === "string" && /^[^/\\:\p{C}]+$/u.test(name) && !/^\.+$/.test(name);
}

/** A tensor with its axes in another order, as `transpose` of NumPy. */
export function permuted<Data extends Float32Array | readonly number[]>(
  { shape, data }: { readonly shape: readonly number[]; readonly data: Data },
  perm: readonly number[],
): { readonly shape: readonly number[]; readonly data: Data } {
  if (perm.toSorted((a, b) => a - b).join() !== [...shape.keys()].join()) {
    throw new TypeError(`perm must order ${shape.length} axes, found ${showShape(perm)}`);
  }
  const steps = stepsOf(shape);
  const sizes = perm.map((axis) => shape[axis]);
  const places = placesOf(sizes, perm.map((axis) => steps[axis]));
  return { shape: sizes, data: data.map((_: number, n: number) => data[places[n]]) as typeof data };
}

/** A tensor's numbers, repeated to fill a shape, as NumPy broadcasts them. */
export function expanded(
  { shape, data }: { readonly shape: readonly number[]; readonly data: ArrayLike<number> },
  target: readonly number[],
): number[] {
  const own = [...Array(target.length - shape.length).fill(1), ...shape];
  if (own.some((size, axis) => size !== 1 && size !== target[axis])) {
    throw new TypeError(`it takes ${showShape(shape)} and ${showShape(target)}`);
  }
  const steps = stepsOf(own).map((step, axis) => own[axis] === 1 ? 0 : step);
  return Array.from(placesOf(target, steps), (place) => data[place]);
}

/** The place of each element of a shape, where one step along each axis is so long. */
function placesOf(sizes: readonly number[], steps: readonly number[]): Uint32Array {
  const places = new Uint32Array(volume(sizes));
  let length = 1;
  for (let axis = sizes.length - 1; axis >= 0; length *= sizes[axis--]) {
    for (let n = length; n < sizes[axis] * length; n++) {
      places[n] = places[n - length] + steps[axis];
    }
  }
  return places;
}

function stepsOf(shape: readonly number[]): number[] {
  return shape.map((_, axis) => volume(shape.slice(axis + 1)));
}
