"""deploy_model: what is on disk is what runs, what is wrong is left out, nothing is half done."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_lightning import LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from pruneflow import deploy_model, load
from pruneflow.deploy.backends.base import BACKENDS
from pruneflow.deploy.bundles import bundle as bundles
from pruneflow.deploy.settings import Settings
from pruneflow.deploy.tracing.trace import trace
from pruneflow.errors import ConfigError, DeployError
from tests.deploy.fakes import QUICK, Clock, Fake, deploy, raising
from tests.deploy.networks import (
    Network,
    lenet_300_100,
    networks,
    prune_,
    randomize_norms_,
    small_resnet,
)
from tests.deploy.reports import require_sound

Register = Callable[..., Fake]


def small(sparsity: float = 0.5) -> nn.Module:
    """A perceptron for inputs (n, 8)."""
    return prune_(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3)), sparsity)


def labelled(count: int = 20, width: int = 8) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Two batches of inputs and labels."""
    x, y = torch.rand(count, width), torch.arange(count) % 3
    return [(x[:7], y[:7]), (x[7:], y[7:])]


X = torch.linspace(-1, 1, 32).reshape(4, 8)

pytestmark = pytest.mark.usefixtures("traced_once")


# -- what is on disk is what runs ------------------------------------------------------------


@settings(max_examples=8)
@given(networks(), st.data())
def test_the_bundle_on_disk_is_what_runs(network: Network, data: st.DataObject) -> None:
    norms = data.draw(st.sets(st.sampled_from(network.normable()))) if network.normable() else ()
    module = network.module(norms).eval()
    x = network.inputs(3)
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock()
        patch.setattr("pruneflow.deploy.measure.grid.interleaved", clock.interleaved)
        patch.setattr("pruneflow.deploy.measure.crossover.interleaved", clock.interleaved)
        clock.set("c", 20)
        done = deploy(module, x, "c", "torch_csr")
    require_sound(done.report)
    for backend in (None, "torch"):
        loaded = load(done.bundle, backend=backend)
        assert torch.equal(loaded(x), load("out", backend=backend)(x))
    assert torch.equal(done.module(x), load(done.bundle)(x))
    with torch.no_grad():
        torch.testing.assert_close(done.module(x), module(x), rtol=1e-3, atol=1e-3)
    written, traced = bundles.read(done.bundle).tensors, trace(module, x).tensors
    assert written.keys() == traced.keys()
    for name, tensor in traced.items():
        kept = torch.where(tensor == 0, 0.0, tensor) if name.endswith("weight") else tensor
        assert torch.equal(written[name].view(torch.int32), kept.view(torch.int32))


def test_a_residual_network_with_folded_norms(clock: Clock) -> None:
    module, x = prune_(small_resnet(), 0.8).eval(), torch.rand(2, 3, 16, 16)
    done = deploy(
        module, x, "c", "onnxruntime", "torch_csr", validation=[(x, torch.tensor([1, 2]))]
    )
    require_sound(done.report)
    assert done.report["graph"]
    assert len(done.report["layers"]) == 7
    with torch.no_grad():
        torch.testing.assert_close(load("out")(x), module(x), rtol=1e-4, atol=1e-4)


def test_the_module_and_everything_given_is_left_as_it_was(clock: Clock) -> None:
    module = randomize_norms_(
        nn.Sequential(
            nn.ReLU(inplace=True),
            nn.Linear(8, 5),
            nn.BatchNorm1d(5),
            nn.Dropout(0.5),
            nn.Linear(5, 3),
        )
    ).train()
    module[2].eval()
    module[4].weight.requires_grad_(False)
    calls: list[int] = []
    hook = module[1].register_forward_hook(lambda *given: calls.append(1))
    module(-X).sum().backward()
    x, data = X.clone(), labelled()
    state, kept = copy.deepcopy(module.state_dict()), copy.deepcopy(data)
    grads = [None if p.grad is None else p.grad.clone() for p in module.parameters()]
    modes, threads = [each.training for each in module.modules()], torch.get_num_threads()
    draws = torch.get_rng_state()
    deploy(module, x, "c", validation=data, values="int8", max_accuracy_drop=100)
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    assert modes == [each.training for each in module.modules()]
    assert not module[4].weight.requires_grad
    for parameter, grad in zip(module.parameters(), grads, strict=True):
        assert (parameter.grad is None) == (grad is None)
        assert grad is None or torch.equal(parameter.grad, grad)
    assert list(module[1]._forward_hooks) == [hook.id]
    assert torch.equal(x, X)
    assert all(
        torch.equal(a, b)
        for one, two in zip(data, kept, strict=True)
        for a, b in zip(one, two, strict=True)
    )
    assert torch.equal(torch.get_rng_state(), draws)
    assert torch.get_num_threads() == threads
    assert not torch.is_inference_mode_enabled()


class Mine(LightningModule):
    """A LightningModule with a forward of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.net = small()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.net(x)
        return out

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(self(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def test_a_lightning_module_without_a_trainer(clock: Clock) -> None:
    module = Mine()
    done = deploy(module, X, "c")
    require_sound(done.report)
    assert done.report["name"] == "Mine"
    assert module.training
    torch.testing.assert_close(done.module(X), module.net(X).detach())


def test_a_lightning_module_that_was_just_trained(clock: Clock) -> None:
    module, data = Mine(), TensorDataset(torch.rand(8, 8), torch.arange(8) % 3)
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, DataLoader(data, 4))
    done = deploy(module, X, "c")
    require_sound(done.report)
    assert module.trainer is trainer
    with torch.no_grad():
        torch.testing.assert_close(done.module(X), module.net(X))


def test_a_module_that_cannot_be_copied(clock: Clock) -> None:
    module = small().train()
    module.lock = Lock()  # type: ignore[assignment]
    done = deploy(module, X, "c")
    assert done.report["graph"]
    assert all(each.training for each in module.modules())


def test_weights_that_two_layers_share_are_written_once(clock: Clock) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False)
            self.b.weight = self.a.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.b(torch.relu(self.a(x)))
            return y

    done = deploy(prune_(Tied(), 0.5), X, "c")
    require_sound(done.report, shared=True)
    assert list(bundles.read(done.bundle).tensors) == ["a.weight"]
    assert done.report["parameters"] == 64
    assert len(done.report["layers"]) == 2


@pytest.mark.parametrize(
    ("module", "x", "layers"),
    [
        (nn.Sequential(nn.MaxPool2d(2), nn.ReLU(), nn.Flatten()), torch.rand(2, 3, 4, 4), 0),
        (small(0.0), X, 2),
        (small(1.0), X, 2),
        (small(), X[:1], 2),
        (nn.Linear(8, 1), X, 1),
    ],
    ids=["no layer", "dense", "all zero", "one input", "one output"],
)
def test_networks_at_the_edge(
    clock: Clock, module: nn.Module, x: torch.Tensor, layers: int
) -> None:
    done = deploy(module, x, "c", "torch_csr", "onnxruntime", batches=[1, 5, 130])
    require_sound(done.report)
    assert len(done.report["layers"]) == layers
    with torch.no_grad():
        torch.testing.assert_close(done.module(x), module(x))


def test_tensors_of_inference_mode(clock: Clock) -> None:
    with torch.inference_mode():
        module, x = small(), X.clone()
        done = deploy(module, x, "c", validation=labelled())
        assert done.report["graph"]
    require_sound(done.report)
    torch.testing.assert_close(done.module(X), load("out")(X))


def test_engines_are_checked_on_real_inputs_that_fill_every_batch(
    clock: Clock, register: Register
) -> None:
    fake = register("fake")
    done = deploy(small(), X, "fake", batches=[1, 40, 100], validation=labelled(20))
    assert {1, 40, 100} <= set(fake.calls)
    assert done.report["gate"]["inputs"] == 20
    assert deploy(small(), X, "fake").report["gate"]["inputs"] == 4
    assert deploy(small(), X, "fake", validation=labelled(200)).report["gate"]["inputs"] == 64


def test_an_engine_that_is_wrong_in_large_batches_only_is_found(
    clock: Clock, register: Register
) -> None:
    register("fake", change=lambda y: y if len(y) < 50 else y + 1)
    done = deploy(small(), X, "fake", batches=[1, 50])
    assert "at batch 50: off by 1" in done.report["engines"]["fake"]["missing"]


def test_engines_and_networks_that_write_into_their_inputs_harm_nobody(
    clock: Clock, register: Register
) -> None:
    class Doubling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x += x
            y: torch.Tensor = self.fc(x)
            return y

    fake = register("fake")
    inner = fake.build

    def build(graph: Any, tensors: Any, threads: int) -> Any:
        run = inner(graph, tensors, threads)
        return lambda x: (run(x), x.zero_())[0]

    fake.build = build  # type: ignore[method-assign]
    register("later")
    x = X.clone()
    done = deploy(Doubling(), x, "fake", "later", validation=labelled())
    assert done.report["graph"]
    assert {"fake", "later", "torch"} <= done.report["gate"]["engines"].keys()
    assert all(judged["passed"] for judged in done.report["gate"]["engines"].values())
    assert torch.equal(x, X)


# -- what is wrong is left out ---------------------------------------------------------------


def off_by_one(y: torch.Tensor) -> torch.Tensor:
    return y + 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (off_by_one, "wrong results at batch 1: off by 1, where rounding accounts for"),
        (lambda y: y * 1.01, "wrong results at batch 1: off by"),
        (lambda y: y * torch.nan, "wrong results at batch 1: not the shape"),
        (lambda y: y + torch.inf, "wrong results at batch 1: not the shape"),
        (lambda y: y + 1e30, "wrong results at batch 1: off by 1e+30"),
        (lambda y: y[:, :1], "wrong results at batch 1: not the shape"),
        (lambda y: y.tolist(), "failed: AttributeError"),
        (raising(RuntimeError("no more\nluck")), "failed: RuntimeError: no more"),
        (raising(DeployError("in my words")), "in my words"),
    ],
)
@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_an_engine_that_fails_is_named_and_never_timed(
    clock: Clock, register: Register, change: Any, words: str, kind: str
) -> None:
    clock.set("fake", 0.001)
    clock.set("torch_csr", 10)
    register("fake", kind, change)
    done = deploy(small(), X, "fake", "torch_csr")
    require_sound(done.report)
    assert words in done.report["engines"]["fake"]["missing"]
    assert "fake" not in clock.timed
    assert all("fake" not in cell["engines"] for cell in done.report["latency"])
    assert all("fake" not in layer["times"] for layer in done.report["layers"])
    assert {cell["chosen"] for cell in done.report["latency"]} == {"torch_csr"}
    assert done.report["gate"]["passed"]


def test_an_engine_that_cannot_run_single_layers_still_runs_the_network(
    clock: Clock, register: Register
) -> None:
    fake = register("fake")
    whole = fake.build

    def build(graph: Any, tensors: Any, threads: int) -> Any:
        if len(graph.nodes) == 1:
            raise ValueError("too small for me")
        return whole(graph, tensors, threads)

    fake.build = build  # type: ignore[method-assign]
    clock.set("fake", 10)
    done = deploy(small(), X, "fake")
    require_sound(done.report)
    assert {cell["chosen"] for cell in done.report["latency"]} == {"fake"}
    assert all("fake" not in layer["times"] for layer in done.report["layers"])


def test_a_winner_of_layers_that_fails_in_company_is_named(
    clock: Clock, register: Register
) -> None:
    """``by_layer`` is one more engine, and has to pass like all others."""
    register("fake", change=lambda y: y + 1 if y.shape[1] == 16 else y)
    clock.set("fake", 10)
    clock.set("torch_csr", 5)
    done = deploy(small(), X, "fake", "torch_csr")
    require_sound(done.report)
    assert "by_layer" not in clock.timed


def test_an_engine_that_fails_with_some_threads_is_left_out_with_all(
    clock: Clock, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    register("fake", change=lambda y: y + (torch.get_num_threads() > 1))
    clock.set("fake", 1)
    done = deploy(small(), X, "fake", threads=[1, 2])
    require_sound(done.report)
    assert "off by 1" in done.report["engines"]["fake"]["missing"]
    assert not done.report["gate"]["engines"]["fake"]["passed"]
    assert "fake" not in clock.timed


def test_no_engine_at_all_is_a_failure_that_names_them(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BACKENDS._entries, "torch", Fake("dense", off_by_one))
    with pytest.raises(DeployError, match="no dense engine computes this network: 'torch': wrong"):
        deploy(small(), X, "c")
    assert not Path("out").exists()


# -- an explicit backend never falls back ----------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"absent": "not installed: pip install fake"}, "deploy.backend=fake: not installed: pip"),
        ({"refusal": "it knows no ReLU"}, "deploy.backend=fake: it knows no ReLU"),
        ({"change": off_by_one}, "deploy.backend=fake: wrong results at batch 1: off by 1"),
        ({"change": raising(ValueError("x"))}, "deploy.backend=fake: failed: ValueError: x"),
    ],
)
@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_an_explicit_backend_never_falls_back(
    clock: Clock, register: Register, options: dict[str, Any], words: str, kind: str
) -> None:
    register("fake", kind, **options)
    with pytest.raises(DeployError) as told:
        deploy(small(), X, backend="fake", folder="new/out")
    assert words in str(told.value)
    assert told.value.exit_code == 2
    assert not Path("new").exists()
    deploy(small(), X)
    before = {path: path.read_bytes() for path in Path("out").iterdir()}
    with pytest.raises(DeployError):
        deploy(small(0.9), X, backend="fake")
    assert {path: path.read_bytes() for path in Path("out").iterdir()} == before


@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_an_explicit_backend_runs_however_slow_it_is(
    clock: Clock, register: Register, kind: str
) -> None:
    register("fake", kind)
    clock.set("fake", 10_000)
    done = deploy(small(), X, backend="fake")
    require_sound(done.report)
    assert {cell["chosen"] for cell in done.report["latency"]} == {"fake"}
    assert done.report["verdict"]["runs"] == kind
    assert done.report["verdict"]["wins_from"] is None
    assert "'fake' was asked for" in done.report["verdict"]["why"]
    assert load("out").backend_for(64) == "fake"


# -- what was chosen, and why ----------------------------------------------------------------


def test_nobody_asks_when_sparse_would_win_where_dense_was_asked_for(
    clock: Clock, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    register("fake", takes_layers=False)
    clock.set("fake", 10)
    monkeypatch.setattr("pruneflow.deploy.measure.crossover.wins_from", lambda *given: 0.9)
    verdict = deploy(small(), X, "fake", backend="torch").report["verdict"]
    assert (verdict["runs"], verdict["wins_from"]) == ("dense", None)
    assert verdict["why"].startswith("'torch' was asked for")


def test_every_place_of_the_grid_has_its_own_winner(
    clock: Clock, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    register("fake", takes_layers=False)
    clock.set("fake", 50, 1, 1)
    clock.set("fake", 90, 1, 2)
    clock.set("fake", 96, 3, 1)
    clock.set("fake", 200, 3, 2)
    done = deploy(small(), X, "fake", threads=[1, 2])
    require_sound(done.report)
    found = {(c["batch"], c["threads"]): c["chosen"] for c in done.report["latency"]}
    assert found == {(1, 1): "fake", (3, 1): "torch", (1, 2): "fake", (3, 2): "torch"}
    assert [c["speedup"] for c in done.report["latency"]] == [2.0, 1.0, 1.111, 1.0]
    assert done.report["verdict"]["runs"] == "mixed"
    assert "sparse runs at batch 1; batch 1 with 2 threads" in done.report["verdict"]["why"]


def test_a_dense_verdict_says_how_near_sparse_came_and_when_it_would_win(
    clock: Clock, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    register("fake", takes_layers=False)
    clock.set("fake", 97)
    asked = []

    def from_where(network: Any, backend: str, dense: Any, x: torch.Tensor, threads: int) -> float:
        asked.append((backend, len(x), threads))
        return 0.9

    monkeypatch.setattr("pruneflow.deploy.measure.crossover.wins_from", from_where)
    verdict = deploy(small(), X, "fake").report["verdict"]
    assert verdict["runs"] == "dense"
    assert verdict["wins_from"] == [
        {"sparsity": 0.9, "batch": 1, "threads": 1},
        {"sparsity": 0.9, "batch": 3, "threads": 1},
    ]
    assert "the nearest is 1.03 times as fast as 'torch' at batch 1" in verdict["why"]
    assert asked == [("fake", 1, 1), ("fake", 3, 1)]
    monkeypatch.setattr("pruneflow.deploy.measure.crossover.wins_from", lambda *given: None)
    verdict = deploy(small(), X, "fake").report["verdict"]
    assert verdict["wins_from"][0] == {"sparsity": None, "batch": 1, "threads": 1}


@pytest.mark.parametrize(
    ("candidates", "words"),
    [
        (("torch",), "no sparse engine was tried"),
        (("fake",), "no sparse engine can run here: 'fake': buy one"),
    ],
)
def test_a_dense_verdict_without_sparse_engines_says_so(
    clock: Clock, register: Register, candidates: tuple[str, ...], words: str
) -> None:
    register("fake", absent="buy one")
    verdict = deploy(small(), X, *candidates).report["verdict"]
    assert (verdict["runs"], verdict["why"], verdict["wins_from"]) == ("dense", words, None)


def test_the_winner_of_every_layer_is_tried_together(clock: Clock, register: Register) -> None:
    register("fake")
    register("other")
    clock.set("by_layer", 20)
    place = {"0": "fake", "2": "other"}
    inner = clock.interleaved

    def interleaved(runs: Any, x: torch.Tensor, seconds: float) -> Any:
        layer = {8: "0", 16: "2"}[x.shape[1]] if "by_layer" not in runs else ""
        for name in ("fake", "other"):
            clock.set(name, 10 if place.get(layer) == name else 30)
        return inner(runs, x, seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pruneflow.deploy.measure.grid.interleaved", interleaved)
        done = deploy(small(), X, "fake", "other")
    require_sound(done.report)
    assert {cell["chosen"] for cell in done.report["latency"]} == {"by_layer"}
    assert {layer["name"]: layer["backend"] for layer in done.report["layers"]} == place
    assert load("out").backend_for(1) == "by_layer"
    torch.testing.assert_close(load("out")(X), load("out", backend="torch")(X))


@pytest.mark.parametrize(("again", "chosen"), [(90, "fake"), (97, "torch")])
def test_a_small_win_has_to_show_twice(
    clock: Clock, register: Register, again: float, chosen: str
) -> None:
    register("fake", takes_layers=False)
    inner = clock.interleaved

    def interleaved(runs: Any, x: torch.Tensor, seconds: float) -> Any:
        clock.set("fake", again if set(runs) == {"fake", "torch"} else 90)
        return inner(runs, x, seconds)

    register("slow", "dense", takes_layers=False)
    clock.set("slow", 500)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pruneflow.deploy.measure.grid.interleaved", interleaved)
        done = deploy(small(), X, "fake", "slow", batches=[1])
    require_sound(done.report)
    (cell,) = done.report["latency"]
    assert cell["chosen"] == chosen
    assert cell["engines"]["fake"]["median"] == again


# -- values and accuracy ---------------------------------------------------------------------


def sharp(first: float = 1000.0) -> tuple[nn.Module, list[tuple[torch.Tensor, torch.Tensor]]]:
    """A network that is right on 100 inputs, and wrong on 4 of them if a small weight is lost."""
    network = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[first, 0.9], [first, 1.0]]))
    x = torch.tensor([[0.0, -1.0]] * 96 + [[0.0, 1.0]] * 4)
    return network, [(x, torch.tensor([0] * 96 + [1] * 4))]


@pytest.mark.parametrize(
    ("first", "allowed", "values", "after"),
    [
        (1000.0, 4.0, "int8", 0.96),
        (1000.0, 3.99, "fp16", 1.0),
        (1000.0, 0, "fp16", 1.0),
        (1e6, 0, "fp32", 1.0),  # too large for fp16
        (1e6, 4.0, "int8", 0.96),
    ],
)
def test_the_narrowest_values_that_keep_the_accuracy_are_taken(
    clock: Clock, first: float, allowed: float, values: str, after: float
) -> None:
    network, data = sharp(first)
    done = deploy(network, X[:, :2], goal="size", validation=data, max_accuracy_drop=allowed)
    require_sound(done.report)
    assert done.report["values"] == values
    accuracy = done.report["accuracy"]
    assert (accuracy["before"], accuracy["after"], accuracy["samples"]) == (1.0, after, 100)
    assert accuracy["allowed"] == allowed


def test_values_that_cost_too_much_are_refused_with_numbers(clock: Clock) -> None:
    network, data = sharp()
    with pytest.raises(DeployError) as told:
        deploy(network, X[:, :2], values="int8", validation=data, max_accuracy_drop=3.9)
    assert str(told.value) == (
        "deploy.values=int8: the accuracy on validation data would fall from 100.00% to 96.00%, "
        "by more than deploy.max_accuracy_drop=3.9 points; nothing was written"
    )
    assert not Path("out").exists()
    assert deploy(network, X[:, :2], values="int8", validation=data, max_accuracy_drop=4)


def test_narrow_values_without_data_are_refused_with_a_way_out(clock: Clock) -> None:
    for values in ("int8", "fp16", "bf16"):
        with pytest.raises(DeployError, match=r"no validation data .* choose deploy.values=fp32"):
            deploy(small(), X, values=values)
    assert not Path("out").exists()
    assert deploy(small(), X, values="auto", goal="size").report["values"] == "fp32"


@pytest.mark.parametrize("values", ["fp16", "bf16", "int8"])
def test_engines_of_narrow_values_are_held_to_what_was_written(clock: Clock, values: str) -> None:
    done = deploy(
        small(), X, "c", "onnxruntime", "torch_csr",
        values=values, validation=labelled(), max_accuracy_drop=100,
    )  # fmt: skip
    require_sound(done.report)
    assert len(done.report["gate"]["engines"]) == 4
    assert done.report["values"] == values


# -- what cannot be, in plain words ----------------------------------------------------------


def meta() -> nn.Module:
    return nn.Linear(8, 2, device="meta")


def broken() -> nn.Module:
    module = small()
    with torch.no_grad():
        module[0].weight[0, 0] = torch.nan  # type: ignore[index, operator]
    return module


LABELS = torch.zeros(4, dtype=torch.long)
MISTAKES: list[tuple[Any, Any, dict[str, Any], str]] = [
    (nn.Linear, X, {}, "has to be an nn.Module, not the class Linear"),
    (torch.relu, X, {}, "has to be an nn.Module, not a builtin"),
    (small(), [1, 2], {}, "the example has to be a tensor (n, ...), not a list"),
    (small(), X.double(), {}, "float32 inputs (n, ...) on the CPU, not torch.float64 of (4, 8)"),
    (small(), X[0], {}, "not torch.float32 of (8,) on cpu"),
    (small(), X.to("meta"), {}, "on meta"),
    (small(), X[:0], {}, "the example is empty: (0, 8)"),
    (small(), X[:, :7], {}, "mat1 and mat2 shapes cannot be multiplied"),
    (small().double(), X, {}, "must have the same dtype"),
    (small(), X * torch.nan, {}, "the network's outputs are not finite"),
    (meta(), X, {}, "weights have no values yet"),
    (nn.LazyLinear(2), X, {}, "weights have no values yet"),
    (broken(), X, {}, "'0.weight': 1 of its numbers are NaN or infinite"),
    (small(), X, {"validation": []}, "the validation data are empty"),
    (small(), X, {"validation": [], "values": "int8"}, "the validation data are empty"),
    (small(), X, {"validation": (X, LABELS)}, "[(inputs, labels), ...]"),
    (small(), X, {"validation": [(X, LABELS.float())]}, "classes, whole numbers (4,), not"),
    (small(), X, {"validation": [(X, LABELS[:2])]}, "classes, whole numbers (4,), not"),
    (small(), X, {"validation": [(X[:, :5], LABELS)]}, "of (4, 5) on cpu, unlike the example"),
    (small(), X, {"validation": [(X.double(), LABELS)]}, "unlike the example, torch.float32 of"),
    (small(), X, {"source": {"a": {1}}}, "source cannot be written as JSON"),
    (small(), X, {"preprocessing": {"mean": torch.zeros(1)}}, "cannot be written"),
]


@pytest.mark.parametrize(("module", "example", "options", "words"), MISTAKES)
def test_what_cannot_be_deployed_is_told_and_leaves_nothing(
    module: Any, example: Any, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(DeployError) as told:
        deploy(module, example, **options)
    assert words in str(told.value)
    assert not Path("out").exists()


def test_a_bad_setting_is_told_before_anything_runs() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'batches'"):
        deploy_model(small(), X, "out", batchs=[1])
    with pytest.raises(ConfigError, match="give settings or goal, not both"):
        deploy_model(small(), X, "out", settings=Settings(), goal="size")


def test_a_file_in_the_way_of_the_folder(clock: Clock) -> None:
    Path("out").write_text("mine")
    with pytest.raises(FileExistsError):
        deploy(small(), X)
    assert Path("out").read_text() == "mine"


def test_an_interrupted_deployment_leaves_the_old_one(clock: Clock, register: Register) -> None:
    deploy(small(), X)
    before = {path: path.read_bytes() for path in Path("out").iterdir()}

    def stop(y: torch.Tensor) -> torch.Tensor:
        raise KeyboardInterrupt

    register("fake", change=stop)
    with pytest.raises(KeyboardInterrupt):
        deploy(small(0.9), X, "fake")
    assert {path: path.read_bytes() for path in Path("out").iterdir()} == before


def test_what_is_said_of_a_network_is_in_bundle_and_report(clock: Clock) -> None:
    told: list[str] = []
    done = deploy_model(
        lenet_300_100(), torch.rand(2, 1, 28, 28), "out", **QUICK, candidates="torch",
        name="mine", source={"run": "outputs/x"}, preprocessing={"divide_by": 255},
        tell=told.append,
    )  # fmt: skip
    assert (done.report["name"], done.report["source"]) == ("mine", {"run": "outputs/x"})
    assert load("out").preprocessing == done.module.preprocessing == {"divide_by": 255}
    assert told == [
        "preparing torch, 1 thread",
        "timing batch 1, 1 thread",
        "timing batch 3, 1 thread",
    ]
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "bundle.safetensors",
        "report.json",
    ]
