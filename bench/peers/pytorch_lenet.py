"""LeNet in PyTorch by the same recipe, from tensors in memory: images a second as JSON lines.

    python3 bench/peers/pytorch_lenet.py THREADS BATCH_SIZE
"""

import json
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

threads, batch_size = (int(argument) for argument in sys.argv[1:3])
torch.set_num_threads(threads)
torch.manual_seed(1)

model = nn.Sequential(
    nn.Conv2d(1, 6, 5, padding=2), nn.Sigmoid(), nn.AvgPool2d(2),
    nn.Conv2d(6, 16, 5), nn.Sigmoid(), nn.AvgPool2d(2),
    nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
)
optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
images = torch.rand(2048, 1, 28, 28)
labels = torch.randint(10, (2048,))


def train() -> float:
    """Trains on all images once; returns the last loss, so that all work is done."""
    loss = torch.zeros(())
    for start in range(0, len(images), batch_size):
        optimizer.zero_grad(set_to_none=True)
        logits = model(images[start:start + batch_size])
        loss = F.cross_entropy(logits, labels[start:start + batch_size])
        loss.backward()
        optimizer.step()
    return loss.item()


def evaluate() -> float:
    with torch.no_grad():
        return F.cross_entropy(model(images), labels).item()


def rate(work) -> float:
    start = time.perf_counter()
    work()
    return len(images) / (time.perf_counter() - start)


train(), evaluate()
assert 1 < train() < 4, "the model does not train"
print(json.dumps({"version": torch.__version__, "threads": threads}), flush=True)
for _ in sys.stdin:  # one sample for each line, so that engines can take turns
    print(json.dumps({"train": rate(train), "evaluate": rate(evaluate)}), flush=True)
