"""Every kernel launched once or twice on a GPU, for compute-sanitizer to watch."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from pruneflow.deploy.kernels import KERNELS, Activation, Window
from pruneflow.deploy.kernels.fused.network import FusedNetwork
from pruneflow.deploy.network import of_module
from tests.deploy.networks import KNOWN, prune_


def main() -> None:
    """Launch everything."""
    torch.manual_seed(0)
    for kernel in (KERNELS[name] for name in KERNELS):
        shape = (130, 72) if kernel.op == "linear" else (33, 24, 3, 3)
        keep = torch.zeros(shape).reshape(shape[0], -1, 8)
        keep[..., 3] = 1
        weight = (torch.randn(shape) * keep.reshape(shape)).bfloat16()
        packed = kernel.pack(weight).to("cuda")
        for batch in (1, 5, 33):
            inputs = (batch, 72) if kernel.op == "linear" else (batch, 24, 7, 9)
            x = torch.randn(inputs, dtype=torch.bfloat16, device="cuda")
            for config in kernel.configs(packed, batch):
                kernel.run(x, packed, None, Activation("relu"), Window(), config)
    for name in ("lenet_300_100", "lenet5"):
        make, shape = KNOWN[name]
        x = torch.randn(2, *shape)
        network = of_module(prune_(make(), 0.9), x)
        assert network.graph is not None
        tensors = {key: tensor.to("cuda") for key, tensor in network.tensors.items()}
        FusedNetwork(network.graph, tensors)(x.cuda())
    torch.cuda.synchronize()


main()
