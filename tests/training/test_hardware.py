"""Devices, precisions, determinism and seeds: checked before anything starts, kept when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from pruneflow.engine import Engine
from pruneflow.errors import ConfigError
from pruneflow.training import hardware
from pruneflow.training.hardware import ACCELERATORS, PRECISIONS, device, require_hardware
from pruneflow.training.trainer_settings import check_trainer
from tests.e2e.command import lines, read, run, tiny

OFTEN = ("checkpoint.every_n_steps=7", "trainer.threads=1")


def has(monkeypatch: pytest.MonkeyPatch, *devices: str) -> None:
    """Pretend that this machine has these GPUs."""
    monkeypatch.setattr(hardware, "_has_cuda", lambda: "cuda" in devices)
    monkeypatch.setattr(hardware, "_has_mps", lambda: "mps" in devices)


@pytest.mark.parametrize(
    ("there", "devices"),
    [
        ((), {"auto": "cpu", "cpu": "cpu"}),
        (("cuda",), {"auto": "cuda", "cpu": "cpu", "cuda": "cuda", "gpu": "cuda"}),
        (("mps",), {"auto": "mps", "cpu": "cpu", "mps": "mps", "gpu": "mps"}),
    ],
)
def test_an_accelerator_is_the_device_that_lightning_takes(
    there: tuple[str, ...], devices: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    has(monkeypatch, *there)
    assert {n: found for n in ACCELERATORS if (found := device(n)) is not None} == devices
    for name in ACCELERATORS:
        if name in devices:
            require_hardware({"accelerator": name, "precision": "32-true"})
        else:
            with pytest.raises(ConfigError, match=f"{name}: no GPU .*; write trainer=cpu"):
                require_hardware({"accelerator": name, "precision": "32-true"})


@pytest.mark.parametrize(
    ("there", "refused"),
    [((), {"16-mixed": "bf16-mixed"}), (("cuda",), {}), (("mps",), {"64-true": "trainer=cpu"})],
)
def test_a_precision_is_refused_where_the_device_lacks_it(
    there: tuple[str, ...], refused: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    has(monkeypatch, *there)
    for precision in PRECISIONS:
        settings = {"accelerator": "auto", "precision": precision}
        if precision in refused:
            with pytest.raises(ConfigError, match=f"{precision}: .*write .*{refused[precision]}"):
                require_hardware(settings)
        else:
            require_hardware(settings)


@given(st.text() | st.integers() | st.none() | st.booleans() | st.lists(st.text()))
def test_nothing_passes_that_is_not_on_the_list(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"Allowed: .*16-mixed"):
        check_trainer({"precision": value})


def test_every_trainer_of_conf_is_a_trainer(repository: Path) -> None:
    for path in (repository / "conf" / "trainer").glob("*.yaml"):
        settings = yaml.safe_load(path.read_text())
        check_trainer(settings)
        assert settings["accelerator"] == path.stem
        assert settings["deterministic"] == "warn"


def test_a_sweep_without_its_gpu_does_not_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    has(monkeypatch)
    tiny()
    assert run("train", "recipe=tiny", "trainer=cpu,gpu", "-m") == 2
    assert "trainer=gpu: no GPU here that torch can use" in capsys.readouterr().err
    assert not Path("outputs").exists()
    assert run("plan", "recipe=tiny", "trainer=gpu") == 0, "a plan needs no GPU"


def test_the_laws_hold_in_bf16_mixed_and_a_resume_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny()
    arguments = ("train", "recipe=tiny", "trainer.precision=bf16-mixed", *OFTEN)
    assert run(*arguments, "hydra.run.dir=whole") == 0
    advance = Engine.advance

    def deadly(self: Engine, step: int) -> Any:
        if step == 33:
            raise KeyboardInterrupt
        return advance(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "advance", deadly)
        assert run(*arguments, "hydra.run.dir=killed") == 130
    assert run("train", "run=killed", "ckpt_path=last") == 0
    for file in ("pruned.safetensors", "masks.safetensors", "journal.jsonl", "history.jsonl"):
        assert Path("whole", file).read_bytes() == Path("killed", file).read_bytes()
    require_laws(Path("whole"), torch.float32)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("bf16-true", torch.bfloat16), ("64-true", torch.float64)]
)
def test_the_laws_hold_in_other_numbers(precision: str, dtype: torch.dtype) -> None:
    tiny()
    assert run("train", "recipe=tiny", f"trainer.precision={precision}", "hydra.run.dir=done") == 0
    require_laws(Path("done"), dtype)


def require_laws(folder: Path, dtype: torch.dtype) -> None:
    """Exactly as many weights as were asked for, and +0.0 everywhere else."""
    weights = load_file(folder / "pruned.safetensors")
    masks = load_file(folder / "masks.safetensors")
    for name, mask in masks.items():
        pruned = weights[name][mask == 0]
        assert pruned.dtype == dtype
        assert not pruned.any()
        assert not pruned.signbit().any()
        assert weights[name].count_nonzero() == mask.count_nonzero()
    journal = lines(folder / "journal.jsonl")
    assert journal[-1]["nonzeros"] == sum(int(mask.sum()) for mask in masks.values()) == 26_620


def test_a_seed_left_open_is_drawn_shown_and_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pruneflow.training.resume.randbelow", lambda most: most - 1)
    tiny()
    arguments = ("train", "recipe=tiny", "seed=null", "trainer.threads=1")

    def die(self: Engine, step: int) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "advance", die)
        assert run(*arguments) == 130
    assert "Seed 4294967295, drawn" in capsys.readouterr().out
    assert run(*arguments, "ckpt_path=last") == 0, "the drawn seed is the one left open"
    assert run("train", "recipe=tiny", "seed=4294967295", "hydra.run.dir=same", *OFTEN) == 0
    (folder,) = Path("outputs/tiny").iterdir()
    assert yaml.safe_load((folder / "run.lock.yaml").read_text())["config"]["seed"] == 2**32 - 1
    assert read(folder / "result.json")["seed"] == 2**32 - 1
    weights = [path / "pruned.safetensors" for path in (folder, Path("same"))]
    assert weights[0].read_bytes() == weights[1].read_bytes()
