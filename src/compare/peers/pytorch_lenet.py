"""LeNet in PyTorch by the same recipe: one JSON reply for each JSON request on stdin.

    python3 pytorch_lenet.py THREADS

The requests are those of src/compare/peers.ts.
"""

import base64
import json
import math
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

torch.set_num_threads(int(sys.argv[1]))

model = nn.Sequential(
    nn.Conv2d(1, 6, 5, padding=2), nn.Sigmoid(), nn.AvgPool2d(2),
    nn.Conv2d(6, 16, 5), nn.Sigmoid(), nn.AvgPool2d(2),
    nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
)
EVALUATION_BATCH = 1024
sets = {"train": ([], []), "test": ([], [])}


def decode(text: str) -> torch.Tensor:
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8)


def add(request: dict) -> dict:
    images, labels = sets[request["set"]]
    if request["restart"]:
        images.clear(), labels.clear()
    pixels = decode(request["images"]).view(-1, 1, 28, 28).float() / 255
    images.append((pixels - request["mean"]) / request["std"])
    labels.append(decode(request["labels"]).long())
    return {}


def joined(name: str):
    images, labels = sets[name]
    if len(images) > 1:
        images[:], labels[:] = [torch.cat(images)], [torch.cat(labels)]
    return images[0], labels[0]


def load(request: dict) -> dict:
    flat, offset = torch.tensor(request["parameters"]), 0
    with torch.no_grad():
        for parameter in model.parameters():
            part = flat[offset:offset + parameter.numel()]
            parameter.copy_(part.view_as(parameter))
            offset += parameter.numel()
    return {}


def train(request: dict) -> dict:
    images, labels = joined("train")
    order = torch.tensor(request["train"])
    optimizer = torch.optim.SGD(model.parameters(), lr=request["learningRate"])
    losses, corrects = [], torch.zeros((), dtype=torch.long)
    start = time.perf_counter()
    for indices in order.split(request["batchSize"]):
        optimizer.zero_grad(set_to_none=True)
        logits, expected = model(images[indices]), labels[indices]
        loss = F.cross_entropy(logits, expected)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
        corrects += (logits.argmax(1) == expected).sum()
    losses, correct = torch.stack(losses).tolist(), corrects.item()
    elapsed_ms = 1000 * (time.perf_counter() - start)
    finite = [loss if math.isfinite(loss) else None for loss in losses]  # JSON knows no NaN
    return {"losses": finite, "correct": correct, "elapsedMs": elapsed_ms}


def evaluate(request: dict) -> dict:
    images, labels = (part[:request["evaluate"]] for part in joined("test"))
    start = time.perf_counter()
    with torch.no_grad():
        correct = sum(
            (model(batch).argmax(1) == expected).sum().item()
            for batch, expected in zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH))
        )
    return {"correct": correct, "elapsedMs": 1000 * (time.perf_counter() - start)}


def read(_request: dict) -> dict:
    flat = torch.cat([parameter.detach().flatten() for parameter in model.parameters()]).tolist()
    return {"parameters": [value if math.isfinite(value) else None for value in flat]}


def set_threads(request: dict) -> dict:
    torch.set_num_threads(request["threads"])
    return {"threads": torch.get_num_threads()}


ANSWERS = {"threads": set_threads, "set": add, "parameters": load, "train": train, "evaluate": evaluate, "read": read}

print(json.dumps({"version": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    answer = next(answer for key, answer in ANSWERS.items() if key in request)
    reply = answer(request)
    print(json.dumps({**reply, "cpuMs": 1000 * time.process_time()}), flush=True)
