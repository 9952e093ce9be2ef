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


def augmented(images, flip=False, shift=0, erase=0):
    """Images [count, channels, height, width] changed as src/data/augment.ts changes them, by torch's random numbers."""
    count, channels, height, width = images.shape

    def whole(least, most):
        return torch.randint(least, most + 1, (count, 1))

    rows, columns = (torch.arange(side) - whole(-shift, shift) for side in (height, width))
    shown = grid((rows >= 0) & (rows < height), (columns >= 0) & (columns < width), torch.logical_and)
    if flip:
        columns = torch.where(whole(0, 1) == 1, width - 1 - columns, columns)
    if erase > 0:
        spans = []
        for side in (height, width):
            least = max(1, round(side / 7))
            length = whole(least, max(least, round(3 * side / 7)))
            start = (torch.rand(count, 1) * (side - length + 1)).long()
            spans.append((torch.arange(side) >= start) & (torch.arange(side) < start + length))
        shown &= ~(grid(*spans, torch.logical_and) & (torch.rand(count, 1, 1) < erase))
    pixels = grid(rows.clamp(0, height - 1) * width, columns.clamp(0, width - 1), torch.add)
    moved = images.flatten(2).gather(2, pixels.view(count, 1, -1).expand(-1, channels, -1))
    return moved.view_as(images) * shown.unsqueeze(1)


def grid(rows, columns, combine):
    """[count, height] and [count, width] as [count, height, width]."""
    return combine(rows.unsqueeze(2), columns.unsqueeze(1))


def read_set(job, part):
    images = read_idx(job["folder"], f"{part}-images-idx3-ubyte").unsqueeze(1) / 255
    labels = read_idx(job["folder"], f"{part}-labels-idx1-ubyte").long()
    mean, std = (torch.tensor(job[key]).view(-1, 1, 1) for key in ("mean", "std"))
    return (images - mean) / std, labels


def main(job):
    torch.set_num_threads(job["threads"])
    torch.manual_seed(job["seed"])
    (images, labels), (test_images, test_labels) = read_set(job, "train"), read_set(job, "t10k")
    network = build(job["model"])
    load(network, torch.frombuffer(bytearray(base64.b64decode(job["parameters"])), dtype=torch.float32))
    groups = eval(job["groups"], {"model": network})
    optimizer = eval(job["optimizer"], vars(optim) | {"groups": groups})
    run = torch.compile(network, dynamic=False) if job["compile"] else network
    rates, augmentation = iter(job["learningRates"]), job["augmentation"]
    order = torch.randperm if job["shuffle"] else torch.arange
    accuracy, epochs, train_seconds = 0.0, 0, 0.0
    while accuracy < job["target"] and epochs < job["epochs"]:
        start = time.perf_counter()
        network.train()
        for indices in order(len(labels)).split(job["batchSize"]):
            rate = next(rates)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad(set_to_none=True)
            batch = augmented(images[indices], **augmentation) if augmentation else images[indices]
            loss = F.cross_entropy(run(batch), labels[indices], label_smoothing=job["labelSmoothing"])
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


if __name__ == "__main__":
    main(json.load(sys.stdin))
