"""Trains networks in PyTorch for comparisons: one JSON reply for each JSON request on stdin.

    python3 pytorch_peer.py eager|compile|cuda|cuda-tf32|cuda-compile|cuda-graph

The requests are those of src/compare/peers.ts.
"""

import base64
import json
import shutil
import sys
import time

import torch
from torch.nn import functional as F

from pytorch_network import build, load

mode = sys.argv[1]
on_cuda, compiled = mode.startswith("cuda"), mode.endswith("compile")
device = torch.device("cuda" if on_cuda else "cpu")
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = mode == "cuda-tf32"
EVALUATION_BATCH = 1024
sets, networks, graphs = [], [], {}


def missing():
    if on_cuda and not torch.cuda.is_available():
        return "finds no CUDA device"
    if compiled and not hasattr(torch, "compile"):
        return f"needs PyTorch 2 or later, found {torch.__version__}"
    if compiled and not (shutil.which("g++") or shutil.which("clang++")):
        return "needs a C++ compiler (on Debian: apt-get install g++)"


def decode(text, dtype=torch.float32):
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=dtype).to(device)


def encode(values):
    return base64.b64encode(bytes(values.cpu().view(torch.uint8).tolist())).decode()


def attach(images, labels, shape, mean, std, index):
    pixels = decode(images, torch.uint8).view(-1, *shape).float() / 255
    mean, std = (torch.tensor(value, device=device).view(-1, 1, 1) for value in (mean, std))
    part = ((pixels - mean) / std, decode(labels, torch.uint8).long())
    if index == len(sets):
        sets.append(part)
    else:
        sets[index] = tuple(map(torch.cat, zip(sets[index], part)))
    return {}


def open_network(model):
    network = build(model).to(device)
    # Each size of batch gets code of its own: sizes that are left open cost speed.
    run = torch.compile(network, dynamic=False) if compiled else network
    networks.append((network, run))
    return {"network": len(networks) - 1}


def set_parameters(network, parameters):
    load(networks[network][0], decode(parameters))
    return {}


def step_of(network, set, learning_rate):
    """One step on the images of some indices: its loss, and how many answers were right."""
    (network, run), (images, labels) = networks[network], sets[set]
    optimizer = torch.optim.SGD(network.parameters(), lr=learning_rate)

    def step(indices):
        # A graph writes into the gradients that there were when it was captured.
        optimizer.zero_grad(set_to_none=mode != "cuda-graph")
        logits, expected = run(images[indices]), labels[indices]
        loss = F.cross_entropy(logits, expected)
        loss.backward()
        optimizer.step()
        return loss.detach(), (logits.argmax(1) == expected).sum()

    return step


def graph_of(network, step, batch_size):
    """The same for whole batches, captured once; the parameters stay as they are."""
    before = {name: value.clone() for name, value in networks[network][0].state_dict().items()}
    place = torch.zeros(batch_size, dtype=torch.long, device=device)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step(place)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = step(place)
    networks[network][0].load_state_dict(before)

    def replay(indices):
        place.copy_(indices)
        graph.replay()
        return [result.clone() for result in results]

    return replay


def train(network, set, order, batchSize, learningRate, threads):
    torch.set_num_threads(threads)
    order = decode(order, torch.int32).long()
    networks[network][0].train()
    key = network, set, batchSize, learningRate
    step = step_of(network, set, learningRate)
    if mode == "cuda-graph" and key not in graphs:
        graphs[key] = graph_of(network, step, batchSize)
    whole_step = graphs.get(key, step)
    losses, correct = [], torch.zeros((), dtype=torch.long, device=device)
    start = time.perf_counter()
    for indices in order.split(batchSize):
        loss, right = (whole_step if len(indices) == batchSize else step)(indices)
        losses.append(loss)
        correct += right
    losses, correct = torch.stack(losses).cpu(), correct.item()  # waits for the device
    elapsed_ms = 1000 * (time.perf_counter() - start)
    return {"losses": encode(losses), "correct": correct, "elapsedMs": elapsed_ms}


def evaluate(network, set, count, threads):
    torch.set_num_threads(threads)
    (network, run), (images, labels) = networks[network], sets[set]
    batches = zip(images[:count].split(EVALUATION_BATCH), labels[:count].split(EVALUATION_BATCH))
    network.eval()
    start = time.perf_counter()
    with torch.no_grad():
        correct = sum((run(batch).argmax(1) == expected).sum().item() for batch, expected in batches)
    return {"correct": correct, "elapsedMs": 1000 * (time.perf_counter() - start)}


def read(network):
    parameters = [parameter.detach().flatten() for parameter in networks[network][0].parameters()]
    return {"parameters": encode(torch.cat(parameters))}


ANSWERS = {"attach": attach, "open": open_network, "load": set_parameters,
           "train": train, "evaluate": evaluate, "read": read}

if compiled:
    import torch._dynamo.config as dynamo
    import torch._inductor.config as inductor
    inductor.force_disable_caches = True  # what the first step costs is part of the result
    for limit in {"recompile_limit", "cache_size_limit"} & set(dir(dynamo)):
        setattr(dynamo, limit, 256)  # beyond it what was asked for would not be compiled, without a word
kind = torch.cuda.get_device_name() if on_cuda and torch.cuda.is_available() else "CPU"
print(json.dumps({"version": torch.__version__, "device": kind, "missing": missing()}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    reply = ANSWERS[request.pop("ask")](**request)
    print(json.dumps({**reply, "cpuMs": 1000 * time.process_time()}), flush=True)
