"""Programs that wait for each other, on a real GPU: again and again, in graphs, on streams."""

from __future__ import annotations

from threading import Thread

import pytest
import torch

from pruneflow.deploy.kernels.fused import FusedNetwork
from pruneflow.deploy.measure.rounding import Bounded, bounded
from pruneflow.deploy.network import of_module
from tests.deploy.networks import KNOWN, prune_

pytestmark = pytest.mark.gpu


def network(name: str) -> tuple[FusedNetwork, torch.Tensor, Bounded]:
    """On the GPU, with inputs and what they lead to."""
    make, shape = KNOWN[name]
    x = torch.randn(4, *shape)
    found = of_module(prune_(make(), 0.9), x)
    assert found.graph is not None
    tensors = {key: tensor.cuda() for key, tensor in found.tensors.items()}
    right = bounded(found.graph, found.tensors, x)
    return FusedNetwork(found.graph, tensors), x.cuda(), right


@pytest.mark.parametrize("name", list(KNOWN))
def test_every_config_gives_the_same_every_time(name: str) -> None:
    module, x, right = network(name)
    for config in module.configs(len(x)):
        module.config = config
        y = module(x)
        assert ((y.cpu().double() - right.value).abs() <= right.bound).all()
        for _ in range(200):
            assert torch.equal(module(x), y)


def test_captured_networks_are_replayed_beside_others() -> None:
    module, x, _ = network("lenet5")
    module.config = {"PROGRAMS": 8, "SPLIT": 0, "num_warps": 4}
    wanted = module(x)
    graphs = []
    for _ in range(2):
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            y = module(x)
        graphs.append((graph, y))
    found: list[bool] = []

    def replay(graph: torch.cuda.CUDAGraph, y: torch.Tensor) -> None:
        with torch.cuda.stream(torch.cuda.Stream()):
            for _ in range(100):
                graph.replay()
                found.append(torch.equal(y, wanted) and torch.equal(module(x), wanted))

    torch.cuda.synchronize()
    threads = [Thread(target=replay, args=pair) for pair in graphs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 200
