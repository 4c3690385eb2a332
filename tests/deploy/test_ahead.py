"""Networks compiled for a GPU that is elsewhere: checked, whole, and told where they cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from pruneflow import load
from pruneflow.deploy.api import Deployment, deploy_model
from pruneflow.deploy.backends.base import BACKENDS
from pruneflow.deploy.backends.triton import KERNELS_OF
from pruneflow.deploy.kernels import KERNELS
from pruneflow.errors import DeployError
from tests.deploy.gpu import gpu_is_absent
from tests.deploy.networks import prune_
from tests.deploy.reports import require_sound

pytest.importorskip("triton")

X = torch.linspace(-1, 1, 2 * 3 * 6 * 6).reshape(2, 3, 6, 6)


def network(groups: int = 1) -> nn.Module:
    """A convolution of 3x3, one of 1x1, a layer behind them."""
    return prune_(nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 12, 1, groups=groups), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(108, 5),
    ), 0.6)  # fmt: skip


def compiled(module: nn.Module, **options: Any) -> Deployment:
    return deploy_model(module, X, "out", target="cubin", batches=1, **options)


def index() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("out/kernels/kernels.json").read_text())
    return found


def test_every_layer_and_the_whole_network_are_compiled() -> None:
    module = network()
    done = compiled(module)
    require_sound(done.report)
    assert {(row["layer"], row["kernel"]) for row in done.report["kernels"]} >= {
        ("0", "bsr_conv"), ("whole network", "fused"),
    }  # fmt: skip
    assert {row["layer"] for row in done.report["kernels"]} == {"0", "2", "6", "whole network"}
    assert done.report["gate"]["engines"].keys() >= {"torch", "triton_sell", "triton_bsr"}
    assert all(entry["passed"] for entry in done.report["gate"]["engines"].values())
    assert torch.allclose(done.module(X), module(X), atol=1e-5)


def test_a_program_finds_all_it_has_to_pass() -> None:
    compiled(network(), arch="sm_80")
    stored = load_file("out/kernels/packed.safetensors")
    for launch in index()["launches"]:
        cubin = Path("out/kernels", launch["cubin"]).read_bytes()
        assert launch["symbol"].encode() in cubin
        for argument in launch["arguments"]:
            if argument["is"] == "packed":
                assert argument["tensor"] in stored
            assert {"name", "type", "is"} <= argument.keys()
        kinds = [argument["is"] for argument in launch["arguments"]]
        assert kinds[-2:] == ["scratch", "scratch"]


@gpu_is_absent
def test_the_bundle_is_for_a_gpu() -> None:
    module = network()
    compiled(module)
    with pytest.warns(UserWarning, match="deployed for a GPU, and there is none here"):
        loaded = load("out")
    assert torch.allclose(loaded(X), module(X), atol=1e-5)


def test_a_layer_without_a_kernel_is_named() -> None:
    why = compiled(network(groups=3)).report["verdict"]["why"]
    assert "compiled ahead of time, and nothing was timed" in why
    assert "; 2 has no kernel" in why


def test_what_is_no_graph_has_nothing_to_compile() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.inner(x)
            return y.log_softmax(-1)

    with pytest.raises(DeployError, match=r"deploy\.target=cubin: "):
        compiled(Odd())
    assert not Path("out").exists()


def test_kernels_and_backends_know_each_other() -> None:
    named = [kernel for kernels in KERNELS_OF.values() for kernel in kernels.values()]
    assert sorted(named) == sorted(KERNELS)
    assert all(
        KERNELS[name].op == op for found in KERNELS_OF.values() for op, name in found.items()
    )
    assert set(KERNELS_OF) <= set(BACKENDS)
