"""Networks of src/compare/torch_program.ts as modules of PyTorch."""

import torch
from torch import nn


class Sum(nn.Module):
    def forward(self, *values):
        return sum(values[1:], values[0])


class Network(nn.Module):
    """Layers in the order of computation: an expression that makes each, and those it reads."""

    def __init__(self, layers):
        super().__init__()
        names = {"nn": nn, "Sum": Sum}
        self.layers = nn.ModuleList(eval(expression, names) for expression, _ in layers)
        self.inputs = [tuple(inputs) for _, inputs in layers]

    def forward(self, image):
        values = [image]
        for layer, inputs in zip(self.layers, self.inputs):
            values.append(layer(*(values[index + 1] for index in inputs)))
        return values[-1]


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
