/** The graph of a model as ONNX has it: constants, and nodes that take them.
 *
 * In whole numbers of 8 bits there are QuantizeLinear and DequantizeLinear around the operators of floats,
 * which runtimes join to operators of whole numbers.
 */

import type { Weighted } from "../../nn/layers/layer.ts";
import { definitionOf } from "../../nn/layers/table.ts";
import { IMAGE, type Model } from "../../nn/sequential.ts";
import { isNormalized } from "../../nn/standardization.ts";
import { type Grid, type QuantizedModel, readersOf } from "../quantized_model.ts";
import { tensorsOf } from "../safetensors/state_dict.ts";
import { littleEndian } from "../tensors.ts";
import type { TrainedModel } from "../trained_model.ts";
import { operatorOf } from "./layers.ts";
import { ATTRIBUTE, ELEMENT, type ProtoInit } from "./schema.ts";

type GraphInit = Required<Pick<ProtoInit<"GraphProto">, "node" | "initializer">>;
type TensorInit = GraphInit["initializer"][number];
type NodeInit = GraphInit["node"][number];

/** What the graph takes. */
export const INPUT = "input";
/** What it gives. */
export const OUTPUT = "logits";

/** Initializers of a model that standardizes its pixels. */
const [MEAN, STD, STANDARDIZED] = ["standardization.mean", "standardization.std", "standardized"];
/** The image as the first layer of a quantized model reads it. */
const IMAGE_ON_GRID = "image";

/** The nodes of a model, with its parameters as initializers under their own names. */
export function graphOf(trained: TrainedModel | QuantizedModel): GraphInit {
  const { model } = trained;
  const quantized = "grids" in trained ? trained : undefined;
  const whole = quantized ? wholeWeights(quantized) : [];
  const names = new Set(whole.map(({ name }) => name));
  // Who computes with the model does not count the batches of its training.
  const floats = [...tensorsOf(trained)].filter(([name, { dtype }]) =>
    dtype !== "I64" && !names.has(name)
  );
  return {
    node: [...whole.map(({ node }) => node), ...nodesOf(model, quantized)],
    initializer: [
      ...standardizationOf(model),
      ...floats.map(([name, { shape, data }]) => tensor(name, shape, data)),
      ...whole.flatMap(({ tensors }) => tensors),
      ...quantized ? gridTensors(quantized) : [],
      ...model.layers.flatMap((layer) =>
        Object.entries(operatorOf(layer).write?.(layer).constants ?? {}).map(([key, value]) =>
          tensor(`${layer.name}.${key}`, [], Float32Array.of(value))
        )
      ),
    ],
  };
}

function tensor(
  name: string,
  shape: readonly number[],
  values: Float32Array | Int32Array | Int8Array,
): TensorInit {
  const type = values instanceof Float32Array
    ? "float32"
    : values instanceof Int32Array
    ? "int32"
    : "int8";
  const dims = shape.map(BigInt);
  return { name, dims, dataType: ELEMENT[type], rawData: littleEndian(values) };
}

function standardizationOf({ standardization }: Model): TensorInit[] {
  if (isNormalized(standardization)) return [];
  return ([[MEAN, standardization.mean], [STD, standardization.std]] as const).map(
    ([name, value]) => {
      const shape = typeof value === "number" ? [] : [1, value.length, 1, 1];
      return tensor(name, shape, Float32Array.from([value].flat()));
    },
  );
}

function nodesOf(
  { layers, standardization }: Model,
  quantized: QuantizedModel | undefined,
): NodeInit[] {
  const nodes: NodeInit[] = [];
  let from = INPUT;
  if (!isNormalized(standardization)) {
    const centered = "centered";
    nodes.push(
      { name: "subtract_mean", opType: "Sub", input: [from, MEAN], output: [centered] },
      { name: "divide_by_std", opType: "Div", input: [centered, STD], output: [STANDARDIZED] },
    );
    from = STANDARDIZED;
  }
  if (quantized) {
    nodes.push(...roundedTo({ index: IMAGE, from, to: IMAGE_ON_GRID }));
    from = IMAGE_ON_GRID;
  }
  const valueOf = (index: number) =>
    index === IMAGE ? from : index === layers.length - 1 ? OUTPUT : `${layers[index].name}.output`;
  for (const [index, layer] of layers.entries()) {
    const { name, inputs, parameters } = layer;
    const { opType, write } = operatorOf(layer);
    const { ints = {}, floats = {}, statistics = [], constants = {} } = write?.(layer) ?? {};
    const attribute = [
      ...Object.entries(ints).map(([name, value]) =>
        typeof value === "number"
          ? { name, type: ATTRIBUTE.int, i: BigInt(value) }
          : { name, type: ATTRIBUTE.ints, ints: value.map(BigInt) }
      ),
      ...Object.entries(floats).map(([name, f]) => ({ name, type: ATTRIBUTE.float, f })),
    ];
    const input = [
      ...inputs.map(valueOf),
      ...[...parameters, ...statistics].map(({ name }) => name),
      ...Object.keys(constants).map((key) => `${name}.${key}`),
    ];
    const to = valueOf(index);
    if (quantized && isRoundedAt(quantized, index)) {
      const float = `${to}.float`;
      nodes.push({ name, opType, input, output: [float], attribute });
      nodes.push(...roundedTo({ index, from: float, to }));
    } else nodes.push({ name, opType, input, output: [to], attribute });
  }
  return nodes;
}

/** Weights and biases as whole numbers, and the node that makes each the floats that it stands for. */
function wholeWeights({ model, weights }: QuantizedModel) {
  const dequantized = (
    { name, shape }: Weighted["weight"],
    values: Int8Array | Int32Array,
    scales: Float32Array,
  ) => {
    const [whole, scale] = [`${name}.quantized`, `${name}.scale`];
    const node: NodeInit = {
      ...{ name: `${name}.dequantize`, opType: "DequantizeLinear" },
      ...{ input: [whole, scale], output: [name] },
      attribute: [{ name: "axis", type: ATTRIBUTE.int, i: 0n }],
    };
    return {
      ...{ name, node },
      tensors: [tensor(whole, shape, values), tensor(scale, [scales.length], scales)],
    };
  };
  return model.layers.flatMap((layer) => {
    const found = weights.get(layer.name);
    if (found === undefined) return [];
    const { weight, bias } = layer as Weighted;
    return [
      dequantized(weight, found.weight, found.scales),
      ...bias ? [dequantized(bias, found.bias, found.biasScales)] : [],
    ];
  });
}

/** Whether a layer's output is rounded to its grid: not the logits, nor sums that a ReLU alone reads, which
 * cuts them off as their grid does: runtimes know these together. */
function isRoundedAt({ model: { layers }, grids }: QuantizedModel, index: number): boolean {
  const [reader] = readersOf(layers, index);
  const isSum = definitionOf(layers[index]).effect === "multiplies" ||
    layers[index].inputs.length > 1;
  const isCutOff = isSum && reader !== undefined && grids[reader] === grids[index] &&
    definitionOf(layers[reader]).effect === "clamps";
  return grids[index] !== undefined && !isCutOff;
}

/** Scale and zero point of every grid. */
function gridTensors(quantized: QuantizedModel): TensorInit[] {
  const of = (index: number, { scale, zeroPoint }: Grid) => [
    tensor(gridName(index, "scale"), [], Float32Array.of(scale)),
    tensor(gridName(index, "zero_point"), [], Int8Array.of(zeroPoint)),
  ];
  return [
    ...of(IMAGE, quantized.image),
    ...quantized.grids.flatMap((grid, index) =>
      grid && isRoundedAt(quantized, index) ? of(index, grid) : []
    ),
  ];
}

/** The two nodes that round a value to its grid. */
function roundedTo(
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
