"""``deploy.activations=int8``: what is handed out computes in bytes, or nothing is handed out."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pruneflow import deploy_model
from pruneflow.deploy.api import Deployment
from pruneflow.deploy.c99 import functions
from pruneflow.deploy.c99.boards import survey as surveying
from pruneflow.deploy.c99.boards.building import Source
from pruneflow.deploy.c99.boards.cpus import CPUS
from pruneflow.deploy.c99.boards.running import run_on
from pruneflow.errors import ConfigError, DeployError
from pruneflow.zoo.data import Digits
from tests.deploy.c99.arm import needs_emulator
from tests.deploy.c99.code import compiled
from tests.deploy.fakes import traced_once
from tests.deploy.networks import prune_
from tests.deploy.reports import require_sound

__all__ = ["traced_once"]

pytestmark = pytest.mark.usefixtures("traced_once", "no_boards")

Data = list[tuple[torch.Tensor, torch.Tensor]]


@pytest.fixture
def no_boards(monkeypatch: pytest.MonkeyPatch) -> None:
    """No microcontrollers, but where a test asks for one."""
    monkeypatch.setattr(surveying, "toolchain_missing", lambda: "not today")


def ship(module: nn.Module, data: Data, **options: Any) -> Deployment:
    """Deploy to C99 in integers, into ``out``."""
    asked = {"validation": data, "target": "c99", "activations": "int8", "name": "net"}
    return deploy_model(module, data[0][0], "out", **{**asked, **options})


def labelled(module: nn.Module, *shape: int) -> Data:
    """Two batches of inputs, and what the network says of them."""
    x = torch.randn(40, *shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        y = module(x).flatten(1).argmax(1)
    return [(x[:17], y[:17]), (x[17:], y[17:])]


def perceptron(*more: nn.Module) -> nn.Module:
    """For inputs (n, 8)."""
    return prune_(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), *more, nn.Linear(16, 3)), 0.5)


def test_the_report_the_header_and_the_self_test_are_of_bytes() -> None:
    module = perceptron()
    report = ship(module, labelled(module, 8), max_accuracy_drop=10).report
    require_sound(report)
    told = report["c99"]
    assert json.loads(Path("out/report.json").read_text())["c99"] == told
    assert (told["values"], told["activations"]) == ("int8", "int8")
    assert set(told["quantities"]) == {"input", "1"}
    assert told["quantities"]["1"]["zero"] == -128
    memory = told["memory"]
    assert memory["workspace_bytes"] == 24
    assert {one["bytes"] for one in memory["buffers"]} == {8, 16}
    header = Path("out/c99/net.h").read_text()
    assert "#define NET_WORKSPACE_BYTES 24\n" in header
    assert f"#define NET_INPUT_ZERO ({told['quantities']['input']['zero']})\n" in header
    constants = sum(sum(layer["bytes"].values()) for layer in told["layers"])
    assert f"Flash: {constants} bytes of weights and biases" in header
    compiled("cc", Path("out/c99"), "net.c", "net_test.c", "-o", "it", "-lm")
    done = subprocess.run([Path("out/c99/it").absolute()], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_trained_network_keeps_its_accuracy() -> None:
    """A convolutional network that tells digits, half of its weights gone."""
    data = Digits()
    data.setup()
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 8, 5, 2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 36, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(module.parameters(), 3e-3)
    for epoch in range(4):
        for x, y in data.train_dataloader():
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(x), y).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        with torch.no_grad():
            for weight in (p for p in module.parameters() if p.dim() > 1 and epoch > 1):
                least = weight.abs().flatten().kthvalue(weight.numel() // 2).values
                weight[weight.abs() <= least] = 0
    report = ship(
        module, list(data.val_dataloader()), test=list(data.test_dataloader()),
        max_accuracy_drop=1, goal="size",
    ).report  # fmt: skip
    parity = report["c99"]["parity"]
    assert parity["accuracy"]["torch"] > 0.85
    assert parity["drop"] <= 1
    assert parity["same_class"] >= 0.97 * parity["samples"]
    assert report["gate"]["engines"]["c99"]["passed"]


@needs_emulator
def test_a_microcontroller_gives_the_same_bits() -> None:
    module = prune_(nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, 2), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(4, 3),
    ), 0.5)  # fmt: skip
    data = labelled(module, 2, 9, 9)
    ship(module, data, max_accuracy_drop=100)
    Path("here.c").write_text(HERE)
    compiled("cc", Path(), "-Iout/c99", "here.c", "out/c99/net.c", "-o", "here", "-lm")
    inputs = data[0][0][:3].reshape(3, -1).numpy()
    said = subprocess.run(["./here"], input=inputs.tobytes(), capture_output=True, check=True)
    for cpu in CPUS.values():
        run = run_on(Source(Path("out/c99/net.c"), "net"), cpu, inputs)
        assert run.outputs.tobytes() == said.stdout


HERE = """\
#include "net.h"
#include <stdio.h>

int main(void)
{
    static net_workspace workspace;
    static float input[NET_INPUTS], output[NET_OUTPUTS];
    while (fread(input, sizeof(float), NET_INPUTS, stdin) == NET_INPUTS) {
        net_run(&workspace, input, output);
        fwrite(output, sizeof(float), NET_OUTPUTS, stdout);
    }
    return 0;
}
"""

# -- what is not handed out ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (perceptron(nn.LeakyReLU()), "2 is a leaky_relu"),
        (perceptron(nn.Softmax(1)), "2 is a softmax before the end"),
    ],
)
def test_what_has_no_integers_is_refused_by_name(module: nn.Module, said: str) -> None:
    with pytest.raises(DeployError, match=rf"deploy\.activations=int8: {said}"):
        ship(module, labelled(module, 8), max_accuracy_drop=100)
    assert not Path("out").exists()


def test_without_data_there_is_nothing_to_check_accuracy_on() -> None:
    with pytest.raises(DeployError, match=r"no validation data .* deploy\.activations=fp32"):
        deploy_model(perceptron(), torch.randn(4, 8), "out", target="c99", activations="int8")
    assert not Path("out").exists()


def test_accuracy_that_bytes_lose_keeps_everything_back() -> None:
    """The first feature is so large that a step of it hides the second, which decides."""
    module = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[0.0, 1.0], [0.0, -1.0]]))
    x = torch.tensor([[1000.0, 1.0], [1000.0, -1.0]])
    data = [(x, torch.tensor([0, 1]))]
    with pytest.raises(DeployError, match=r"from 100\.00% to 50\.00%.*max_accuracy_drop"):
        ship(module, data)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("before", "after"),
    [("int32_t sum = bias[r]", "int32_t sum = bias[0]"), (">> shift", ">> shift >> 1")],
)
def test_wrong_code_is_not_handed_out(
    monkeypatch: pytest.MonkeyPatch, before: str, after: str
) -> None:
    right = functions._read
    monkeypatch.setattr(functions, "_read", lambda name: right(name).replace(before, after))
    module = perceptron()
    with pytest.raises(DeployError, match="the C code gives wrong results"):
        ship(module, labelled(module, 8), max_accuracy_drop=100)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"target": "auto"}, "deploy.activations=int8: only C99 code .* add deploy.target=c99"),
        ({"values": "fp16"}, "deploy.values=fp16: deploy.activations=int8 needs weights in int8"),
        ({"activations": "int4"}, "deploy.activations: 'int4' is unknown. Did you mean 'int8'?"),
    ],
)
def test_settings_that_do_not_go_together(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ship(perceptron(), labelled(perceptron(), 8), **options)
