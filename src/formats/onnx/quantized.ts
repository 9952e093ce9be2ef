/** Whole numbers of 8 bits in ONNX: QuantizeLinear and DequantizeLinear around the operators of floats,
 * which runtimes join to operators of whole numbers.
 */

import type { Weighted } from "../../nn/layers/layer.ts";
import { definitionOf } from "../../nn/layers/table.ts";
import { IMAGE } from "../../nn/sequential.ts";
import { type Grid, type QuantizedModel, readersOf } from "../quantized_model.ts";
import { float32Bytes } from "../tensors.ts";
import { ATTRIBUTE, ELEMENT, type ProtoInit } from "./schema.ts";

type ModelInit = ProtoInit<"ModelProto">;
type GraphInit = NonNullable<ModelInit["graph"]>;
/** A constant to be written. */
export type TensorInit = NonNullable<GraphInit["initializer"]>[number];
/** A node to be written. */
export type NodeInit = NonNullable<GraphInit["node"]>[number];

/** The image as the first layer reads it. */
export const IMAGE_ON_GRID = "image";

/** A constant of floats. */
export function tensor(
  name: string,
  shape: readonly number[],
  values: Float32Array,
): TensorInit {
  const dims = shape.map(BigInt);
  return { name, dims, dataType: ELEMENT.float32, rawData: float32Bytes(values) };
}

function wholeTensor(
  name: string,
  shape: readonly number[],
  values: Int8Array | Int32Array,
): TensorInit {
  const dims = shape.map(BigInt);
  if (values instanceof Int8Array) {
    return { name, dims, dataType: ELEMENT.int8, rawData: Uint8Array.from(values) };
  }
  const rawData = new Uint8Array(4 * values.length);
  const view = new DataView(rawData.buffer);
  values.forEach((value, n) => view.setInt32(4 * n, value, true));
  return { name, dims, dataType: ELEMENT.int32, rawData };
}

/** Weights and biases as whole numbers, the nodes that make floats of them, and whose place they take. */
export function quantizedWeights({ model, weights }: QuantizedModel) {
  const names = new Set<string>();
  const tensors: TensorInit[] = [];
  const nodes: NodeInit[] = [];
  const add = (
    { name, shape }: Weighted["weight"],
    values: Int8Array | Int32Array,
    scales: Float32Array,
  ) => {
    const [whole, scale] = [`${name}.quantized`, `${name}.scale`];
    names.add(name);
    tensors.push(wholeTensor(whole, shape, values), tensor(scale, [scales.length], scales));
    nodes.push({
      ...{ name: `${name}.dequantize`, opType: "DequantizeLinear" },
      ...{ input: [whole, scale], output: [name] },
      attribute: [{ name: "axis", type: ATTRIBUTE.int, i: 0n }],
    });
  };
  for (const layer of model.layers) {
    const found = weights.get(layer.name);
    if (found === undefined) continue;
    const { weight, bias } = layer as Weighted;
    add(weight, found.weight, found.scales);
    if (bias) add(bias, found.bias, found.biasScales);
  }
  return { names, tensors, nodes };
}

/** Whether a layer's output is rounded to its grid: not the logits, nor sums that a ReLU alone reads, which
 * cuts them off as their grid does: runtimes know these together. */
export function isRoundedAt({ model: { layers }, grids }: QuantizedModel, index: number): boolean {
  const [reader] = readersOf(layers, index);
  const isSum = definitionOf(layers[index]).effect === "multiplies" ||
    layers[index].inputs.length > 1;
  const isCutOff = isSum && reader !== undefined && grids[reader] === grids[index] &&
    definitionOf(layers[reader]).effect === "clamps";
  return grids[index] !== undefined && !isCutOff;
}

/** Scale and zero point of every grid. */
export function gridTensors(quantized: QuantizedModel): TensorInit[] {
  const of = (index: number, { scale, zeroPoint }: Grid) => [
    tensor(gridName(index, "scale"), [], Float32Array.of(scale)),
    wholeTensor(gridName(index, "zero_point"), [], Int8Array.of(zeroPoint)),
  ];
  return [
    ...of(IMAGE, quantized.image),
    ...quantized.grids.flatMap((grid, index) =>
      grid && isRoundedAt(quantized, index) ? of(index, grid) : []
    ),
  ];
}

/** The two nodes that round a value to its grid. */
export function roundedTo(
  { index, from, to }: { readonly index: number; readonly from: string; readonly to: string },
): NodeInit[] {
  const grid = [gridName(index, "scale"), gridName(index, "zero_point")];
  const whole = `${to}.quantized`;
  return [
    { name: `${to}.quantize`, opType: "QuantizeLinear", input: [from, ...grid], output: [whole] },
    { name: `${to}.dequantize`, opType: "DequantizeLinear", input: [whole, ...grid], output: [to] },
  ];
}

function gridName(index: number, part: "scale" | "zero_point"): string {
  return index === IMAGE ? `${IMAGE_ON_GRID}.${part}` : `grid.${index}.${part}`;
}
