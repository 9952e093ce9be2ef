/** An experiment as a PyTorch program. */

import type { LayerKind, LayerSpec, OfKind } from "../../nn/layers/table.ts";
import type { OptimizerSpec } from "../../nn/optimizers.ts";
import type { WeightInit } from "../../nn/init.ts";
import { outputShapeOf, type Shape } from "../../nn/sequential.ts";
import type { Schedule } from "../../train/plan.ts";
import { type Experiment, initOf, optimizerOf } from "../experiment.ts";
import type { Written } from "./typescript.ts";

/** How a kind is written, for an input of a shape. */
type Rendered<Spec> = (spec: Spec, input: Shape, depth: number) => string;

/** A pair of sizes. */
type Sizes = readonly [number, number];

/** What the constructors of both share: a field that is left out is as usual. */
interface ConvolutionFields {
  readonly outChannels: number;
  readonly kernelSize: Sizes;
  readonly stride: Sizes;
  readonly padding: Sizes;
  readonly groups?: number;
  readonly bias?: boolean;
}

interface PoolFields {
  readonly poolSize: Sizes;
  readonly stride: Sizes;
  readonly padding?: Sizes;
}

const pool = (name: string) => ({ poolSize, stride, padding = [0, 0] }: PoolFields) =>
  `nn.${name}(${pair(poolSize)}, ${pair(stride)}${option("padding", padding, 0)})`;

const norm = (name: string) =>
(
  { momentum, eps }: { readonly momentum: number; readonly eps: number },
  [channels]: Shape,
) => `nn.${name}(${channels}, eps=${eps}, momentum=${momentum})`;

const WRITTEN = {
  conv2d: (
    { outChannels, kernelSize, stride, padding, groups = 1, bias = true }: ConvolutionFields,
    [inChannels]: Shape,
  ) =>
    `nn.Conv2d(${inChannels}, ${outChannels}, ${pair(kernelSize)}` +
    `${option("stride", stride, 1)}${option("padding", padding, 0)}` +
    `${groups === 1 ? "" : `, groups=${groups}`}${bias ? "" : ", bias=False"})`,
  avgPool2d: pool("AvgPool2d"),
  maxPool2d: pool("MaxPool2d"),
  globalAvgPool2d: () => "nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())",
  sigmoid: () => "nn.Sigmoid()",
  tanh: () => "nn.Tanh()",
  relu: () => "nn.ReLU()",
  leakyRelu: (spec: object) =>
    `nn.LeakyReLU(${Object.values(spec).find((one) => typeof one === "number")})`,
  batchNorm2d: norm("BatchNorm2d"),
  batchNorm1d: norm("BatchNorm1d"),
  dropout: ({ p }: { readonly p: number }) => `nn.Dropout(${p})`,
  flatten: () => "nn.Flatten()",
  linear: (
    { outFeatures, bias = true }: { readonly outFeatures: number; readonly bias?: boolean },
    [inFeatures]: Shape,
  ) => `nn.Linear(${inFeatures}, ${outFeatures}${bias ? "" : ", bias=False"})`,
  residual: (
    { body, shortcut = [] }: {
      readonly body: readonly LayerSpec[];
      readonly shortcut?: readonly LayerSpec[];
    },
    input: Shape,
    depth: number,
  ): string =>
    `Residual(${sequentialOf(body, input, depth)}, ${sequentialOf(shortcut, input, depth)})`,
};

/** Each kind as PyTorch has it. */
const KINDS: { readonly [Kind in LayerKind]: Rendered<OfKind<LayerSpec, Kind>> } = WRITTEN;

function pair([height, width]: Sizes): string {
  return height === width ? String(height) : `(${height}, ${width})`;
}

function option(name: string, value: Sizes, usual: number): string {
  return value.every((size) => size === usual) ? "" : `, ${name}=${pair(value)}`;
}

function sequentialOf(specs: readonly LayerSpec[], input: Shape, depth: number): string {
  const indent = "    ".repeat(depth + 1);
  let shape = input;
  const lines = specs.map((spec, index) => {
    const render = KINDS[spec.type] as Rendered<LayerSpec>;
    const line = `${indent}("${spec.name ?? index}", ${render(spec, shape, depth + 1)}),\n`;
    shape = outputShapeOf(spec, shape);
    return line;
  });
  return lines.length === 0
    ? "nn.Sequential()"
    : `nn.Sequential(OrderedDict([\n${lines.join("")}${"    ".repeat(depth)}]))`;
}

/** An optimiser's fields by name; one that is left out is 0. */
type OptimizerFields = Readonly<Record<string, number | boolean | undefined>>;

const OPTIMIZERS:
  & { readonly [Type in OptimizerSpec["type"]]: (fields: OptimizerFields) => string }
  & Readonly<Record<string, (fields: OptimizerFields) => string>> = {
    sgd: ({ momentum = 0, nesterov }) =>
      `SGD(groups, lr=LEARNING_RATE, momentum=${momentum}` +
      `${nesterov ? ", nesterov=True" : ""})`,
    adam: (fields) => `Adam(groups, lr=LEARNING_RATE, ${momentsOf(fields)})`,
    adamw: (fields) => `AdamW(groups, lr=LEARNING_RATE, ${momentsOf(fields)})`,
  };

/** What an optimiser is given: all parameters, or those that decay and the rest. */
function decayGroups({ weightDecay = 0 }: OptimizerFields): string {
  return weightDecay === 0 ? "groups = model.parameters()\n" : `# Biases and norms do not decay.
groups = [
    {"params": [one for one in model.parameters() if one.dim() > 1], "weight_decay": ${weightDecay}},
    {"params": [one for one in model.parameters() if one.dim() <= 1], "weight_decay": 0},
]
`;
}

function momentsOf({ beta1, beta2, epsilon }: OptimizerFields): string {
  return `betas=(${beta1}, ${beta2}), eps=${epsilon}`;
}

const INITS: { readonly [Type in WeightInit["type"]]: string } = {
  xavierUniform: "nn.init.xavier_uniform_(module.weight)",
  xavierNormal: "nn.init.xavier_normal_(module.weight)",
  normal: "nn.init.normal_(module.weight, std=STD)",
  torchDefault: "pass",
};

const RESIDUAL = `

class Residual(nn.Module):
    def __init__(self, body, shortcut):
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x):
        return self.body(x) + self.shortcut(x)

`;

/** Rates after a rise of whole steps, by schedule; one-cycle rises by itself. */
const RATES: { readonly [Name in Schedule]: string } = {
  "constant": "1",
  "cosine": "0.5 * (1 + math.cos(math.pi * min(1, (step - rise) / max(1, steps - rise))))",
  "step": "0.1 ** ((step - rise) // (math.ceil(EPOCHS / 3) * steps_per_epoch))",
  "one-cycle": "",
};

/** The function of a step, from 0, that gives its learning rate. */
function rateFunction({ schedule, warmup }: Experiment): string {
  const usual = schedule === "one-cycle" && warmup === 0 ? 0.3 : warmup;
  const rise = usual < 1 ? `${usual} * steps` : `${usual} * steps_per_epoch`;
  return schedule === "one-cycle"
    ? `rise = ${rise}


def between(start, end, share):
    return end + (start - end) * (1 + math.cos(math.pi * min(1, share))) / 2


def rate_at(step):
    if step < rise - 1:
        return LEARNING_RATE * between(1 / 25, 1, step / (rise - 1))
    share = max(0, step - rise + 1) / max(1, steps - rise)
    return LEARNING_RATE * between(1, 1 / 250_000, share)

`
    : `rise = math.floor(${rise} + 0.5)


def rate_at(step):
    if step < rise:
        return LEARNING_RATE * (step + 1) / (rise + 1)
    return LEARNING_RATE * ${RATES[schedule]}

`;
}

/** Writes the program: it trains, or tells how well the weights in a file do. */
export function pytorchOf({ experiment, layers, inputShape, rates }: Written): string {
  const { data, learningRate, batchSize, epochs, seed, standardize, labelSmoothing } = experiment;
  const optimizer = optimizerOf(experiment);
  const fields = optimizer as unknown as OptimizerFields;
  const init = initOf(experiment);
  const std = init.type === "normal" ? String(init.standardDeviation) : "";
  const model = sequentialOf(layers, inputShape, 0);
  return `"""The lab's experiment: python3 lab.py trains it; python3 lab.py model.safetensors tells how
well the lab's own weights do.${
    rates.length > 1
      ? " (The learning rate was changed while it trained: here it is the last one.)"
      : ""
  }"""
import gzip
import json
import math
import sys
from collections import OrderedDict

import torch
from torch import nn

FOLDER = "data/${data === "own" ? "own" : data}"  # the four .gz files of the data set
EPOCHS, BATCH_SIZE, LEARNING_RATE = ${epochs}, ${batchSize}, ${learningRate}


def read(name, header):
    with gzip.open(f"{FOLDER}/{name}.gz") as file:
        return torch.frombuffer(bytearray(file.read()[header:]), dtype=torch.uint8)


def load(part):
    labels = read(f"{part}-labels-idx1-ubyte", 8).long()
    images = read(f"{part}-images-idx3-ubyte", 16).float().div(255)
    return images.reshape(len(labels), ${inputShape.join(", ")}), labels
${model.includes("Residual(") ? RESIDUAL : ""}
def evaluate():
    model.eval()
    with torch.no_grad():
        logits = torch.cat([model(part) for part in test_images.split(1000)])
    loss = nn.functional.cross_entropy(logits, test_labels).item()
    return loss, (logits.argmax(1) == test_labels).float().mean().item()


def read_safetensors(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = bytearray(file.read())
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            values = torch.frombuffer(data[begin:end], dtype=torch.float32)
            tensors[name] = values.reshape(entry["shape"])
    return tensors


torch.manual_seed(${seed})
(train_images, train_labels), (test_images, test_labels) = load("train"), load("t10k")
${
    standardize
      ? `mean = train_images.mean((0, 2, 3), keepdim=True)
std = train_images.std((0, 2, 3), correction=0, keepdim=True)
train_images, test_images = (train_images - mean) / std, (test_images - mean) / std
`
      : ""
  }
model = ${model}
for module in model.modules():
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        ${INITS[init.type].replace("STD", std)}

if len(sys.argv) > 1:
    model.load_state_dict(read_safetensors(sys.argv[1]))
    print("test loss %.6f, test accuracy %.4f" % evaluate())
    sys.exit()

${decayGroups(fields)}optimizer = torch.optim.${OPTIMIZERS[optimizer.type](fields)}
steps_per_epoch = math.ceil(len(train_images) / BATCH_SIZE)
steps = EPOCHS * steps_per_epoch
${rateFunction(experiment)}
step = 0
for epoch in range(1, EPOCHS + 1):
    model.train()
    loss_sum = 0.0
    for batch in torch.randperm(len(train_images)).split(BATCH_SIZE):
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step)
        loss = nn.functional.cross_entropy(model(train_images[batch]), train_labels[batch]${
    labelSmoothing > 0 ? `, label_smoothing=${labelSmoothing}` : ""
  })
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss_sum += loss.item() * len(batch)
        step += 1
    train_loss = loss_sum / len(train_images)
    print("epoch %d, train loss %.4f, test loss %.4f, test accuracy %.4f" % (epoch, train_loss, *evaluate()))
`;
}
