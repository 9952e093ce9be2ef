/** The constants of an ONNX graph as numbers. */

import { quote } from "../../quote.ts";
import type { Tensor } from "../safetensors.ts";
import { ELEMENT, type TensorProto } from "./schema.ts";

/** Numbers in one tensor: 1 GiB of float32, as in any model of this project. */
const MAX_ELEMENTS = 2 ** 28;

/** Reads a float32 constant, whichever of the format's two forms it has.
 *
 * @throws {TypeError} If it is of another type, elsewhere, or not as long as its shape says.
 */
export function floatsOf(tensor: TensorProto): Tensor {
  const shape = shapeOf(tensor);
  const { dataType, rawData, floatData } = tensor;
  if (dataType !== ELEMENT.float32) {
    throw wrong(
      tensor,
      `must be float32, found type ${dataType}; quantised and half-precision ` +
        `models are not supported`,
    );
  }
  const size = requireSize(
    tensor,
    shape,
    rawData.length > 0 ? rawData.length / 4 : floatData.length,
  );
  if (rawData.length === 0) return { shape, data: Float32Array.from(floatData) };
  const view = new DataView(rawData.buffer, rawData.byteOffset, rawData.byteLength);
  return {
    shape,
    data: Float32Array.from({ length: size }, (_, n) => view.getFloat32(4 * n, true)),
  };
}

/** Reads an int64 constant, such as the shape that Reshape takes.
 *
 * @throws {TypeError} If it is of another type, elsewhere, or not as long as its shape says.
 */
export function integersOf(tensor: TensorProto): number[] {
  const shape = shapeOf(tensor);
  const { dataType, rawData, int64Data } = tensor;
  if (dataType !== ELEMENT.int64) throw wrong(tensor, `must be int64, found type ${dataType}`);
  const size = requireSize(
    tensor,
    shape,
    rawData.length > 0 ? rawData.length / 8 : int64Data.length,
  );
  if (rawData.length === 0) return int64Data.map(Number);
  const view = new DataView(rawData.buffer, rawData.byteOffset, rawData.byteLength);
  return Array.from({ length: size }, (_, n) => Number(view.getBigInt64(8 * n, true)));
}

function shapeOf(tensor: TensorProto): number[] {
  if (tensor.dataLocation !== 0) {
    throw wrong(tensor, "lies in another file; save the model as one file");
  }
  const shape = tensor.dims.map(Number);
  const size = shape.reduce((product, length) => product * length, 1);
  if (shape.length > 8 || shape.some((length) => length < 0) || size > MAX_ELEMENTS) {
    throw wrong(tensor, `has no valid shape: [${shape.slice(0, 8).join(", ")}]`);
  }
  return shape;
}

function requireSize(tensor: TensorProto, shape: readonly number[], found: number): number {
  const size = shape.reduce((product, length) => product * length, 1);
  if (size === found) return size;
  throw wrong(tensor, `has ${found} numbers, its shape [${shape.join(", ")}] needs ${size}`);
}

function wrong({ name }: TensorProto, reason: string): TypeError {
  return new TypeError(`tensor ${quote(name)} ${reason}`);
}
