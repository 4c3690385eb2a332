"""Networks that are no graph: their Python stays, their layers can be sparse all the same."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune

from pruneflow import load
from pruneflow.deploy.bundles import bundle as bundles
from pruneflow.deploy.tracing.trace import trace
from pruneflow.errors import DeployError
from tests.deploy.fakes import Clock, Fake, deploy
from tests.deploy.networks import prune_
from tests.deploy.reports import require_sound

Register = Callable[..., Fake]
X = torch.linspace(-1, 1, 32).reshape(4, 8)
SPARSE = ("c", "torch_csr", "onnxruntime")


class Tokens(nn.Module):
    """An attention over 5 tokens of 8 numbers, with a convolution before it: (n, 5, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding="same")
        self.query, self.key = nn.Linear(8, 8), nn.Linear(8, 8, bias=False)
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x.unsqueeze(1)).squeeze(1)
        weights = F.softmax(self.query(x) @ self.key(x).transpose(1, 2), -1)
        y: torch.Tensor = self.head(weights @ x).mean(1)
        return y


class Gelu(nn.Module):
    """Two layers around an operation that graphs do not know: (n, 8)."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.fc, self.head = nn.Linear(8, width), nn.Linear(width, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.head(F.gelu(self.fc(x)))
        return y


class Tied(nn.Module):
    """Two layers of one weight: (n, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False)
        self.b.weight = self.a.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.b(torch.tanh(self.a(x)))
        return y


def labelled() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """One batch of inputs and labels."""
    return [(torch.rand(30, 8), torch.arange(30) % 4)]


def test_sparse_engines_run_the_layers_of_a_token_model(clock: Clock) -> None:
    module, x = prune_(Tokens(), 0.5).eval(), torch.rand(3, 5, 8)
    done = deploy(module, x, *SPARSE)
    require_sound(done.report)
    assert not done.report["graph"]
    assert [layer["name"] for layer in done.report["layers"]] == ["conv", "query", "key", "head"]
    assert {"torch", "c", "torch_csr"} <= done.report["gate"]["engines"].keys()
    assert "it runs graphs only" in done.report["engines"]["onnxruntime"]["missing"]
    other = Tokens()
    for backend in (None, "torch", "c", "torch_csr"):
        loaded = load("out", into=other, backend=backend)
        for count in (1, 3):
            with torch.no_grad():
                torch.testing.assert_close(loaded(x[:count]), module(x[:count]))


def test_five_rows_a_sample_are_five_times_the_work(clock: Clock) -> None:
    layers = {
        layer["name"]: layer for layer in deploy(Tokens(), torch.rand(2, 5, 8)).report["layers"]
    }
    query, conv = layers["query"], layers["conv"]
    ratio = query["flops_share"] / conv["flops_share"]
    assert ratio == pytest.approx((5 * 2 * 8 * 8) / (2 * 9 * 5 * 8))


def test_the_module_that_is_given_gets_the_weights(clock: Clock) -> None:
    module = prune_(Gelu(), 0.5)
    deploy(module, X)
    other = Gelu().train()
    loaded = load("out", into=other)
    assert all(
        torch.equal(a, b)
        for a, b in zip(other.state_dict().values(), module.state_dict().values(), strict=True)
    )
    assert other.training
    with torch.no_grad():
        assert torch.equal(loaded(X), module(X))
        other.fc.weight.zero_()
        assert torch.equal(loaded(X), module(X))  # the module stays the person's own


def test_without_the_module_there_is_a_way_out(clock: Clock) -> None:
    deploy(Gelu(), X)
    with pytest.raises(DeployError, match=r"load\(bundle, into=module\)"):
        load("out")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda: Gelu(7), "'fc.weight' is (7, 8), and (6, 8) in the bundle and 2 more"),
        (Tied, "it has no 'fc.weight' and 5 more"),
        (lambda: nn.Sequential(Gelu()), "it has no 'fc.weight' and 7 more"),
    ],
)
def test_another_module_is_refused_and_left_alone(
    clock: Clock, other: Callable[[], nn.Module], words: str
) -> None:
    deploy(Gelu(), X)
    module = other()
    before = copy.deepcopy(module.state_dict())
    with pytest.raises(DeployError) as told:
        load("out", into=module)
    assert str(told.value) == f"the module is not the one the bundle was made from: {words}"
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_a_bundle_that_cannot_run_leaves_the_module_alone(clock: Clock) -> None:
    """A stranger's shape of inputs; and a backend that cannot run it."""
    done = deploy(Gelu(), X)
    old = bundles.read(done.bundle)
    tensors = {name: old.packed.get(name, tensor) for name, tensor in old.tensors.items()}
    module = Gelu()
    before = copy.deepcopy(module.state_dict())
    with pytest.raises(DeployError, match="backend 'onnxruntime': it runs graphs only"):
        load("out", into=module, backend="onnxruntime")
    choice = {**old.choice, "input_shape": [7]}
    bundles.write(done.bundle, tensors, None, old.preprocessing, choice)
    with pytest.raises(DeployError, match="the network cannot run the example"):
        load("out", into=module)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_a_module_that_counts_its_runs_has_the_bundles_count(clock: Clock) -> None:
    class Counting(Gelu):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.zeros(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.seen += 1
            return super().forward(x)

    deploy(Counting(), X)
    module = Counting()
    module.seen.fill_(9)
    load("out", into=module)(X)
    assert module.seen == 0


@pytest.mark.parametrize("values", ["fp32", "int8"])
def test_a_shared_weight_is_one_whatever_the_values(clock: Clock, values: str) -> None:
    module = prune_(Tied(), 0.5).eval()
    data = [(torch.rand(30, 8), torch.arange(30) % 4)]
    done = deploy(module, X, *SPARSE, values=values, validation=data, max_accuracy_drop=100)
    require_sound(done.report, shared=True)
    assert list(bundles.read(done.bundle).tensors) == ["a.weight"]
    assert {"torch", "c", "torch_csr"} == done.report["gate"]["engines"].keys()
    other = Tied()
    loaded = load("out", into=other, backend="c")
    assert other.a.weight is other.b.weight
    with torch.no_grad():
        torch.testing.assert_close(loaded(X), other(X))


def test_modules_under_torchs_own_pruning(clock: Clock) -> None:
    module = Gelu()
    prune.l1_unstructured(module.fc, "weight", 0.5)
    module(X).sum().backward()  # its weight is a result now
    done = deploy(module, X, "c")
    require_sound(done.report)
    assert [layer["name"] for layer in done.report["layers"]] == ["head"]
    assert prune.is_pruned(module)
    with torch.no_grad():
        assert torch.equal(load("out", into=module, backend="torch")(X), module.eval()(X))


def test_a_module_that_torch_compile_wrapped(clock: Clock) -> None:
    module = Gelu()
    deploy(torch.compile(module, backend="eager"), X)
    other = torch.compile(Gelu(), backend="eager")
    with torch.no_grad():
        assert torch.equal(load("out", into=other)(X), module(X))


def test_state_that_a_run_changes_stays_the_persons(clock: Clock) -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(8, 4)
            self.register_buffer("seen", torch.zeros(1))
            self.runs = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.seen += len(x)
            self.runs += 1
            y: torch.Tensor = self.fc(x)
            return y

    module = Counting()
    deploy(module, X, "c", validation=labelled())
    assert module.seen == 0
    assert module.runs == 0


def test_inputs_that_a_network_writes_into_stay_the_persons(clock: Clock) -> None:
    class Writing(Gelu):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.mul_(2))

    x, data = X.clone(), labelled()
    kept = copy.deepcopy(data)
    deploy(Writing(), x, "c", validation=data)
    assert torch.equal(x, X)
    assert torch.equal(data[0][0], kept[0][0])


class Returning(nn.Module):
    """Gives back what a function makes of a layer's result."""

    def __init__(self, what: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.fc, self.what = nn.Linear(8, 4), what

    def forward(self, x: torch.Tensor) -> Any:
        return self.what(self.fc(x))


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (lambda y: (y, y), "not a tuple"),
        (lambda y: {"y": y}, "not a dict"),
        (lambda y: y.sum(), "not torch.float32 of ()"),
        (lambda y: y.flatten(), "not torch.float32 of (16,)"),
        (lambda y: y.argmax(1), "not torch.int64 of (4,)"),
        (lambda y: y + torch.rand(4), "gives other outputs for the same inputs"),
        (lambda y: y.nothing, "the network cannot run the example: 'Tensor' object has no"),
        (lambda y: y.log(), "the network's outputs are not finite"),
    ],
)
def test_networks_that_cannot_be_checked_are_told(
    clock: Clock, what: Callable[[torch.Tensor], Any], words: str
) -> None:
    with pytest.raises(DeployError) as told:
        deploy(Returning(what), X)
    assert words in str(told.value)


def test_a_graph_that_is_not_the_network_is_found_and_not_used(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Engines are held to the graph: only the module itself can tell that the graph is wrong."""

    def wrong(module: nn.Module, example: torch.Tensor) -> Any:
        traced = trace(module, example)
        name = next(iter(traced.tensors))
        return replace(traced, tensors={**traced.tensors, name: traced.tensors[name] * 1.0001})

    monkeypatch.setattr("pruneflow.deploy.network.trace", wrong)
    module = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4))
    done = deploy(module, X, "c", "onnxruntime")
    assert not done.report["graph"]
    assert "its graph is off by" in done.report["engines"]["onnxruntime"]["missing"]
    with torch.no_grad():
        torch.testing.assert_close(load("out", into=module)(X), module(X))


def test_the_best_of_each_layer_runs_an_opaque_network(clock: Clock, register: Register) -> None:
    register("fake", kind="sparse")
    clock.set("by_layer", 10)
    clock.set("fake", 50)
    module = prune_(Gelu(), 0.5)

    def interleaved(runs: Any, x: torch.Tensor, seconds: float) -> Any:
        clock.set("torch", 20 if x.shape[1] == 6 else 100)
        return clock.interleaved(runs, x, seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pruneflow.deploy.measure.grid.interleaved", interleaved)
        done = deploy(module, X, "fake")
    require_sound(done.report)
    winners = {layer["name"]: layer["backend"] for layer in done.report["layers"]}
    assert winners == {"fc": "fake", "head": "torch"}
    loaded = load("out", into=module)
    assert loaded.backend_for(1) == "by_layer"
    with torch.no_grad():
        torch.testing.assert_close(loaded(X), module(X))
