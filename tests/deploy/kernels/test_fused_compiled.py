"""The fused kernel compiled ahead of time: programs that wait for each other, and one alone."""

from __future__ import annotations

from unittest.mock import patch

import pytest
import torch

pytest.importorskip("triton")

from pruneflow.deploy.aot.compiling import compile_launches
from pruneflow.deploy.kernels.base import Config
from pruneflow.deploy.kernels.fused import FusedNetwork, launching
from pruneflow.deploy.kernels.launch import Launch
from pruneflow.deploy.network import of_module
from tests.deploy.networks import KNOWN, prune_

ALONE: Config = {"PROGRAMS": 1, "SPLIT": 0, "num_warps": 16}
TOGETHER: Config = {"PROGRAMS": 16, "SPLIT": 0, "num_warps": 4}


def launches(name: str, config: Config) -> list[Launch]:
    make, shape = KNOWN[name]
    network = of_module(prune_(make(), 0.95), torch.randn(1, *shape))
    assert network.graph is not None
    tensors = {key: tensor.bfloat16() for key, tensor in network.tensors.items()}
    module = FusedNetwork(network.graph, tensors)
    module.config = config
    x = torch.zeros(1, *shape, dtype=torch.bfloat16)
    counters = torch.zeros(1, dtype=torch.int32)
    with patch.object(launching, "barriers", lambda device, count: counters):
        return list(module.launches(x, x.new_empty(1, *module.plan.output)))


@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
def test_networks_fit_a_gpu(arch: str) -> None:
    found = [*launches("small_resnet", ALONE), *launches("lenet5", TOGETHER)]
    assert [launch.is_cooperative for launch in found] == [False, True]
    for cubin in compile_launches(found, arch):
        assert cubin.resources.spilled == 0
        assert cubin.resources.registers <= 128
        assert cubin.shared <= 16 * 1024
