"""A bundle that was loaded: on this machine, on one that lacks an engine, inside torch's tools."""

from __future__ import annotations

import copy
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from pruneflow import deploy_model, load
from pruneflow.deploy.backends.base import BACKENDS
from pruneflow.deploy.bundles import bundle as bundles
from pruneflow.deploy.choice import Cell, Choice
from pruneflow.deploy.measure import machine
from pruneflow.deploy.measure.timing import threads as using_threads
from pruneflow.deploy.place import Place
from pruneflow.errors import BundleError, ConfigError, DeployError
from tests.deploy.fakes import Clock, Fake, deploy
from tests.deploy.gpu import gpu_is_absent
from tests.deploy.networks import prune_, small_resnet

Register = Callable[..., Fake]
X = torch.linspace(-1, 1, 40).reshape(5, 8)

pytestmark = pytest.mark.usefixtures("traced_once")


def small() -> nn.Module:
    """A perceptron for inputs (n, 8)."""
    return prune_(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3)), 0.5)


def chosen(*cells: Cell, device: str | None = None, asked: str | None = None) -> None:
    """A bundle of ``small()`` in ``out`` that says what was measured; here by default."""
    done = deploy(small(), X, "torch")
    old = bundles.read(done.bundle)
    tensors = {name: old.packed.get(name, tensor) for name, tensor in old.tensors.items()}
    choice = Choice(tuple(cells), device or machine.cpu(), (), asked).to_json()
    bundles.write(done.bundle, tensors, old.graph, old.preprocessing, choice)


def chosen_for(place: Place, *cells: Cell) -> None:
    """A bundle of ``small()`` in ``out`` that was deployed for a place."""
    done = deploy(small(), X, "torch")
    old = bundles.read(done.bundle)
    tensors = {name: old.packed.get(name, tensor) for name, tensor in old.tensors.items()}
    choice = Choice(tuple(cells), "a GPU", place=place).to_json()
    bundles.write(done.bundle, tensors, old.graph, old.preprocessing, choice)


def remove(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a machine that lacks a backend."""
    left = {key: value for key, value in BACKENDS._entries.items() if key != name}
    monkeypatch.setattr(BACKENDS, "_entries", left)


# -- what runs -------------------------------------------------------------------------------


def test_each_size_of_batch_runs_on_its_own_winner(clock: Clock, register: Register) -> None:
    one, many = register("one"), register("many")
    chosen(Cell(1, 1, "one"), Cell(1, 64, "many"), Cell(1, 256, "torch"))
    loaded = load("out")
    for batch in (1, 2, 64, 100, 512, 1):
        loaded(torch.rand(batch, 8))
    assert one.calls == [1, 2, 1]
    assert many.calls == [64, 100]
    assert [loaded.backend_for(batch) for batch in (1, 64, 512)] == ["one", "many", "torch"]


def test_an_engine_is_made_ready_once(clock: Clock, register: Register) -> None:
    fake = register("fake")
    built = []
    inner = fake.build

    def build(*given: Any) -> Any:
        built.append(1)
        return inner(*given)

    fake.build = build  # type: ignore[method-assign]
    chosen(Cell(1, 1, "fake"), Cell(1, 64, "fake"))
    loaded = load("out")
    for batch in (1, 64, 2, 65, 1):
        loaded(torch.rand(batch, 8))
    assert built == [1]


def test_threads_decide_too(clock: Clock, register: Register) -> None:
    register("few")
    register("lots")
    chosen(Cell(1, 1, "few"), Cell(2, 1, "lots"))
    loaded = load("out")
    for count, name in ((1, "few"), (2, "lots"), (1, "few")):
        with using_threads(count):
            assert loaded.backend_for(1) == load("out").backend_for(1) == name


def test_another_number_of_threads_runs_what_was_made_ready_for_it(
    clock: Clock, register: Register
) -> None:
    few, lots, asked = register("few"), register("lots"), register("asked")
    built: list[int] = []
    inner = asked.build

    def build(graph: Any, tensors: Any, threads: int) -> Any:
        built.append(threads)
        return inner(graph, tensors, threads)

    asked.build = build  # type: ignore[method-assign]
    chosen(Cell(1, 1, "few"), Cell(2, 1, "lots"))
    measured, fixed = load("out"), load("out", backend="asked")
    for count in (1, 2, 1, 2):
        with using_threads(count):
            measured(X)
            fixed(X)
    assert (few.calls, lots.calls, asked.calls) == ([5, 5], [5, 5], [5, 5, 5, 5])
    assert built == [1, 2]


def test_compiled_torch_runs_the_sizes_it_was_measured_with_only(
    clock: Clock, register: Register
) -> None:
    compiled = register("torch_compile")
    chosen(Cell(1, 1, "torch_compile"), Cell(1, 64, "torch_compile"))
    loaded = load("out")
    for batch in (1, 64, 0, 2, 63, 65):
        loaded(torch.rand(batch, 8))
    with using_threads(2):
        loaded(torch.rand(1, 8))
    assert compiled.calls == [1, 64]


@pytest.mark.parametrize("backend", [None, "torch", "c", "onnxruntime", "torch_csr"])
@pytest.mark.parametrize("loads_inside", [False, True])
@pytest.mark.parametrize("opaque", [False, True])
def test_what_was_made_ready_in_inference_mode_runs_outside_of_it(
    clock: Clock, backend: str | None, loads_inside: bool, opaque: bool
) -> None:
    if backend and (why := BACKENDS[backend].missing()):
        pytest.skip(why)
    if opaque and backend == "onnxruntime":
        pytest.skip("it runs graphs only")
    module = nn.Sequential(nn.Linear(8, 16), nn.GELU() if opaque else nn.ReLU(), nn.Linear(16, 3))
    deploy(module, X)
    into = module if opaque else None
    with torch.inference_mode(loads_inside):
        loaded = load("out", into=into, backend=backend)
    with torch.inference_mode():
        before = loaded(X)
    x = X.clone().requires_grad_()
    for y in (loaded(X), loaded(x)):
        assert torch.equal(y, before)
    assert not loaded(X).requires_grad
    if backend in (None, "torch"):
        loaded(x).sum().backward()
        module(wanted := X.clone().requires_grad_()).sum().backward()
        torch.testing.assert_close(x.grad, wanted.grad)
    assert all(weight.requires_grad for weight in module.parameters())


OTHERS: list[tuple[Any, str]] = [
    (X.numpy(), "the network takes a torch.Tensor, not a ndarray"),
    ([1.0] * 8, "the network takes a torch.Tensor, not a list"),
    (torch.tensor(1.0), r"the network takes inputs of \(n, 8\), not \(\)"),
    (X[0], r"the network takes inputs of \(n, 8\), not \(8,\)"),
    (X.double(), "the network takes float32 on the CPU, not torch.float64 on cpu"),
]


@pytest.mark.parametrize("backend", [None, "torch", "c"])
@pytest.mark.parametrize(("other", "words"), OTHERS)
def test_what_is_no_batch_is_refused(
    clock: Clock, backend: str | None, other: Any, words: str
) -> None:
    deploy(small(), X)
    loaded = load("out", backend=backend)
    with pytest.raises(DeployError, match=words):
        loaded(other)
    loaded(X)
    if not isinstance(other, torch.Tensor) or other.dim() == 0:
        with pytest.raises(DeployError, match=words):
            loaded(other)


@pytest.mark.parametrize("backend", ["torch", "c", "onnxruntime", "torch_csr"])
def test_every_backend_gives_the_same_answers(clock: Clock, backend: str) -> None:
    if why := BACKENDS[backend].missing():
        pytest.skip(why)
    deploy(small(), X)
    loaded, right = load("out", backend=backend), load("out", backend="torch")
    for count in (0, 1, 5):
        torch.testing.assert_close(loaded(X[:count]), right(X[:count]))
    with pytest.raises(DeployError, match=r"the network takes inputs of \(n, 8\), not \(5, 7\)"):
        loaded(X[:, :7])


def test_a_copy_runs_as_well(clock: Clock) -> None:
    clock.set("c", 1)
    done = deploy(small(), X, "c")
    before = done.module(X)
    torch.testing.assert_close(copy.deepcopy(done.module)(X), before)


# -- another machine -------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["gone", "missing", "refuses"])
def test_a_machine_that_lacks_the_engine_warns_and_runs_dense_torch(
    clock: Clock, register: Register, monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    fake = register("fake")
    clock.set("fake", 1)
    deploy(small(), X, "fake")
    assert load("out").backend_for(1) == "fake"
    calls = len(fake.calls)
    words = {"gone": "there is no backend fake here", "missing": "buy one", "refuses": "not mine"}
    if loss == "gone":
        remove("fake", monkeypatch)
    fake.absent = "buy one" if loss == "missing" else None
    fake.refusal = "not mine" if loss == "refuses" else None
    with pytest.warns(UserWarning, match="running dense torch") as told:
        y = load("out")(X)
    text = str(told[0].message)
    assert text.startswith("measured best for batches of 3 was 'fake', but " + words[loss])
    assert "'pruneflow deploy' measures this machine anew" in text
    assert torch.equal(y, load("out", backend="torch")(X))
    assert len(fake.calls) == calls
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load("out", backend="torch")(X)  # whoever names it is not warned


def test_what_is_missing_is_told_once_for_all_sizes(clock: Clock, register: Register) -> None:
    register("fake", absent="buy one")
    chosen(Cell(1, 1, "fake"), Cell(1, 64, "fake"), Cell(1, 512, "lost"))
    loaded = load("out")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for batch in (1, 64, 2, 1, 512):
            loaded(torch.rand(batch, 8))
            assert loaded.backend_for(batch) == "torch"
    assert ["'fake', but buy one" in str(each.message) for each in told] == [True, False]
    assert "there is no backend lost here" in str(told[1].message)
    assert told[0].filename == __file__


def test_a_measurement_of_another_processor_is_told(clock: Clock) -> None:
    chosen(Cell(1, 1, "torch"), device="\x1b[31mEniac")
    with pytest.warns(UserWarning, match="this machine anew") as told:
        loaded = load("out")
    text = str(told[0].message)
    assert r"was measured on ''\x1b[31mEniac''" in text
    assert f"this is '{machine.cpu()}'" in text
    assert "'pruneflow deploy' measures this machine anew" in text
    assert told[0].filename == __file__
    loaded(X)
    assert len(told) == 1


def test_where_no_measurement_is_used_no_processor_is_told(clock: Clock) -> None:
    chosen(Cell(1, 1, "torch"), device="Eniac")
    load("out", backend="torch")
    chosen(Cell(1, 1, "torch"), device="Eniac", asked="torch")
    load("out")
    chosen(device="Eniac")
    load("out")


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ({"0": "fake", "2": "gone"}, "there is no backend gone here"),
        ({"0": "fake", "nine": "fake"}, "its layers are not this network's"),
        ({"0": "by_layer"}, "there is no backend by_layer here"),
    ],
)
def test_layers_that_cannot_run_here_warn_too(
    clock: Clock, register: Register, layers: dict[str, str], words: str
) -> None:
    register("fake")
    chosen(Cell(1, 1, "by_layer", layers))
    with pytest.warns(UserWarning, match=words):
        assert torch.equal(load("out")(X), load("out", backend="torch")(X))


def test_an_explicit_backend_that_cannot_run_here_is_an_error(
    clock: Clock, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(small(), X)
    register("fake", absent="not installed: pip install fake")
    with pytest.raises(DeployError, match="backend 'fake': not installed: pip install fake"):
        load("out", backend="fake")
    remove("fake", monkeypatch)
    with pytest.raises(ConfigError, match=r"there is no backend 'fake'\. Allowed: c, onnx"):
        load("out", backend="fake")
    with pytest.raises(ConfigError, match="Did you mean 'torch'"):
        load("out", backend="troch")


# -- files -----------------------------------------------------------------------------------


def test_a_bundle_moves_and_needs_nothing_beside_it(clock: Clock) -> None:
    y = deploy(small(), X).module(X)
    Path("elsewhere").mkdir()
    shutil.move("out/bundle.safetensors", "elsewhere/mine.bin")
    assert torch.equal(load("elsewhere/mine.bin", backend="torch")(X), y)
    assert torch.equal(load(Path("elsewhere/mine.bin"), backend="torch")(X), y)
    Path("run/deploy").mkdir(parents=True)
    shutil.move("elsewhere/mine.bin", "run/deploy/bundle.safetensors")
    assert torch.equal(load("run", backend="torch")(X), y)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nowhere", "nowhere: there is no such file"),
        ("empty", "empty/bundle.safetensors: there is no such file"),
        ("out/report.json", "out/report.json: "),
    ],
)
def test_what_is_no_bundle_is_told_by_name(clock: Clock, path: str, words: str) -> None:
    deploy(small(), X)
    Path("empty").mkdir()
    with pytest.raises(BundleError) as told:
        load(path)
    assert str(told.value).startswith(words)


def test_a_choice_that_makes_no_sense_is_damage_of_the_file(clock: Clock) -> None:
    done = deploy(small(), X)
    old = bundles.read(done.bundle)
    tensors = {name: old.packed.get(name, tensor) for name, tensor in old.tensors.items()}
    bundles.write(done.bundle, tensors, old.graph, None, {"cells": 3})
    with pytest.raises(BundleError, match=r"out/bundle\.safetensors: choice: its keys are not"):
        load("out")


def test_a_graph_of_other_than_float32_tensors_is_refused(clock: Clock) -> None:
    """A backend that trusts it would read past the tensor's end."""
    done = deploy(small(), X)
    old = bundles.read(done.bundle)
    tensors = {**old.packed, "0.bias": torch.zeros(16, dtype=torch.uint8), "2.bias": torch.zeros(3)}
    bundles.write(done.bundle, tensors, old.graph, None, {})
    with pytest.raises(BundleError, match=r"0\.bias holds torch\.uint8, and graphs are made of"):
        load("out")


def test_a_bundle_that_holds_its_network_needs_no_module(clock: Clock) -> None:
    deploy(small(), X)
    with pytest.raises(DeployError, match=r"load\(bundle\) without into"):
        load("out", into=small())


# -- inside torch's own tools ----------------------------------------------------------------


@pytest.mark.parametrize("backend", [None, "torch", "c"])
def test_hooks_fire(clock: Clock, backend: str | None) -> None:
    deploy(small(), X)
    loaded = load("out", backend=backend)
    y, seen = loaded(X), []
    handles = [
        loaded.register_forward_pre_hook(lambda module, inputs: seen.append("before")),
        loaded.register_forward_hook(lambda module, inputs, output: output + 1),
        register_module_forward_hook(
            lambda module, *_: seen.append("global") if module is loaded else None
        ),
    ]
    for batch in (X, X[:1]):
        torch.testing.assert_close(loaded(batch), y[: len(batch)] + 1)
    assert seen.count("before") == seen.count("global") == 2
    for handle in handles:
        handle.remove()
    assert torch.equal(loaded(X), y)
    assert len(seen) == 4


def test_backward_hooks_fire(clock: Clock) -> None:
    deploy(small(), X)
    loaded, seen = load("out", backend="torch"), []
    loaded.register_full_backward_hook(lambda *_: seen.append("backward"))
    loaded(X.clone().requires_grad_()).sum().backward()
    assert seen == ["backward"]


def test_a_call_without_hooks_goes_straight_to_what_runs_it(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(small(), X)
    loaded = load("out")
    y = loaded(X)
    monkeypatch.setattr(nn.Module, "__call__", lambda *_: pytest.fail("the long way"))
    monkeypatch.setattr(type(loaded), "forward", lambda *_: pytest.fail("the long way"))
    loaded._runs[1, len(X)] = lambda x: y
    assert loaded(X) is y


def test_compiling_it_in_place_is_accepted(clock: Clock) -> None:
    deploy(small(), X)
    loaded = load("out", backend="torch")
    right, graphs = loaded(X), []

    def count(graph: torch.fx.GraphModule, inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    loaded.compile(backend=count, fullgraph=True)
    with torch.no_grad():
        assert torch.equal(loaded(X), right)
    assert len(graphs) == 1


def pictures() -> torch.Tensor:
    """A batch for a residual network."""
    return torch.rand(3, 3, 16, 16)


@pytest.mark.parametrize("strict", [False, True], ids=["lenient", "strict"])
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_torch_export_accepts_the_torch_backend(clock: Clock, dynamic: bool, strict: bool) -> None:
    deploy(prune_(small_resnet(), 0.5), pictures())
    loaded = load("out", backend="torch")
    shapes = ({0: torch.export.Dim("batch", min=1, max=64)},) if dynamic else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        program = torch.export.export(loaded, (pictures(),), dynamic_shapes=shapes, strict=strict)
    for x in (pictures(), *([torch.rand(7, 3, 16, 16)] if dynamic else [])):
        torch.testing.assert_close(program.module()(x), loaded(x))


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_torch_compile_accepts_the_torch_backend(clock: Clock, dynamic: bool) -> None:
    deploy(prune_(small_resnet(), 0.5), pictures())
    loaded, x = load("out", backend="torch"), pictures()
    whole = torch.compile(loaded, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    with torch.no_grad():
        for batch in (x, x[:2]):
            torch.testing.assert_close(whole(batch), loaded(batch))


def test_inductor_compiles_the_torch_backend(clock: Clock) -> None:
    deploy(prune_(small_resnet(), 0.5), pictures())
    loaded, x = load("out", backend="torch"), pictures()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.testing.assert_close(torch.compile(loaded, fullgraph=True)(x), loaded(x))


def test_what_was_asked_for_when_deploying_never_falls_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model, x = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3)), torch.randn(4, 8)
    options = {"batches": [1], "threads": [1], "seconds": 0.0, "candidates": ["torch_csr"]}
    deploy_model(model, x, tmp_path, backend="torch_csr", **options)
    assert load(tmp_path).backend_for(1) == "torch_csr"
    monkeypatch.setattr(type(BACKENDS["torch_csr"]), "missing", lambda self: "it is not here")
    with pytest.raises(DeployError, match="backend 'torch_csr': it is not here"):
        load(tmp_path)
    assert load(tmp_path, backend="torch").backend_for(1) == "torch"


# -- for a GPU -------------------------------------------------------------------------------


@gpu_is_absent
def test_without_its_gpu_a_network_runs_dense_on_the_cpu(clock: Clock) -> None:
    chosen_for(Place("cuda", "bf16"), Cell(1, 1, "triton_sell"))
    with pytest.warns(UserWarning, match="deployed for a GPU, and there is none here: running"):
        loaded = load("out")
    assert loaded.backend_for(1) == "torch"
    assert loaded(X).dtype is torch.float32
    with pytest.raises(DeployError, match=r"deploy\.device=cuda: there is no GPU here"):
        load("out", device="cuda")


@gpu_is_absent
def test_on_a_cpu_that_was_asked_for_nobody_is_warned(clock: Clock) -> None:
    torch.manual_seed(1)
    chosen_for(Place("cuda", "fp16"), Cell(1, 1, "triton_sell"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = load("out", device="cpu")
    torch.manual_seed(1)
    assert torch.allclose(loaded(X), small()(X), atol=1e-6)
