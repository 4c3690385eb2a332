"""``deploy.target=c99``: right code is handed out, and of anything else not one byte."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pruneflow import deploy_model
from pruneflow.deploy.api import Deployment
from pruneflow.deploy.c99 import functions, host
from pruneflow.deploy.c99.boards import survey as surveying
from pruneflow.errors import ConfigError, DeployError
from pruneflow.zoo.models import MODELS
from tests.deploy.c99.code import compiled
from tests.deploy.fakes import traced_once
from tests.deploy.networks import prune_, small_resnet
from tests.deploy.reports import require_sound

__all__ = ["traced_once"]

pytestmark = pytest.mark.usefixtures("traced_once", "no_boards")

Data = list[tuple[torch.Tensor, torch.Tensor]]


@pytest.fixture
def no_boards(monkeypatch: pytest.MonkeyPatch) -> None:
    """No microcontrollers: they have tests of their own."""
    monkeypatch.setattr(surveying, "toolchain_missing", lambda: "not today")


def ship(module: nn.Module, example: torch.Tensor, **options: Any) -> Deployment:
    """Deploy to C99, into ``out``."""
    return deploy_model(module, example, "out", target="c99", **options)


def perceptron() -> nn.Module:
    """For inputs (n, 8)."""
    return prune_(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3)), 0.5)


X = torch.linspace(-1, 1, 32).reshape(4, 8)


def labelled(module: nn.Module, count: int = 40) -> Data:
    """Batches of inputs, and what the network says of them."""
    x = torch.randn(count, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        y = module(x).argmax(1)
    return [(x[:17], y[:17]), (x[17:], y[17:])]


def written() -> list[str]:
    """Names of all files and folders here."""
    return sorted(str(path) for path in Path().rglob("*"))


# -- what is handed out ----------------------------------------------------------------------


def test_the_code_is_beside_the_bundle_and_the_report_tells_of_it() -> None:
    module = perceptron()
    validation, test = labelled(module), labelled(module, 100)
    done = ship(
        module, X, validation=validation, test=test, goal="size", name="My net",
        preprocessing={"divide_by": 16},
    )  # fmt: skip
    folder = Path("out/c99")
    assert written() == [
        "out", "out/bundle.safetensors", "out/c99", "out/c99/my_net.c", "out/c99/my_net.h",
        "out/c99/my_net_test.c", "out/report.json",
    ]  # fmt: skip
    told = done.report["c99"]
    assert json.loads(Path("out/report.json").read_text())["c99"] == told
    assert set(told) == {
        "name", "files", "values", "activations", "layers", "memory", "parity", "boards_absent",
    }  # fmt: skip
    assert told["name"] == "my_net"
    assert {Path("out", file) for file in told["files"].values()} == set(folder.iterdir())
    parity = told["parity"]
    assert (parity["split"], parity["samples"], parity["allowed"]) == ("test", 100, 0.5)
    assert parity["accuracy"]["torch"] == 1.0
    assert parity["accuracy"]["c"] == parity["same_class"] / 100
    assert 0 < parity["rounding"] < 1e-5 < parity["largest_deviation"] < 0.1
    assert "-Werror" in parity["flags"]
    assert [layer["name"] for layer in told["layers"]] == ["0", "2"]
    constants = sum(sum(layer["bytes"].values()) for layer in told["layers"])
    header = (folder / "my_net.h").read_text()
    assert f"Flash: {constants} bytes of weights and biases" in header
    assert "divide by 16" in header
    memory = told["memory"]
    assert f"#define MY_NET_WORKSPACE_BYTES {memory['workspace_bytes']}\n" in header
    assert (memory["input_bytes"], memory["output_bytes"]) == (32, 12)
    assert all(one["offset"] + one["bytes"] <= memory["workspace_bytes"]
               for one in memory["buffers"])  # fmt: skip
    compiled("cc", folder, "my_net.c", "my_net_test.c", "-o", "it", "-lm")
    assert (
        subprocess.run([folder.absolute() / "it"], capture_output=True, check=False).returncode == 0
    )


def test_the_rest_of_the_report_is_like_any_other() -> None:
    report = ship(perceptron(), X).report
    require_sound(report)
    assert [layer["backend"] for layer in report["layers"]] == ["c99", "c99"]
    assert report["gate"]["engines"]["c99"]["passed"]
    assert report["latency"] == []


def test_without_labels_it_is_compared_all_the_same() -> None:
    parity = ship(perceptron(), X).report["c99"]["parity"]
    assert "accuracy" not in parity
    assert "split" not in parity
    assert parity["samples"] >= 4
    assert parity["same_class"] == parity["samples"]


def test_maps_may_come_out() -> None:
    """Where there are no classes there is no function that names one."""
    module = prune_(nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU()), 0.5)
    ship(module, torch.randn(2, 2, 5, 4), name="maps")
    assert "classify" not in Path("out/c99/maps.h").read_text()


def test_again_gives_the_same_bytes_and_nothing_old_remains() -> None:
    module = perceptron()
    ship(module, X, name="first")
    before = {path.name: path.read_bytes() for path in Path("out/c99").iterdir()}
    ship(module, X, name="first")
    assert {path.name: path.read_bytes() for path in Path("out/c99").iterdir()} == before
    assert "first_test.c" in before


@pytest.mark.parametrize(
    "name", ["../../up", "/abs", "a/b", "*/ #error", "\n", "\u00e4\u00f6", "x" * 300, "con:"]
)
def test_a_hostile_name_leads_nowhere_else(name: str) -> None:
    ship(perceptron(), X, name=name, preprocessing={"*/\n#error": ["??/", "\u2028"]})
    assert {path.split("/")[0] for path in written()} == {"out"}
    assert len(list(Path("out/c99").iterdir())) == 3
    assert len(written()) == 7


# -- what is not -----------------------------------------------------------------------------


class Recurrent(nn.Module):
    """Something that is no graph."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = nn.LSTM(8, 8, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.memory(x)[0].mean(1))  # type: ignore[no-any-return]


def test_a_network_that_is_no_graph_is_refused_by_name() -> None:
    with pytest.raises(DeployError, match=r"deploy\.target=c99: .*(lstm|LSTM)"):
        ship(Recurrent(), X[:, None])
    assert written() == []


def test_a_transformer_is_refused_by_name() -> None:
    model = MODELS["vit"]({"name": "sgd", "lr": 0.1}, depth=1)
    with pytest.raises(DeployError, match=r"deploy\.target=c99: \S+"):
        ship(model, torch.randn(2, 1, 28, 28))
    assert written() == []


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (nn.MaxPool2d((2, 1)), (1, 70_000, 1)),
        (nn.AvgPool2d((1, 2)), (1, 1, 70_000)),
        (nn.Conv2d(1, 1, 1), (1, 1, 70_000)),
    ],
)
def test_sides_that_16_bits_cannot_hold_are_refused(
    module: nn.Module, shape: tuple[int, ...]
) -> None:
    with pytest.raises(DeployError, match=r"deploy\.target=c99: .*more than 65535"):
        ship(nn.Sequential(module), torch.zeros(1, *shape))
    assert written() == []


def test_accuracy_that_is_lost_on_the_test_data_keeps_everything_back() -> None:
    """A row's second weight is nothing beside the first, and only the test data show it."""
    module = nn.Linear(2, 2)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[127.0, 0.4], [0.0, 0.0]]))
        module.bias.copy_(torch.tensor([0.0, 0.2]))
    x, zeros = torch.tensor([[1.0, 0.0], [0.5, 0.0]]), torch.zeros(2, dtype=torch.int64)
    good, bad = [(x, zeros)], [(x.flip(1), zeros)]
    ask: dict[str, Any] = {"validation": good, "values": "int8", "max_accuracy_drop": 60}
    with pytest.raises(DeployError, match=r"test data .* from 100\.00% to 0\.00%.*max_accuracy"):
        ship(module, x, test=bad, **ask)
    assert written() == []
    assert ship(module, x, test=good, **ask).report["c99"]["parity"]["drop"] == 0


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("float sum = 0.0f", "float sum = 0.001f", "the C code gives wrong results"),
        ("output[r] =", "output[rows - 1 - r] =", "the C code gives wrong results"),
        ("output[r] =", "if (r) output[r] =", "the C code gives wrong results"),
        ("for (", "for (int unused = 0;", "the C code cannot be compiled here"),
    ],
)
def test_wrong_code_is_not_handed_out(
    monkeypatch: pytest.MonkeyPatch, before: str, after: str, said: str
) -> None:
    right = functions._read

    def wrong(name: str) -> str:
        text = right(name)
        return text.replace(before, after) if name.startswith("linear") else text

    monkeypatch.setattr(functions, "_read", wrong)
    with pytest.raises(DeployError, match=said):
        ship(perceptron(), X)
    assert written() == []


def test_what_was_there_before_stays_when_something_goes_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ship(perceptron(), X)
    before = {path: Path(path).read_bytes() for path in written() if Path(path).is_file()}
    monkeypatch.setattr(functions, "_read", lambda name: "#error\n")
    with pytest.raises(DeployError):
        ship(perceptron(), X)
    assert {path: Path(path).read_bytes() for path in written() if Path(path).is_file()} == before


def test_without_a_compiler_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(DeployError, match=r"no C compiler here .*install gcc or clang"):
        ship(perceptron(), X)
    assert written() == []


def test_a_compiler_that_does_not_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("bin").mkdir()
    Path("bin/cc").write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    Path("bin/cc").chmod(0o755)
    monkeypatch.setenv("PATH", str(Path("bin").absolute()))
    monkeypatch.setattr(host, "TIME_LIMIT", 0.3)
    with pytest.raises(DeployError, match="was not done after"):
        ship(perceptron(), X)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"values": "bf16"}, r"deploy\.values=bf16: C99 code reads fp32, fp16, int8"),
        ({"device": "cuda"}, r"deploy\.target=c99 is for processors"),
        ({"precision": "fp16"}, r"deploy\.target=c99 is for processors"),
        ({"backend": "c"}, r"deploy\.backend=c: nothing runs with deploy\.target=c99"),
    ],
)
def test_what_c99_has_not_is_refused(options: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ship(perceptron(), X, **options)
    assert written() == []


def test_narrow_values_keep_a_residual_network_right() -> None:
    """fp16 and int8 on a network with batch norms, compared with torch on labelled data."""
    module = small_resnet().eval()
    x = torch.randn(24, 3, 16, 16)
    with torch.no_grad():
        y = module(x).argmax(1)
    for values in ("fp16", "int8"):
        done = ship(module, x[:2], validation=[(x, y)], values=values, max_accuracy_drop=50)
        told = done.report["c99"]
        assert told["values"] == values
        assert told["parity"]["split"] == "val"
        assert told["parity"]["rounding"] < 1e-3


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++")
@pytest.mark.parametrize("activations", ["fp32", "int8"])
def test_a_program_in_cpp_can_use_it(activations: str) -> None:
    module = perceptron()
    values = "int8" if activations == "int8" else "fp32"
    data = labelled(module)
    done = ship(module, X, name="net", validation=data, activations=activations, values=values)
    folder = done.bundle.parent / "c99"
    main = folder / "main.cpp"
    main.write_text(
        '#include "net.h"\nint main() {\n    static net_workspace workspace;\n'
        "    const float input[NET_INPUTS] = {0};\n"
        "    return net_classify(&workspace, input) < 0;\n}\n"
    )
    made = folder / "net.o"
    subprocess.run(["gcc", "-std=c99", "-c", folder / "net.c", "-o", made], check=True)
    program = folder / "main"
    strict = ["-std=c++11", "-Wall", "-Wextra", "-pedantic", "-Werror"]
    subprocess.run(["g++", *strict, main, made, "-o", program], check=True)
    subprocess.run([program], check=True)
