"""Loads an exported model into PyTorch's nn.Sequential and evaluates it on a test set.

    deno task export --format safetensors --out model.safetensors
    python3 bench/peers/pytorch_eval.py model.safetensors data/sample

Needs torch alone. Prints the modules, then one line of JSON: loss, accuracy, predictions. The file's
metadata describes the layers; its names are `LAYER.weight`, in the order of the modules.
"""

import gzip
import json
import struct
import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F


def read_safetensors(path):
    """Tensors by name in the order of the file, and the metadata; float32 only."""
    content = bytearray(Path(path).read_bytes())
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8:8 + length])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        assert entry["dtype"] == "F32", name
        start, end = entry["data_offsets"]
        flat = torch.frombuffer(
            content, dtype=torch.float32, count=(end - start) // 4, offset=8 + length + start
        )
        tensors[name] = flat.clone().view(entry["shape"])
    return tensors, metadata


def module_of(layer, channels_or_features):
    kind = layer["type"]
    if kind == "conv2d":
        sizes = [tuple(layer[key]) for key in ("kernelSize", "stride", "padding")]
        return nn.Conv2d(channels_or_features, layer["outChannels"], *sizes)
    if kind == "linear":
        return nn.Linear(channels_or_features, layer["outFeatures"])
    if kind in ("avgPool2d", "maxPool2d"):
        pool = nn.AvgPool2d if kind == "avgPool2d" else nn.MaxPool2d
        return pool(tuple(layer["poolSize"]), tuple(layer["stride"]))
    return {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU, "flatten": nn.Flatten}[kind]()


def build(description):
    """The nn.Sequential of a description; sizes of inputs are found by running an empty image."""
    modules, values = [], torch.zeros(1, *description["inputShape"])
    for layer in description["layers"]:
        module = module_of(layer, values.shape[1])
        modules.append(module)
        with torch.no_grad():
            values = module(values)
    return nn.Sequential(*modules)


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


def main(path, folder):
    tensors, metadata = read_safetensors(path)
    description = json.loads(metadata["lenet"])
    model = build(description)
    state = dict(zip(model.state_dict(), tensors.values()))
    assert len(state) == len(tensors), "the file has other parameters than its description"
    model.load_state_dict(state)
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
    main(*sys.argv[1:])
