"""On real hardware: every engine right, always the same, and chosen by measurement.

The contract of the kernels runs there too, in the same files as without a GPU:

    python -m pytest -q -m "gpu or not slow" tests/contract/test_kernels.py tests/deploy/kernels \
        tests/deploy/test_cuda_graph.py tests/deploy/test_on_gpu.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pruneflow.deploy import engines
from pruneflow.deploy.api import deploy_model
from pruneflow.deploy.backends.base import BACKENDS
from pruneflow.deploy.loading import load
from pruneflow.deploy.measure.gate import reference
from pruneflow.deploy.network import Network, of_module
from pruneflow.deploy.place import Place, exact_sums
from tests.deploy.gpu import on_gpu
from tests.deploy.networks import KNOWN, prune_

pytestmark = on_gpu

NAMES = [name for name in BACKENDS if "cuda" in BACKENDS[name].devices]
COMPILED = ("torch_compile", "torch_compile_max")
REPEATS = 50


def network(name: str, precision: str) -> tuple[Network, torch.Tensor]:
    """A known network at 80 %, on the GPU, and inputs on the CPU."""
    make, shape = KNOWN[name]
    x = torch.randn(64, *shape)
    return of_module(prune_(make(), 0.8), x).on(Place("cuda", precision)), x


def blocks(kind: str) -> Network:
    """Two layers whose weights have a pattern."""
    keep = torch.rand(4, 4) < 0.5
    mask = keep.repeat_interleave(64, 0).repeat_interleave(64, 1)
    if kind == "2:4":
        mask = torch.tensor([True, False, False, True]).repeat(256, 64)
    module = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 256))
    for layer in (module[0], module[2]):
        layer.weight.data *= mask
    return of_module(module, torch.randn(2, 256)).on(Place("cuda", "bf16"))


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("known", ["lenet_300_100", "lenet5", "small_resnet"])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in COMPILED])
def test_every_engine_is_right_and_always_the_same(name: str, known: str, precision: str) -> None:
    there, x = network(known, precision)
    if why := engines.hindrance(there, name):
        pytest.skip(why)
    if name in ("torch_bsr", "torch_2_4", "triton_nm"):
        pytest.skip("it wants a pattern")
    right = reference(there, x)
    with exact_sums():
        run = engines.build(there, name, 1)
        for batch in (1, 17, 64):
            assert right.judge(run, batch).passed
            given = there.place.put(x[:batch])
            first = run(given)
            if BACKENDS[name].kind == "sparse" and name.startswith("triton"):
                assert all(torch.equal(run(given), first) for _ in range(REPEATS))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("torch_bsr", "blocks"), ("triton_bsr", "blocks"), ("torch_2_4", "2:4"), ("triton_nm", "2:4")],
)
@pytest.mark.parametrize("batch", [1, 16, 64])
def test_patterns_have_engines_of_their_own(name: str, kind: str, batch: int) -> None:
    there = blocks(kind)
    x = torch.randn(64, 256)
    with exact_sums():
        assert reference(there, x).judge(engines.build(there, name, 1), batch).passed


def test_a_network_is_deployed_and_loaded() -> None:
    make, shape = KNOWN["lenet_300_100"]
    x = torch.randn(64, *shape)
    data = [(x, torch.randint(0, 10, (64,)))]
    options: dict[str, Any] = {"batches": (1, 16), "seconds": 0.1, "max_accuracy_drop": 100}
    done = deploy_model(
        prune_(make(), 0.95), x, "out", device="cuda", precision="bf16", validation=data, **options
    )
    assert done.report["device"]["gpu"] == torch.cuda.get_device_name()
    assert {cell["device"] for cell in done.report["latency"]} == {"cuda"}
    assert done.report["gate"]["passed"]
    timed = done.report["latency"][0]["engines"]
    assert {"torch", "torch_graph", "triton_sell", "triton_fused"} <= timed.keys()
    given = x.to("cuda", torch.bfloat16)
    loaded = load("out")
    assert torch.equal(loaded(given[:1]), done.module(given[:1]))
    assert loaded.backend_for(1) == done.module.backend_for(1)


@pytest.mark.parametrize("backend", ["triton_sell", "triton_bsr", "triton_fused"])
def test_torch_can_export_and_compile_what_is_deployed(backend: str) -> None:
    there, x = network("lenet_300_100", "bf16")
    run = engines.build(there, backend, 1)

    class Holder(nn.Module):
        def forward(self, given: torch.Tensor) -> torch.Tensor:
            return run(given)

    given = there.place.put(x)
    expected = run(given)
    assert torch.equal(torch.export.export(Holder(), (given,)).module()(given), expected)
    assert torch.equal(torch.compile(Holder())(given), expected)


@pytest.mark.skipif(not shutil.which("compute-sanitizer"), reason="no compute-sanitizer here")
@pytest.mark.parametrize("tool", ["memcheck", "racecheck", "synccheck"])
def test_the_sanitizer_finds_nothing(tool: str, repository: Path) -> None:
    script = repository / "tests" / "deploy" / "kernels" / "sanitized.py"
    done = subprocess.run(
        ["compute-sanitizer", "--tool", tool, "--error-exitcode", "9", sys.executable, script],
        cwd=repository, capture_output=True, text=True,
        env={**os.environ, "PYTORCH_NO_CUDA_MEMORY_CACHING": "1"},  # or what is beside is known too
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
