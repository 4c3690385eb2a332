"""Loggers: what they write, where, and that a run is the same run whichever it has."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from pruneflow.engine import Engine
from pruneflow.errors import ConfigError
from pruneflow.training import logger_settings
from pruneflow.training.logger_settings import KINDS, check_logger, require_logger
from pruneflow.training.loggers import Log, hyperparameters
from pruneflow.training.resume import read_lock
from tests.e2e.command import read, run, tiny, trained

Series = dict[str, list[tuple[int, float]]]

OFTEN = ("checkpoint.every_n_steps=7", "+trainer.log_every_n_steps=3")
LAYERS = ("fc1.weight", "fc2.weight", "fc3.weight")
DRAWN = [f"recipe/{what}/{n}" for what in ("magnitudes", "unit_nonzeros") for n in LAYERS]


@pytest.fixture(autouse=True)
def lonely(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty home, and nobody to call."""
    calls: list[Any] = []
    monkeypatch.setenv("HOME", str(Path("home").absolute()))
    monkeypatch.setenv("MPLCONFIGDIR", str(Path("matplotlib").absolute()))
    for name in ("WANDB_MODE", "WANDB_DIR", "MLFLOW_TRACKING_URI", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **_: calls.append(args))
    Path("home").mkdir()
    yield
    assert calls == []
    written = [path for path in Path("home").rglob("*") if path.is_file()]
    assert all(path.name == "key" for path in written)  # a lock that logs elsewhere is signed


def tensorboard(folder: Path) -> Any:
    """What TensorBoard would show."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    shown = EventAccumulator(str(folder / "tensorboard"))
    shown.Reload()
    return shown


def series(folder: Path, name: str) -> Series:
    """Every number in a log."""
    if name == "csv":
        rows = (folder / "logs" / "metrics.csv").read_text()
        return {"": [(0, hash(rows))]}
    if name == "tensorboard":
        shown = tensorboard(folder)
        tags = shown.Tags()["scalars"]
        return {tag: [(event.step, event.value) for event in shown.Scalars(tag)] for tag in tags}
    found = {}
    (metrics,) = folder.glob("mlflow/*/*/metrics")
    for path in sorted(path for path in metrics.rglob("*") if path.is_file()):
        words = [line.split() for line in path.read_text().splitlines()]
        found[str(path.relative_to(metrics))] = sorted({(int(w[2]), float(w[1])) for w in words})
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A finished run with a logger, trained once."""
    return cache(lambda name: trained(tmp_path_factory.mktemp(name), f"logger={name}", *OFTEN))


def require_the_same(done: Path, plain: Path) -> None:
    """The same run, with nothing of the logger's outside its folder."""
    for file in ("pruned.safetensors", "masks.safetensors", "journal.jsonl"):
        assert (done / file).read_bytes() == (plain / file).read_bytes()
    assert {path.name for path in done.parent.iterdir()} == {"done", "recipes"}
    assert {path.name for path in Path().iterdir()} <= {"home", "matplotlib"}


@pytest.mark.parametrize("name", ["csv", "tensorboard", "mlflow"])
def test_a_run_is_the_same_whatever_logs_it(name: str, whole: Callable[[str], Path]) -> None:
    plain, environment = whole("none"), dict(os.environ)
    done = whole(name)
    assert os.environ == environment
    require_the_same(done, plain)
    mine = {path.name for path in done.iterdir()} - {path.name for path in plain.iterdir()}
    assert mine == {"csv": {"logs"}, "mlflow": {"mlflow", "loggers.json"}}.get(name, {name})


def test_wandb_writes_histograms_and_stays_offline(
    whole: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    logged: list[dict[str, Any]] = []
    log = wandb.Run.log
    monkeypatch.setattr(
        wandb.Run, "log", lambda self, data, *a, **k: (logged.append(data), log(self, data))[1]
    )
    done = whole("wandb")
    require_the_same(done, whole("none"))
    drawn = {key for data in logged for key, v in data.items() if isinstance(v, wandb.Histogram)}
    assert drawn == set(DRAWN)
    assert any("result/accuracy" in data for data in logged)
    (folder,) = done.glob("wandb/offline-run-*")
    assert folder.name.endswith(read(done / "loggers.json")["wandb"])
    assert wandb.run is None


def test_tensorboard_shows_numbers_histograms_and_settings(whole: Callable[[str], Path]) -> None:
    done = whole("tensorboard")
    shown = tensorboard(done)
    numbers = series(done, "tensorboard")
    assert {"recipe/sparsity", "recipe/lr", "val_accuracy", "result/accuracy"} <= numbers.keys()
    assert [step for step, _ in numbers["recipe/layer_sparsity/fc1.weight"]] == [19, 39]
    assert sorted(shown.Tags()["histograms"]) == sorted(DRAWN)
    left = shown.Histograms("recipe/unit_nonzeros/fc3.weight")[-1].histogram_value
    assert (left.num, left.sum) == (10, 100)  # ten units keep a tenth of a thousand weights
    assert shown.Histograms("recipe/magnitudes/fc3.weight")[-1].histogram_value.num == 100
    assert "_hparams_/session_start_info" in shown.summary_metadata
    kept = yaml.safe_load((done / "tensorboard" / "hparams.yaml").read_text())["pruneflow"]
    assert kept["recipe"]["modifiers"]["prune"]["sparsity"] == 0.9
    assert kept == hyperparameters(read_lock(done))["pruneflow"]


@pytest.mark.parametrize(
    "name", ["csv", "tensorboard", pytest.param("mlflow", marks=pytest.mark.slow)]
)
def test_a_run_that_goes_on_goes_on_in_its_log(
    name: str, whole: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    advance = Engine.advance

    def deadly(self: Engine, step: int) -> Any:
        if step == 33:
            raise KeyboardInterrupt
        return advance(self, step)

    tiny()
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "advance", deadly)
        assert run("train", "recipe=tiny", f"logger={name}", *OFTEN, "hydra.run.dir=killed") == 130
    assert run("train", "run=killed", "ckpt_path=last") == 0
    assert series(Path("killed"), name) == series(whole(name), name)


def test_a_run_that_goes_on_keeps_its_name_with_every_logger() -> None:
    log = Log(Path("run"), "tiny run", {"name": "wandb"}, goes_on=True, step=7)
    assert log.kept_id() is None
    log.keep_id("0123abcd")
    replace(log, settings={"name": "mlflow"}).keep_id("4567")
    assert log.kept_id() == "0123abcd"
    assert replace(log, goes_on=False).kept_id() is None


def test_a_logger_that_cannot_be_opened_is_the_persons_to_mend(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tiny()
    assert run("train", "recipe=tiny", "logger=mlflow", "logger.tracking_uri=nonsense://x") == 2
    assert "pruneflow: logger=mlflow: " in capsys.readouterr().err


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_an_absent_package_is_named_before_anything_starts(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logger_settings, "find_spec", lambda package: None)
    tiny()
    assert run("train", "recipe=tiny", f"logger=csv,{name}", "-m") == 2
    assert f"logger={name} needs: pip install 'pruneflow[{name}]'" in capsys.readouterr().err
    assert not Path("outputs").exists()
    require_logger({"name": "csv"})


def test_settings_are_checked(repository: Path) -> None:
    for name, kind in KINDS.items():
        settings = yaml.safe_load((repository / "conf" / "logger" / f"{name}.yaml").read_text())
        check_logger(settings)
        assert {*settings} == {"name", *kind.keys}
        for key in kind.keys:
            with pytest.raises(ConfigError, match=f"write logger={name}"):
                check_logger({k: v for k, v in settings.items() if k != key})
            with pytest.raises(ConfigError, match=f"logger.{key}=3: needs"):
                check_logger({**settings, key: 3})


def test_hyperparameters_have_keys_that_every_logger_takes(whole: Callable[[str], Path]) -> None:
    config = read_lock(whole("none"))
    tree = {"modifiers": {"prune": {"milestones": {"50%": 0.5}, "targets": ["fc1", "fc2"]}}}
    object.__setattr__(config.recipe, "to_dict", lambda: tree)
    found = hyperparameters(config)["pruneflow"]["recipe"]["modifiers"]["prune"]
    assert found == {"milestones": '{"50%": 0.5}', "targets": '["fc1", "fc2"]'}
