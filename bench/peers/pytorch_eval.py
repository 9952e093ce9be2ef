"""Loads exported models into PyTorch's modules and evaluates them on a test set.

    deno task export --format safetensors --out model.safetensors
    python3 bench/peers/pytorch_eval.py model.safetensors data/sample

Needs torch alone, 1.13 or later. Prints the modules of each, and one line of JSON: loss,
accuracy, predictions. A file's metadata describes the layers; its tensors are called as in the
`state_dict` of an nn.Sequential of these layers, with residual blocks as modules of a `body` and a
`shortcut`.
"""

import gzip
import json
import struct
import sys
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F


def read_safetensors(path):
    """Tensors by name, and the metadata: float32, and counts of batches as int64."""
    content = bytearray(Path(path).read_bytes())
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8:8 + length])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        dtype = {"F32": torch.float32, "I64": torch.int64}[entry["dtype"]]
        start, end = entry["data_offsets"]
        count = (end - start) // torch.empty(0, dtype=dtype).element_size()
        flat = torch.frombuffer(content, dtype=dtype, count=count, offset=8 + length + start)
        tensors[name] = flat.clone().view(entry["shape"])
    return tensors, metadata


class Residual(nn.Module):
    """body(x) + x, or body(x) + shortcut(x)."""

    def __init__(self, body, shortcut):
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, values):
        return self.body(values) + (self.shortcut(values) if self.shortcut else values)


def module_of(layer, values):
    """The module of a layer that takes such values."""
    kind, inputs = layer["type"], values.shape[1]
    bias = layer.get("bias", True)
    if kind == "conv2d":
        sizes = [tuple(layer[key]) for key in ("kernelSize", "stride", "padding")]
        groups = layer.get("groups", 1)
        return nn.Conv2d(inputs, layer["outChannels"], *sizes, groups=groups, bias=bias)
    if kind == "linear":
        return nn.Linear(inputs, layer["outFeatures"], bias)
    if kind in ("avgPool2d", "maxPool2d"):
        pool = nn.AvgPool2d if kind == "avgPool2d" else nn.MaxPool2d
        padding = tuple(layer.get("padding", (0, 0)))
        return pool(tuple(layer["poolSize"]), tuple(layer["stride"]), padding)
    if kind in ("batchNorm2d", "batchNorm1d"):
        norm = nn.BatchNorm2d if kind == "batchNorm2d" else nn.BatchNorm1d
        return norm(inputs, layer["eps"], layer["momentum"])
    if kind == "residual":
        around = layer.get("shortcut")
        return Residual(build(layer["body"], values), build(around, values) if around else None)
    return {
        "globalAvgPool2d": lambda: nn.AdaptiveAvgPool2d(1),
        "leakyRelu": lambda: nn.LeakyReLU(layer["negativeSlope"]),
        "dropout": lambda: nn.Dropout(layer["p"]),
        "sigmoid": nn.Sigmoid,
        "tanh": nn.Tanh,
        "relu": nn.ReLU,
        "flatten": nn.Flatten,
    }[kind]()


def build(layers, values):
    """The nn.Sequential of layers; sizes of inputs are found by running values through them."""
    modules = OrderedDict()
    for index, layer in enumerate(layers):
        module = module_of(layer, values).eval()
        modules[layer.get("name", str(index))] = module
        with torch.no_grad():
            values = module(values)
    return nn.Sequential(modules)


def read_idx(folder, name):
    for path in (Path(folder, name), Path(folder, f"{name}.gz")):
        if path.exists():
            content = path.read_bytes()
            content = gzip.decompress(content) if path.suffix == ".gz" else content
            rank = content[3]
            shape = struct.unpack_from(f">{rank}I", content, 4)
            data = torch.frombuffer(bytearray(content[4 + 4 * rank:]), dtype=torch.uint8)
            return data.view(shape)
    raise FileNotFoundError(f"Cannot find {name} or {name}.gz in {folder}")


def evaluate(path, folder):
    tensors, metadata = read_safetensors(path)
    description = json.loads(metadata["lenet"])
    model = build(description["layers"], torch.zeros(1, *description["inputShape"]))
    model.load_state_dict(tensors)
    assert all(tensors[name].dtype == kept.dtype for name, kept in model.state_dict().items())
    print(model, file=sys.stderr)
    images = read_idx(folder, "t10k-images-idx3-ubyte").unsqueeze(1) / 255
    labels = read_idx(folder, "t10k-labels-idx1-ubyte").long()
    standardization = description.get("standardization", {"mean": 0, "std": 1})
    images = (images - standardization["mean"]) / standardization["std"]
    with torch.no_grad():
        logits = model.eval()(images)
    predictions = logits.argmax(1)
    print(json.dumps({
        "torch": torch.__version__,
        "model": description["name"],
        "count": len(labels),
        "loss": F.cross_entropy(logits, labels).item(),
        "accuracy": (predictions == labels).float().mean(dtype=torch.float64).item(),
        "predictions": predictions.tolist(),
    }))


if __name__ == "__main__":
    *files, test_set = sys.argv[1:]
    for file in files:
        evaluate(file, test_set)
