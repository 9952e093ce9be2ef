"""Four convolutions on drawn pictures, as one would write them by hand: the peer of bench/own_pictures.ts.

    python3 bench/peers/pytorch_pictures.py JOB

JOB is JSON: folder (of train.bin and test.bin, bytes [count, side, side, channels], as many of each class),
side, channels, classes, augment, epochs, batchSize, seed. Prints a line of JSON.
"""

import json
import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

job = json.loads(sys.argv[1])
torch.manual_seed(job["seed"])


def read(part):
    pixels = np.fromfile(f"{job['folder']}/{part}.bin", np.uint8)
    pixels = torch.from_numpy(pixels.reshape(-1, job["side"], job["side"], job["channels"]))
    images = F.avg_pool2d(pixels.permute(0, 3, 1, 2) / 255, job["side"] // 64)
    return images, torch.arange(job["classes"]).repeat_interleave(len(images) // job["classes"])


(images, labels), (test_images, test_labels) = read("train"), read("test")
mean, std = images.mean((0, 2, 3), keepdim=True), images.std((0, 2, 3), keepdim=True)
images, test_images = (images - mean) / std, (test_images - mean) / std

layers, channels = [], job["channels"]
for width in (16, 32, 48, 64):
    layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
    channels = width
net = nn.Sequential(*layers[:-1], nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, job["classes"]))

batches = -(-len(images) // job["batchSize"])
optimizer = torch.optim.Adam(net.parameters())
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.003, total_steps=job["epochs"] * batches)
for _ in range(job["epochs"]):
    for batch in torch.randperm(len(images)).split(job["batchSize"]):
        batch_images = images[batch]
        if job["augment"]:
            dims = [dim for dim in (2, 3) if torch.rand(()) < 0.5]
            shifts = torch.randint(-4, 5, (2,)).tolist()
            turned = batch_images.flip(dims).rot90(int(torch.randint(4, ())), (2, 3))
            batch_images = turned.roll(shifts, (2, 3))
        optimizer.zero_grad()
        F.cross_entropy(net(batch_images), labels[batch]).backward()
        optimizer.step()
        schedule.step()
net.eval()
with torch.no_grad():
    print(json.dumps({"accuracy": (net(test_images).argmax(1) == test_labels).float().mean().item()}))
