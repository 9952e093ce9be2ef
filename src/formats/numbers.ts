/** How files hold numbers, little-endian, and what their files beside them may be called. */

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

/** Writes float32 numbers. */
export function float32Bytes(values: Float32Array): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(4 * values.length));
  values.forEach((value, n) => view.setFloat32(4 * n, value, true));
  return new Uint8Array(view.buffer);
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
