"""Networks of src/formats/pytorch.ts as modules of PyTorch."""

from collections import OrderedDict

import torch
from torch import nn


class Residual(nn.Module):
    def __init__(self, body, shortcut):
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x):
        return self.body(x) + self.shortcut(x)


def build(expression):
    return eval(expression, {"nn": nn, "OrderedDict": OrderedDict, "Residual": Residual})


def load(network, flat):
    """Copies a flat vector into the parameters, in their order; running statistics begin again."""
    for module in network.modules():
        if hasattr(module, "reset_running_stats"):
            module.reset_running_stats()
    with torch.no_grad():
        for parameter, part in zip(
            network.parameters(), flat.split([p.numel() for p in network.parameters()]), strict=True
        ):
            parameter.copy_(part.view_as(parameter))
