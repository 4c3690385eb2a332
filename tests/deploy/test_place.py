"""Where a network runs: what its numbers become there, and that it is there at all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pruneflow.deploy.backends.base import BACKENDS
from pruneflow.deploy.engines import build, candidates, hindrance
from pruneflow.deploy.graphs.ops import OPS
from pruneflow.deploy.measure.gate import reference
from pruneflow.deploy.network import Network as Deployable
from pruneflow.deploy.network import of_graph, of_module
from pruneflow.deploy.place import CPU, PRECISIONS, Place, exact_sums
from pruneflow.errors import DeployError
from tests.deploy.gpu import gpu_is_absent
from tests.deploy.networks import KNOWN, Network, networks, prune_

NARROW = st.sampled_from([Place("cpu", "bf16"), Place("cpu", "fp16")])


@given(st.floats(-65000, 65000, width=32), st.sampled_from(list(PRECISIONS)))
def test_rounding_is_storing_and_stays_within_the_unit(number: float, precision: str) -> None:
    place, x = Place("cpu", precision), torch.tensor([number])
    stored = place.put(x)
    assert stored.dtype is PRECISIONS[precision]
    assert torch.equal(place.rounded(x), stored.float())
    smallest = torch.finfo(place.dtype).tiny
    off = abs(float(stored.double()) - float(x.double()))
    assert off <= place.unit * max(abs(number), smallest)


def test_whole_numbers_stay() -> None:
    steps = torch.tensor(2**40 + 1)
    assert Place("cpu", "fp16").put(steps) == Place("cpu", "fp16").rounded(steps) == 2**40 + 1


@gpu_is_absent
def test_a_gpu_that_is_not_there_is_said_to_be_missing() -> None:
    CPU.require()
    with pytest.raises(DeployError, match=r"deploy\.device=cuda: there is no GPU here"):
        Place("cuda").require()


def test_sums_are_exact_for_a_while() -> None:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn

    def flags() -> list[bool]:
        return [
            cudnn.allow_tf32, matmul.allow_tf32,
            matmul.allow_bf16_reduced_precision_reduction,
            matmul.allow_fp16_reduced_precision_reduction,
        ]  # fmt: skip

    before = flags()
    assert any(before)
    with exact_sums():
        assert not any(flags())
    assert flags() == before


@pytest.mark.skipif(
    not hasattr(torch.backends.cuda.matmul, "fp32_precision"), reason="torch 2.9 and later have it"
)
@pytest.mark.parametrize(
    "setting", ["cuda.matmul.fp32_precision = 'tf32'", "cudnn.conv.fp32_precision = 'ieee'"]
)
def test_sums_are_exact_whatever_way_the_caller_set_tf32(setting: str, repository: Path) -> None:
    """In a process of its own: torch's old settings cannot be read any more after the new ones."""
    script = f"""
from torch import backends
from pruneflow.deploy.place import exact_sums

def precisions():
    holders = backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn
    return [holder.fp32_precision == "tf32" for holder in holders]

backends.{setting}
before = precisions()
assert any(before)
with exact_sums():
    assert not any(precisions())
assert precisions() == before
"""
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# -- networks --------------------------------------------------------------------------------


def placed(network: Network, place: Place) -> Deployable:
    return of_graph(network.graph, network.tensors).on(place)


@given(networks(), NARROW)
def test_a_narrow_engine_stays_within_its_bound(network: Network, place: Place) -> None:
    there = placed(network, place)
    right = reference(there, network.inputs(9))
    run = build(there, "torch", 1)
    assert run(place.put(network.inputs())).dtype is place.dtype
    found = right.judge(run, 4)
    assert found.passed, (found.error, found.bound)


@pytest.mark.parametrize("name", ["lenet5", "lenet_300_100", "mlp"])
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_wrong_narrow_engine_is_noticed(name: str, precision: str) -> None:
    make, shape = KNOWN[name]
    place = Place("cpu", precision)
    there = of_module(prune_(make(), 0.5), torch.randn(2, *shape)).on(place)
    right = reference(there, torch.randn(8, *shape))
    assert right.judge(build(there, "torch", 1), 8).passed
    for weight in there.weights:
        shifted = there.tensors[weight].roll(1, 0)
        wrong = replace(there, tensors={**there.tensors, weight: shifted})
        assert not right.judge(build(wrong, "torch", 1), 8).passed, weight


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize(
    ("make", "shape"),
    [(lambda: nn.Conv2d(4, 16, 3), (4, 9, 9)), (lambda: nn.Linear(64, 32), (64,))],
)
def test_a_sum_may_be_stored_before_its_bias_is_added(
    make: Callable[[], nn.Module], shape: tuple[int, ...], precision: str
) -> None:
    """As cuDNN's convolutions are, which torch adds the bias to afterwards."""
    place, x = Place("cpu", precision), torch.randn(64, *shape)
    there = of_module(make(), x).on(place)
    right, layer = reference(there, x), there.layers[0].node
    weight, bias = (place.put(there.tensors[str(name)]) for name in (layer.weight, layer.bias))

    def run(x: torch.Tensor) -> torch.Tensor:
        y = OPS[layer.op].run(x, weight, None, **layer.options)
        return y + bias.reshape(-1, *[1] * (y.dim() - 2))

    found = right.judge(run, 64)
    assert found.passed, (found.error, found.bound)


@given(networks(), NARROW)
def test_a_network_elsewhere_has_numbers_that_can_be_stored_there(
    network: Network, place: Place
) -> None:
    there = placed(network, place)
    for name, tensor in there.tensors.items():
        assert tensor.dtype is torch.float32
        assert torch.equal(place.rounded(tensor), tensor)
        assert torch.equal(tensor, place.rounded(network.tensors[name]))
    assert there.with_tensors(there.tensors).place == place


def test_every_backend_runs_on_what_it_says() -> None:
    make, shape = KNOWN["mlp"]
    network = of_module(make(), torch.randn(2, *shape))
    for device in ("cpu", "cuda"):
        names = candidates(None, None, device)
        assert names[0] == "torch"
        for name in BACKENDS:
            elsewhere = device not in BACKENDS[name].devices
            assert (name not in names) == elsewhere
            why = hindrance(network.on(Place(device)), name)
            assert (why == f"it runs on {' and '.join(BACKENDS[name].devices)} only") == elsewhere
