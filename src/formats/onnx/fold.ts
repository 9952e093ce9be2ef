/** ONNX operators on constants, which exporters leave to whoever runs a model: sizes and weights. */

import { showShape } from "../../nn/sequential.ts";
import { type Attributes, requireShort } from "./attributes.ts";
import { ELEMENT } from "./schema.ts";
import type { Constant, TensorReader } from "./tensors.ts";

/** A node whose inputs are constants. */
export interface ConstantNode {
  readonly attributes: Attributes;
  /** In the node's order; undefined where one is left out. */
  readonly inputs: readonly (Constant | undefined)[];
  readonly tensors: TensorReader;
}

/** By `op_type`. */
export const FOLDED: ReadonlyMap<string, (node: ConstantNode) => Constant> = new Map(
  Object.entries({
    Constant: readConstant,
    Identity: (node: ConstantNode) => required(node, 0),
    Cast: cast,
    Concat: concat,
    Gather: gather,
    Slice: slice,
    Squeeze: squeeze,
    Unsqueeze: unsqueeze,
    Reshape: reshape,
    Transpose: transposeConstant,
    Add: (node: ConstantNode) => combine(node, (a, b) => a + b),
    Sub: (node: ConstantNode) => combine(node, (a, b) => a - b),
    Mul: (node: ConstantNode) => combine(node, (a, b) => a * b),
    Div: (node: ConstantNode) => combine(node, (a, b) => a / b),
  }),
);

function readConstant({ attributes, tensors }: ConstantNode): Constant {
  const tensor = attributes.tensor("value");
  if (tensor !== undefined) return tensors.read(tensor);
  const [floats, integers] = [attributes.floats("value_floats"), attributes.list("value_ints")];
  if (floats !== undefined) return { shape: [floats.length], data: Float32Array.from(floats) };
  if (integers !== undefined) return { shape: [integers.length], data: integers };
  const [float, integer] = [
    attributes.float("value_float", NaN),
    attributes.integer("value_int", NaN),
  ];
  if (!Number.isNaN(float)) return { shape: [], data: Float32Array.of(float) };
  if (!Number.isNaN(integer)) return { shape: [], data: [integer] };
  throw new TypeError(
    "it must hold numbers: value, value_float, value_floats, value_int, value_ints",
  );
}

function cast(node: ConstantNode): Constant {
  const { shape, data } = required(node, 0);
  const to = node.attributes.integer("to", 0);
  node.attributes.ignore("saturate", "round_mode"); // of types that are refused
  if (isFloat(to)) return { shape, data: Float32Array.from(data) };
  if (to !== ELEMENT.int64 && to !== ELEMENT.int32) throw unsupportedCast(to);
  if (!(data instanceof Float32Array)) return { shape, data };
  if (!data.every(Number.isFinite)) throw new TypeError("it takes what is no number to an integer");
  return { shape, data: Array.from(data, Math.trunc) };
}

/** Whether a type is one of those that are taken as float32. */
export function isFloat(dataType: number): boolean {
  const { float32, float64, float16, bfloat16 } = ELEMENT;
  return [float32, float64, float16, bfloat16].some((type) => type === dataType);
}

/** Says that a Cast changes numbers. */
export function unsupportedCast(to: number): TypeError {
  return new TypeError(`casting to type ${to} is not supported, only to floats`);
}

function concat(node: ConstantNode): Constant {
  const parts = node.inputs.map((_, place) => listOf(node, place));
  node.attributes.requireInteger("axis", 0);
  const data = requireShort(parts.flat(), "its result");
  return { shape: [data.length], data };
}

function gather(node: ConstantNode): Constant {
  const data = listOf(node, 0);
  const { shape, data: indices } = required(node, 1);
  node.attributes.requireInteger("axis", 0);
  const picked = Array.from(indices, (index) => data[index < 0 ? index + data.length : index]);
  if (picked.includes(undefined!)) {
    throw new TypeError(`it takes what is not in ${showShape(data)}`);
  }
  return { shape, data: picked };
}

function slice(node: ConstantNode): Constant {
  const data = listOf(node, 0);
  const { attributes } = node;
  const part = (name: string, place: number) =>
    attributes.list(name) ?? integersAt(node.inputs, place);
  const [starts, ends, axes, steps] = ["starts", "ends", "axes", "steps"]
    .map((name, n) => part(name, n + 1));
  const isWhole = [starts, ends].every((list) => list?.length === 1 && Number.isInteger(list[0]));
  if (!isWhole || (axes ?? [0])[0] !== 0 || (steps ?? [1])[0] !== 1) {
    throw new TypeError("it is supported on lists, with a step of 1");
  }
  const picked = data.slice(starts![0], ends![0]);
  return { shape: [picked.length], data: picked };
}

function squeeze(node: ConstantNode): Constant {
  const { shape, data } = required(node, 0);
  const axes = axesOf(node, shape.length);
  const isLeft = (size: number, axis: number) =>
    axes === undefined ? size !== 1 : !axes.includes(axis);
  if (axes?.some((axis) => shape[axis] !== 1)) {
    throw new TypeError("it removes an axis that is not 1");
  }
  return { shape: shape.filter(isLeft), data };
}

function unsqueeze(node: ConstantNode): Constant {
  const { shape, data } = required(node, 0);
  const given = node.attributes.list("axes") ?? listOf(node, 1);
  return { shape: withOnes(shape, given), data };
}

/** A shape with axes of length 1 at certain places of the result. */
export function withOnes(shape: readonly number[], places: readonly number[]): number[] {
  const rank = shape.length + places.length;
  const inserted = new Set(places.map((place) => normalAxis(place, rank)));
  if (inserted.size < places.length) throw new TypeError("its axes name one twice");
  const left = [...shape];
  return Array.from({ length: rank }, (_, axis) => inserted.has(axis) ? 1 : left.shift()!);
}

/** An axis counted from the front. */
export function normalAxis(axis: number, rank: number): number {
  const counted = axis < 0 ? axis + rank : axis;
  if (Number.isInteger(counted) && counted >= 0 && counted < rank) return counted;
  throw new TypeError(`axis ${axis} is not one of ${rank}`);
}

/** The axes that an operator names, in an attribute of early opsets or its second input. */
export function axesOf(
  { attributes, inputs }: Pick<ConstantNode, "attributes" | "inputs">,
  rank: number,
): number[] | undefined {
  return (attributes.list("axes") ?? integersAt(inputs, 1))?.map((axis) => normalAxis(axis, rank));
}

function reshape(node: ConstantNode): Constant {
  const { shape, data } = required(node, 0);
  const target = listOf(node, 1);
  const copiesZero = node.attributes.integer("allowzero", 0) === 0;
  const sizes = target.map((size, n) => size === 0 && copiesZero ? shape[n] : size);
  const known = sizes.reduce((product, size) => size === -1 ? product : product * size, 1);
  const filled = sizes.map((size) => size === -1 ? data.length / known : size);
  const isFull = filled.reduce((product, size) => product * size, 1) === data.length;
  if (isFull && filled.every((size) => Number.isInteger(size) && size >= 0)) {
    return { shape: filled, data };
  }
  throw new TypeError(`it makes ${showShape(target)} of ${showShape(shape)}`);
}

function transposeConstant(node: ConstantNode): Constant {
  const tensor = required(node, 0);
  return permuted(tensor, node.attributes.list("perm") ?? tensor.shape.map((_, n) => n).reverse());
}

/** A tensor with its axes in another order, as `transpose` of NumPy. */
export function permuted({ shape, data }: Constant, perm: readonly number[]): Constant {
  if (perm.toSorted((a, b) => a - b).join() !== [...shape.keys()].join()) {
    throw new TypeError(`perm must order ${shape.length} axes, found ${showShape(perm)}`);
  }
  const sizes = perm.map((axis) => shape[axis]);
  const steps = stepsOf(shape);
  const turned = data instanceof Float32Array ? new Float32Array(data.length) : [...data];
  eachIndex(sizes, perm.map((axis) => steps[axis]), (from, to) => turned[to] = data[from]);
  return { shape: sizes, data: turned };
}

function combine(node: ConstantNode, operation: (a: number, b: number) => number): Constant {
  const [a, b] = [required(node, 0), required(node, 1)];
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

/** A tensor's numbers, repeated to fill a shape. */
function expanded({ shape, data }: Constant, target: readonly number[]): number[] {
  const own = withOnes(shape, [...Array(target.length - shape.length).keys()]);
  if (own.some((size, axis) => size !== 1 && size !== target[axis])) {
    throw new TypeError(`it takes ${showShape(shape)} and ${showShape(target)}`);
  }
  const steps = stepsOf(own).map((step, axis) => own[axis] === 1 ? 0 : step);
  const values: number[] = [];
  eachIndex(target, steps, (from) => values.push(data[from]));
  return values;
}

/** Visits every element of a shape in order, with its place by other steps. */
function eachIndex(
  sizes: readonly number[],
  steps: readonly number[],
  visit: (from: number, to: number) => void,
): void {
  let to = 0;
  const walk = (axis: number, from: number) => {
    if (axis === sizes.length) return visit(from, to++);
    for (let n = 0; n < sizes[axis]; n++) walk(axis + 1, from + n * steps[axis]);
  };
  walk(0, 0);
}

function stepsOf(shape: readonly number[]): number[] {
  return shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
}

function required({ inputs }: ConstantNode, place: number): Constant {
  const found = inputs[place];
  if (found === undefined) throw new TypeError(`it has no input ${place}`);
  return found;
}

/** The list of whole numbers at a place among a node's inputs. */
function listOf({ inputs }: ConstantNode, place: number): readonly number[] {
  const found = integersAt(inputs, place);
  if (found === undefined) throw new TypeError(`it has no input ${place}`);
  return found;
}

/** The list of whole numbers at a place among inputs, or undefined if there is nothing. */
export function integersAt(
  inputs: readonly (Constant | undefined)[],
  place: number,
): readonly number[] | undefined {
  const found = inputs[place];
  if (found === undefined) return undefined;
  const { shape, data } = found;
  if (shape.length <= 1 && !(data instanceof Float32Array)) {
    return requireShort(data, `its input ${place}`);
  }
  throw new TypeError(`its input ${place} must be a list of whole numbers`);
}
