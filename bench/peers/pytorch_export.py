"""Makes tests/fixtures/torch_net.onnx and .json: a network as PyTorch exports it, and what it answers.

    python3 bench/peers/pytorch_export.py tests/fixtures

The network has what a stranger's file has: a convolution without bias, oblong sizes, average pooling
(which PyTorch exports behind a Pad of nothing), dropout, `view`, and a softmax at the end.
"""

import json
import sys

import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(1, 0), bias=False)
        self.conv2 = nn.Conv2d(4, 3, 2)
        self.average = nn.AvgPool2d(2, 1)
        self.maximum = nn.MaxPool2d((1, 2))
        self.dropout = nn.Dropout()
        self.hidden = nn.Linear(3 * 4 * 3, 7)
        self.out = nn.Linear(7, 5)

    def forward(self, images):
        maps = self.maximum(torch.relu(self.conv2(self.average(torch.tanh(self.conv1(images))))))
        hidden = torch.sigmoid(self.hidden(self.dropout(maps.view(-1, 3 * 4 * 3))))
        return F.softmax(self.out(hidden), 1)


torch.manual_seed(0)
net = Net().eval()
generator = torch.Generator().manual_seed(1)
pixels = torch.randint(0, 256, (3, 2, 11, 10), generator=generator)
torch.onnx.export(
    net, pixels[:1] / 255, f"{sys.argv[1]}/torch_net.onnx", opset_version=17,
    input_names=["images"], dynamic_axes={"images": {0: "n"}},
)
with open(f"{sys.argv[1]}/torch_net.json", "w") as file:
    probabilities = net(pixels / 255).flatten().tolist()
    json.dump({
        "meta": f"PyTorch {torch.__version__}, bench/peers/pytorch_export.py",
        "pixels": pixels.flatten().tolist(),
        "probabilities": probabilities,
    }, file)
