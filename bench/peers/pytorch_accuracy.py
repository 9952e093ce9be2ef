"""Trains until a test accuracy by the recipe of a run of this project: the peer of bench/accuracy.ts.

    python3 bench/peers/pytorch_accuracy.py < job.json

Reads the same IDX files by itself, and prints one line of JSON at its end.
"""

import base64
import json
import sys
import time
from pathlib import Path

import torch
from torch import optim
from torch.nn import functional as F

sys.path.append(str(Path(__file__).parents[2] / "src/compare/peers"))
from pytorch_eval import read_idx  # noqa: E402
from pytorch_network import build, load  # noqa: E402

job = json.load(sys.stdin)
torch.set_num_threads(job["threads"])
torch.manual_seed(job["seed"])


def read_set(part):
    images = read_idx(job["folder"], f"{part}-images-idx3-ubyte").unsqueeze(1) / 255
    labels = read_idx(job["folder"], f"{part}-labels-idx1-ubyte").long()
    mean, std = (torch.tensor(job[key]).view(-1, 1, 1) for key in ("mean", "std"))
    return (images - mean) / std, labels


(images, labels), (test_images, test_labels) = read_set("train"), read_set("t10k")
network = build(job["model"])
load(network, torch.frombuffer(bytearray(base64.b64decode(job["parameters"])), dtype=torch.float32))
groups = eval(job["groups"], {"model": network})
optimizer = eval(job["optimizer"], vars(optim) | {"groups": groups})
run = torch.compile(network, dynamic=False) if job["compile"] else network
rates = iter(job["learningRates"])
accuracy, epochs, train_seconds = 0.0, 0, 0.0
while accuracy < job["target"] and epochs < job["epochs"]:
    start = time.perf_counter()
    network.train()
    for indices in torch.randperm(len(labels)).split(job["batchSize"]):
        rate = next(rates)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(run(images[indices]), labels[indices], label_smoothing=job["labelSmoothing"])
        loss.backward()
        optimizer.step()
    train_seconds += time.perf_counter() - start
    network.eval()
    with torch.no_grad():
        batches = zip(test_images.split(1000), test_labels.split(1000))
        correct = sum((run(batch).argmax(1) == expected).sum().item() for batch, expected in batches)
    accuracy, epochs = correct / len(test_labels), epochs + 1
print(json.dumps({
    "version": torch.__version__, "epochs": epochs, "accuracy": accuracy, "trainMs": 1000 * train_seconds,
}))
