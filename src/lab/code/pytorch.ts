/** An experiment as a PyTorch program. */

import { torchGroups, torchModel, torchOptimizer } from "../../formats/pytorch.ts";
import type { WeightInit } from "../../nn/init.ts";
import type { Schedule } from "../../train/plan.ts";
import { type Experiment, initOf, optimizerOf } from "../experiment.ts";
import type { Written } from "./typescript.ts";

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
  const init = initOf(experiment);
  const std = init.type === "normal" ? String(init.standardDeviation) : "";
  const model = torchModel(layers, inputShape);
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

groups = ${torchGroups(optimizer)}
optimizer = torch.optim.${torchOptimizer(optimizer, "LEARNING_RATE")}
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
