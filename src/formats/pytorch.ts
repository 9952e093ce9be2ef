/** Layers and optimisers as PyTorch's own expressions, for programs that train the same network in it. */

import type { LayerKind, LayerSpec, OfKind } from "../nn/layers/table.ts";
import type { OptimizerSpec } from "../nn/optimizers.ts";
import { outputShapeOf, type Shape } from "../nn/sequential.ts";

/** How a layer is written: for the shape of its input, and inside so many modules. */
type Written<Spec> = (spec: Spec, input: Shape, depth: number) => string;

type Pair = OfKind<LayerSpec, "conv2d">["stride"];

/** In these expressions `nn` is torch.nn, and `Residual` a module that adds what its two modules give. */
const MODULES: { readonly [Kind in LayerKind]: Written<OfKind<LayerSpec, Kind>> } = {
  conv2d: ({ outChannels, kernelSize, stride, padding, groups = 1, bias }, [inChannels]) =>
    `nn.Conv2d(${inChannels}, ${outChannels}, ${pairText(kernelSize)}` +
    `${option("stride", stride, 1)}${option("padding", padding, 0)}` +
    `${groups === 1 ? "" : `, groups=${groups}`}${biasText(bias)})`,
  avgPool2d: (spec) => `nn.AvgPool2d(${windowText(spec)})`,
  maxPool2d: (spec) => `nn.MaxPool2d(${windowText(spec)})`,
  globalAvgPool2d: () => "nn.AdaptiveAvgPool2d(1)",
  sigmoid: () => "nn.Sigmoid()",
  tanh: () => "nn.Tanh()",
  relu: () => "nn.ReLU()",
  leakyRelu: ({ negativeSlope }) => `nn.LeakyReLU(${negativeSlope})`,
  batchNorm2d: (spec, [channels]) => `nn.BatchNorm2d(${channels}, ${normText(spec)})`,
  batchNorm1d: (spec, [features]) => `nn.BatchNorm1d(${features}, ${normText(spec)})`,
  dropout: ({ p }) => `nn.Dropout(${p})`,
  flatten: () => "nn.Flatten()",
  linear: ({ outFeatures, bias }, [inFeatures]) =>
    `nn.Linear(${inFeatures}, ${outFeatures}${biasText(bias)})`,
  residual: ({ body, shortcut = [] }, input, depth) =>
    `Residual(${torchModel(body, input, depth)}, ${torchModel(shortcut, input, depth)})`,
};

function pairText([height, width]: Pair): string {
  return height === width ? String(height) : `(${height}, ${width})`;
}

function option(name: string, value: Pair, usual: number): string {
  return value.every((size) => size === usual) ? "" : `, ${name}=${pairText(value)}`;
}

function biasText(bias = true): string {
  return bias ? "" : ", bias=False";
}

function windowText(
  { poolSize, stride, padding = [0, 0] }: OfKind<LayerSpec, "maxPool2d">,
): string {
  return `${pairText(poolSize)}, ${pairText(stride)}${option("padding", padding, 0)}`;
}

function normText({ eps, momentum }: OfKind<LayerSpec, "batchNorm2d">): string {
  return `eps=${eps}, momentum=${momentum}`;
}

/** Layers in a row as one expression of several lines: an `nn.Sequential` whose modules have our names.
 *
 * Its parameters come in the order of a model's flat vector. `OrderedDict` is that of collections.
 *
 * @param depth Modules around it, by which its lines are indented.
 */
export function torchModel(specs: readonly LayerSpec[], input: Shape, depth = 0): string {
  if (specs.length === 0) return "nn.Sequential()";
  const indent = "    ".repeat(depth + 1);
  let shape = input;
  const lines = specs.map((spec, index) => {
    const write = MODULES[spec.type] as Written<LayerSpec>;
    const line = `${indent}("${spec.name ?? index}", ${write(spec, shape, depth + 1)}),\n`;
    shape = outputShapeOf(spec, shape);
    return line;
  });
  return `nn.Sequential(OrderedDict([\n${lines.join("")}${"    ".repeat(depth)}]))`;
}

type OptimizerTable = {
  readonly [Type in OptimizerSpec["type"]]: (
    spec: OfKind<OptimizerSpec, Type>,
    learningRate: string,
  ) => string;
};

const OPTIMIZERS: OptimizerTable = {
  sgd: ({ momentum, nesterov }, learningRate) =>
    `SGD(groups, lr=${learningRate}, momentum=${momentum}${nesterov ? ", nesterov=True" : ""})`,
  adam: (spec, learningRate) => `Adam(groups, lr=${learningRate}, ${momentsText(spec)})`,
  adamw: (spec, learningRate) => `AdamW(groups, lr=${learningRate}, ${momentsText(spec)})`,
};

function momentsText(
  { beta1, beta2, epsilon }: Omit<OfKind<OptimizerSpec, "adam">, "type">,
): string {
  return `betas=(${beta1}, ${beta2}), eps=${epsilon}`;
}

/** A class of torch.optim, applied to `groups` as {@linkcode torchGroups} writes them.
 *
 * @param learningRate An expression.
 */
export function torchOptimizer(spec: OptimizerSpec, learningRate: string): string {
  const write = OPTIMIZERS[spec.type] as OptimizerTable["sgd"];
  return write(spec as OfKind<OptimizerSpec, "sgd">, learningRate);
}

/** The parameters of `model` in groups: weights decay; biases, scales and shifts, which have one axis, do
 * not. */
export function torchGroups(spec: OptimizerSpec): string {
  const decay = "weightDecay" in spec ? spec.weightDecay ?? 0 : 0;
  if (decay === 0) return "model.parameters()";
  const group = (which: string, decay: number) =>
    `    {"params": [one for one in model.parameters() if one.dim() ${which} 1], "weight_decay": ${decay}},\n`;
  return `[\n    # Biases and norms do not decay.\n${group(">", decay)}${group("<=", 0)}]`;
}
