"""What every kernel is compiled for: its best guesses for a few layers and sizes of batch."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from unittest.mock import patch

import torch

from pruneflow.deploy.aot.planning import Layer, Work, plan
from pruneflow.deploy.graphs.graph import Graph
from pruneflow.deploy.kernels import KERNELS, Activation, Window
from pruneflow.deploy.kernels.fused import FusedNetwork, launching
from pruneflow.deploy.tracing.trace import trace
from tests.deploy.networks import lenet5, lenet_300_100, prune_

NETWORKS = {"LeNet-300-100": lenet_300_100, "LeNet-5": lenet5}
FUSED = "fused"
NAMES = [*KERNELS, FUSED]
LINEAR = (1024, 2048)
CONVOLUTIONS = ((128, 128, 3, 3), (128, 128, 5, 5))
SIDE = 14
PROCESSORS = 132
"""Of an H100."""

Case = tuple[str, Work]
"""What is compiled for what, in words without the sizes of tiles."""


def cases(name: str, precision: str) -> Iterator[Case]:
    """All of a kernel's, half precision for more sizes of batch than single precision."""
    dtype: torch.dtype = getattr(torch, precision)
    batches = (1, 16, 256) if precision == "bfloat16" else (16,)
    if name == FUSED:
        found = [_fused(net, dtype, batch) for net in NETWORKS for batch in batches[:2]]
    else:
        found = list(plan(_layers(name, dtype), batches))
    yield from ((f"{one.layer} batch {one.batch}", one) for one in found)


def _mask(rows: int, columns: int) -> torch.Tensor:
    """Half of each four in a quarter of the blocks of 64: something for every kernel."""
    blocks = torch.arange(rows // 64)[:, None] % 4 == torch.arange(columns // 64)[None, :] % 4
    wide = blocks.repeat_interleave(64, 0).repeat_interleave(64, 1)
    return wide & (torch.arange(columns) % 4 < 2)


def _layers(name: str, dtype: torch.dtype) -> Iterator[Layer]:
    for shape in (LINEAR,) if KERNELS[name].op == "linear" else CONVOLUTIONS:
        kept = _mask(*shape[:2]).reshape(*shape[:2], *[1] * len(shape[2:]))
        weight = torch.where(kept, torch.ones(shape), 0.0).to(dtype)
        bias = torch.zeros(shape[0], dtype=dtype)
        window = Window(padding=(shape[-1] // 2,) * 2) if shape[2:] else Window()
        text = "x".join(map(str, shape))
        yield Layer(text, weight, bias, Activation("relu"), window, (SIDE, SIDE), [name])


def _fused(net: str, dtype: torch.dtype, batch: int) -> Work:
    """A whole network, as it would be launched on an H100."""
    graph, tensors = _traced(net)
    fused = FusedNetwork(graph, {name: tensor.to(dtype) for name, tensor in tensors.items()})
    fused.config = launching.configs(fused.plan, batch, PROCESSORS)[0]
    x = torch.empty(batch, *graph.input_shape, dtype=dtype)
    y = torch.empty(batch, *fused.plan.output, dtype=dtype)
    with patch.object(launching, "barriers", _counters):
        launches = fused.launches(x, y)
    return Work(net, FUSED, batch, fused.config, launches, {"input": x, "output": y})


@cache
def _traced(net: str) -> tuple[Graph, dict[str, torch.Tensor]]:
    """A network at a tenth of its weights."""
    module = prune_(NETWORKS[net](), 0.9).eval()
    found = trace(module, torch.zeros(1, 1, 28, 28))
    return found.graph, dict(found.tensors)


def _counters(device: torch.device, count: int) -> torch.Tensor:
    """In place of those that only a GPU has."""
    return torch.zeros(count, dtype=torch.int32, device=device)
