"""LeNet in PyTorch, eager, on the GPU, by the same recipe: the data set is resident on the device.

    python3 bench/peers/pytorch_gpu_lenet.py [--epochs 20] [--batch-size 256] [--images 60000]

Prints the device, training images a second (median epoch and quartiles) and the time of all epochs.
"""

import argparse
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--batch-size", type=int, default=256)
parser.add_argument("--images", type=int, default=60_000)
parser.add_argument("--tf32", action="store_true", help="allow TF32; default: float32 throughout")
options = parser.parse_args()

torch.manual_seed(1)
torch.backends.cuda.matmul.allow_tf32 = options.tf32
torch.backends.cudnn.allow_tf32 = options.tf32
torch.backends.cudnn.benchmark = True
device = torch.device("cuda")

model = nn.Sequential(
    nn.Conv2d(1, 6, 5, padding=2), nn.Sigmoid(), nn.AvgPool2d(2),
    nn.Conv2d(6, 16, 5), nn.Sigmoid(), nn.AvgPool2d(2),
    nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
).to(device)
for layer in model:
    if isinstance(layer, (nn.Conv2d, nn.Linear)):
        nn.init.xavier_uniform_(layer.weight)
optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
images = torch.randint(256, (options.images, 1, 28, 28), dtype=torch.uint8, device=device)
labels = torch.randint(10, (options.images,), device=device)


def train_epoch() -> torch.Tensor:
    """Trains on all images once, in a new order, without reading anything back."""
    order = torch.randperm(options.images, device=device)
    loss_sum = torch.zeros((), device=device)
    correct = torch.zeros((), dtype=torch.long, device=device)
    for start in range(0, options.images, options.batch_size):
        batch = order[start:start + options.batch_size]
        logits = model(images[batch].float() / 255)
        loss = F.cross_entropy(logits, labels[batch])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        loss_sum += loss.detach() * len(batch)
        correct += (logits.argmax(1) == labels[batch]).sum()
    return loss_sum / options.images


def timed_epoch() -> float:
    torch.cuda.synchronize()
    start = time.perf_counter()
    loss = train_epoch().item()
    torch.cuda.synchronize()
    elapsed = time.perf_counter() - start
    assert 2 < loss < 3, f"the model does not train: loss {loss}"  # labels are random: log(10) = 2.30
    return elapsed


timed_epoch()  # warms up: kernels are loaded, algorithms chosen
times = [timed_epoch() for _ in range(options.epochs)]
steps = -(-options.images // options.batch_size)
low, median, high = statistics.quantiles(times, n=4) if len(times) > 1 else times * 3
print(f"PyTorch {torch.__version__}, {torch.cuda.get_device_name()}, batch {options.batch_size}")
print(f"{options.images / median:,.0f} images/s ({options.images / high:,.0f}-{options.images / low:,.0f})"
      f", {1e6 * median / steps:.0f} us a step")
print(f"{options.epochs} epochs of {options.images:,} images: {sum(times):.2f} s")
