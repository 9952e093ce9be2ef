/** The operators of ONNX that compute nothing: other shapes, sizes worked out, parts of lists, constants.
 *
 * Exporters leave to whoever runs a model what they could have worked out themselves.
 */

import { volume } from "../../nn/layers/layer.ts";
import { showShape } from "../../nn/sequential.ts";
import { requireShort } from "../attributes.ts";
import { expanded, permuted } from "../tensors.ts";
import { type Constant, isFloat } from "./constants.ts";
import { axesOf, type ConstantNode, listAt, listOf, normalAxis, required } from "./operators.ts";
import { ELEMENT, type Proto } from "./schema.ts";

/** Of a computed value's shape the batch may be NaN: the free size, of which -1 is the same. */
export function reshape(node: ConstantNode, shape: readonly number[]): number[] {
  const target = listAt(node, 1);
  if (target === undefined) throw new TypeError("it has no shape");
  const copiesZero = node.attributes.number("allowzero", 0) === 0;
  const sizes = target.map((size, n) => size === 0 && copiesZero ? shape[n] : size);
  const count = (list: readonly number[]) => volume(list.filter((size) => !Number.isNaN(size)));
  const left = count(shape) / count(sizes.filter((size) => size !== -1));
  const isBatch = left === 1 && shape.some(Number.isNaN) && !sizes.some(Number.isNaN);
  return sizes.map((size) => size === -1 ? (isBatch ? NaN : left) : size);
}

/** Removes axes of length 1. */
export function squeeze(node: ConstantNode, shape: readonly number[]): number[] {
  const axes = axesOf(node, shape.length);
  const isFree = axes === undefined && shape.some(Number.isNaN);
  if (isFree || axes?.some((axis) => shape[axis] !== 1)) {
    throw new TypeError(
      `it must name axes of length 1 behind the batch, found ${showShape(axes ?? [])}`,
    );
  }
  return shape.filter((size, axis) => axes === undefined ? size !== 1 : !axes.includes(axis));
}

/** Adds axes of length 1. */
export function unsqueeze(node: ConstantNode, shape: readonly number[]): number[] {
  const places = node.attributes.list("axes") ?? listOf(node, 1);
  const rank = shape.length + places.length;
  const inserted = new Set(places.map((place) => normalAxis(place, rank)));
  if (inserted.size < places.length) throw new TypeError("its axes name one twice");
  const left = [...shape];
  return Array.from({ length: rank }, (_, axis) => inserted.has(axis) ? 1 : left.shift()!);
}

/** Orders axes. */
export function transpose(node: ConstantNode): Constant {
  const tensor = required(node, 0);
  return permuted(tensor, node.attributes.list("perm") ?? [...tensor.shape.keys()].reverse());
}

/** Takes numbers for those of another type. */
export function cast(node: ConstantNode): Constant {
  const { shape, data } = required(node, 0);
  const to = node.attributes.number("to", 0);
  node.attributes.ignore("saturate", "round_mode");
  if (isFloat(to)) return { shape, data: Float32Array.from(data) };
  if (to !== ELEMENT.int64 && to !== ELEMENT.int32) throw unsupportedCast(to);
  if (!(data instanceof Float32Array)) return { shape, data };
  if (!data.every(Number.isFinite)) throw new TypeError("it takes what is no number to an integer");
  return { shape, data: Array.from(data, Math.trunc) };
}

/** Says that a Cast changes numbers. */
export function unsupportedCast(to: number): TypeError {
  return new TypeError(`casting to type ${to} is not supported, only to floats`);
}

/** The numbers that a node itself holds. */
export function readConstant({ attributes, tensors }: ConstantNode): Constant {
  const tensor = attributes.value("value") as { readonly tensor: Proto<"TensorProto"> } | undefined;
  if (tensor !== undefined) return tensors.read(tensor.tensor);
  for (const key of ["value_float", "value_floats", "value_int", "value_ints"]) {
    const found = attributes.value(key);
    if (found === undefined) continue;
    const shape = Array.isArray(found) ? [found.length] : [];
    const data = [found].flat().map(Number);
    return { shape, data: key.includes("int") ? requireShort(data, key) : Float32Array.from(data) };
  }
  throw new TypeError(
    "it must hold numbers: value, value_float, value_floats, value_int, value_ints",
  );
}

/** Joins lists. */
export function concat(node: ConstantNode): Constant {
  const parts = node.inputs.map((_, place) => listOf(node, place));
  node.attributes.require("axis", 0);
  const data = requireShort(parts.flat(), "its result");
  return { shape: [data.length], data };
}

/** Picks from a list. */
export function gather(node: ConstantNode): Constant {
  const data = listOf(node, 0);
  const { shape, data: indices } = required(node, 1);
  node.attributes.require("axis", 0);
  const picked = Array.from(indices, (index) => data[index < 0 ? index + data.length : index]);
  if (picked.includes(undefined!)) {
    throw new TypeError(`it takes what is not in ${showShape(data)}`);
  }
  return { shape, data: picked };
}

/** A part of a list. */
export function slice(node: ConstantNode): Constant {
  const data = listOf(node, 0);
  const [starts, ends, axes, steps] = ["starts", "ends", "axes", "steps"]
    .map((name, n) => node.attributes.list(name) ?? listAt(node, n + 1));
  const isWhole = [starts, ends].every((list) => list?.length === 1 && Number.isInteger(list[0]));
  if (!isWhole || (axes ?? [0])[0] !== 0 || (steps ?? [1])[0] !== 1) {
    throw new TypeError("it is supported on lists, with a step of 1");
  }
  const picked = data.slice(starts![0], ends![0]);
  return { shape: [picked.length], data: picked };
}

/** Two tensors element by element, as NumPy broadcasts them. */
export function combine(
  a: Constant,
  b: Constant,
  operation: (a: number, b: number) => number,
): Constant {
  const isFloat = a.data instanceof Float32Array;
  if (isFloat !== b.data instanceof Float32Array) throw new TypeError("it mixes types");
  // Only one of the two may grow: no file can make more numbers than it holds.
  const [larger, smaller] = a.data.length < b.data.length ? [b, a] : [a, b];
  const { shape } = larger.shape.length < smaller.shape.length ? smaller : larger;
  const [left, right] = [a, b].map((operand) => expanded(operand, shape));
  const values = left.map((value, n) => operation(value, right[n]));
  if (isFloat) return { shape, data: Float32Array.from(values) };
  if (values.every(Number.isFinite)) return { shape, data: values.map(Math.trunc) };
  throw new TypeError("arithmetic with the batch size is not supported");
}
