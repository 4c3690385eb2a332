"""The examples run as their docstrings say, and do what they claim."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.loop import bits

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name: str, *arguments: str) -> str:
    """What an example prints, started as a person starts it."""
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=one_thread, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_lightning_script() -> None:
    assert run("existing_project.py").startswith("8,525 zeros; validation accuracy 9")
    assert list(Path().iterdir()) == []


@pytest.mark.slow
def test_a_lightning_script_that_goes_on() -> None:
    first = run("existing_project.py", "kept")
    last = max(Path("kept").iterdir())
    whole = torch.load(last, weights_only=True)["state_dict"]
    last.unlink()
    assert run("existing_project.py", "kept") == first
    assert bits(torch.load(last, weights_only=True)["state_dict"]) == bits(whole)
    assert run("existing_project.py", "kept") == first  # it is finished, and stays so


def test_a_hydra_project() -> None:
    told = run("hydra_project/train.py", "-m", "pruning=gradual,once", "pruning.sparsity=0.95")
    found = re.findall(r"^(\w+): (\S+) sparse, test accuracy 9", told, re.MULTILINE)
    assert found == [("gradual", "95.0%"), ("one_shot", "95.0%")]
    kept = [yaml.safe_load(path.read_text()) for path in Path().rglob(".hydra/config.yaml")]
    assert [config["pruning"]["sparsity"] for config in kept] == [0.95, 0.95]


def test_two_optimizers() -> None:
    assert run("two_optimizers.py").splitlines() == [
        "generator: 80.0% of 26,624 are zero",
        "discriminator: 0.0% of 8,320 are zero",
        "280 steps of the recipe, 420 of the two optimizers",
    ]


def test_a_plain_loop_that_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main = runpy.run_path(str(EXAMPLES / "plain_loop.py"))["main"]
    main(Path("whole.pt"))
    whole = capsys.readouterr().out.splitlines()
    assert whole[-3].startswith("90.0% sparse, test accuracy 9")
    save = torch.save

    def killed(content: Any, path: Any) -> None:
        save(content, path)
        if content["pruning"]["clock"] == 5 * 47:
            raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        main(Path("killed.pt"))
    assert run("plain_loop.py", "killed.pt").splitlines() == ["goes on in epoch 5", *whole[-3:]]
    ends = [torch.load(name, weights_only=True) for name in ("whole.pt", "killed.pt")]
    assert bits(ends[0]) == bits(ends[1])


def test_a_module_that_is_shipped() -> None:
    assert "largest difference to the module" in run("ship_a_module.py")
    assert sorted(path.name for path in Path("shipped").iterdir()) == [
        "bundle.safetensors",
        "report.json",
    ]


def test_every_example_is_in_the_table() -> None:
    named = re.findall(r"\]\(([\w/]+\.py)\)", (EXAMPLES / "README.md").read_text())
    there = [path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*.py")]
    assert sorted(named) == sorted(there)
