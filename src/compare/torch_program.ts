/** A model and an optimiser as PyTorch's own expressions, so that whatever the zoo holds has a peer. */

import type { LayerKind, LayerOf } from "../nn/layers/table.ts";
import type { OptimizerSpec } from "../nn/optimizers.ts";
import type { Model } from "../nn/sequential.ts";

/** A module's expression, and the layers that it reads; -1 is the image. */
export type TorchLayer = readonly [expression: string, inputs: readonly number[]];

/** In these expressions `nn` is torch.nn, and `Sum` a module that adds what it is given. */
const MODULES: { readonly [Kind in LayerKind]: (layer: LayerOf<Kind>) => string } = {
  conv2d: ({ inputShape: [inChannels], outputShape: [outChannels], weight, ...layer }) =>
    `nn.Conv2d(${inChannels}, ${outChannels}, (${layer.kernelSize}), (${layer.stride}), ` +
    `(${layer.padding}), groups=${inChannels / weight.shape[1]}, ${biasOf(layer)})`,
  avgPool2d: (layer) => `nn.AvgPool2d(${windowOf(layer)})`,
  maxPool2d: (layer) => `nn.MaxPool2d(${windowOf(layer)})`,
  sigmoid: () => "nn.Sigmoid()",
  tanh: () => "nn.Tanh()",
  relu: () => "nn.ReLU()",
  flatten: () => "nn.Flatten()",
  linear: (layer) => `nn.Linear(${layer.inputShape}, ${layer.outputShape}, ${biasOf(layer)})`,
  residual: () => "Sum()",
  globalAvgPool2d: (layer) => `nn.AvgPool2d(${windowOf(layer)})`,
  leakyRelu: ({ negativeSlope }) => `nn.LeakyReLU(${negativeSlope})`,
  batchNorm2d: (layer) => `nn.BatchNorm2d(${normOf(layer)})`,
  batchNorm1d: (layer) => `nn.BatchNorm1d(${normOf(layer)})`,
  dropout: ({ p }) => `nn.Dropout(${p})`,
};

function normOf({ inputShape, eps, momentum }: LayerOf<"batchNorm2d">): string {
  return `${inputShape[0]}, eps=${eps}, momentum=${momentum}`;
}

function biasOf({ parameters }: Pick<LayerOf<"linear">, "parameters">): string {
  return `bias=${parameters.length > 1 ? "True" : "False"}`;
}

function windowOf(layer: Pick<LayerOf<"avgPool2d">, "poolSize" | "stride">): string {
  const padding = "padding" in layer ? layer.padding : [0, 0];
  return `(${layer.poolSize}), (${layer.stride}), (${padding})`;
}

/** The layers of a model in the order of computation, with parameters in the order of its flat vector. */
export function torchLayers({ layers }: Model): TorchLayer[] {
  return layers.map((layer) => {
    const write = MODULES[layer.type] as (layer: unknown) => string;
    return [write(layer), layer.inputs];
  });
}

type OptimizerTable = {
  readonly [Type in OptimizerSpec["type"]]: (
    spec: Extract<OptimizerSpec, { readonly type: Type }>,
  ) => string;
};

const OPTIMIZERS: OptimizerTable = {
  sgd: ({ momentum, weightDecay, nesterov }) =>
    `SGD(${groups(weightDecay)}, lr=0.0, momentum=${momentum}, nesterov=${
      nesterov ? "True" : "False"
    })`,
  adam: ({ beta1, beta2, epsilon }) =>
    `Adam(parameters, lr=0.0, betas=(${beta1}, ${beta2}), eps=${epsilon})`,
  adamw: ({ beta1, beta2, epsilon, weightDecay }) =>
    `AdamW(${groups(weightDecay)}, lr=0.0, betas=(${beta1}, ${beta2}), eps=${epsilon})`,
};

/** Weights decay; biases, scales and shifts, which have one axis, do not. */
function groups(weightDecay = 0): string {
  const group = (which: string, decay: number) =>
    `{"params": [p for p in parameters if p.dim() ${which}], "weight_decay": ${decay}}`;
  return `[${group("> 1", weightDecay)}, ${group("<= 1", 0)}]`;
}

/** A class of torch.optim, applied to `parameters`; the learning rate is set in each step. */
export function torchOptimizer(spec: OptimizerSpec): string {
  return (OPTIMIZERS[spec.type] as (spec: OptimizerSpec) => string)(spec);
}
