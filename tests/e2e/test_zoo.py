"""Every model and every data set, by the command a person types."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pruneflow.zoo.data import DATA, Digits
from pruneflow.zoo.mnist import MNIST, FashionMNIST, IdxImages
from pruneflow.zoo.models import MODELS
from tests.e2e.command import process, read, run, tiny
from tests.e2e.test_resume import FILES, KILLER
from tests.zoo.archives import packed_cifar, small_cifar, small_idx, write_cifar, write_idx

SHORT = """\
length: 2ep
modifiers: {prune: {type: prune, start: 1ep, sparsity: 0.8}}
"""


@pytest.fixture(autouse=True)
def short() -> None:
    """A recipe that prunes once."""
    tiny("recipes/short.yaml", SHORT)


def test_names_of_files_are_names_of_things(repository: Path) -> None:
    for group, names in (("model", MODELS), ("data", DATA)):
        files = {path.stem: path.read_text() for path in (repository / "conf" / group).iterdir()}
        assert set(files) == set(names)
        assert all(text.startswith(f"name: {name}") for name, text in files.items())


@pytest.fixture
def few_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty of the digits in each split."""
    whole = Digits.load

    def part(self: Digits) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        return {name: (x[:50], y[:50]) for name, (x, y) in whole(self).items()}

    monkeypatch.setattr(Digits, "load", part)
    monkeypatch.setattr(Digits, "num_samples", lambda self, split: 50)


@pytest.mark.parametrize("model", sorted({*MODELS} - {"lenet_300_100"}))
@pytest.mark.usefixtures("few_digits")
def test_every_model_trains_on_digits(model: str) -> None:
    command = ("train", f"model={model}", "recipe=short", "hydra.run.dir=mine", "logger=none")
    assert run(*command) == 0
    result = read(Path("mine/result.json"))
    assert result["sparsity"] == pytest.approx(0.8, abs=1e-4)
    weights = load_file("mine/pruned.safetensors")
    assert all(weight.isfinite().all() for weight in weights.values() if weight.is_floating_point())


def test_the_command_for_a_person_with_cifar10(monkeypatch: pytest.MonkeyPatch) -> None:
    archive = packed_cifar(small_cifar(monkeypatch, records=3))
    write_cifar(monkeypatch, Path("data/CIFAR10"), archive)
    command = ("train", "model=resnet20", "data=cifar10", "recipe=gradual", "logger=none")
    assert run(*command, "hydra.run.dir=mine") == 0
    result = read(Path("mine/result.json"))
    assert result["sparsity"] == pytest.approx(0.9, abs=1e-4)
    assert result["parameters"] == 272_474
    assert read(Path("mine/plan.json"))["steps_per_epoch"] == 1
    assert load_file("mine/pruned.safetensors")["conv1.weight"].shape == (16, 3, 3, 3)


@pytest.mark.parametrize("kind", [MNIST, FashionMNIST])
def test_images_in_files_train(kind: type[IdxImages], monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx(Path("mine"), small_idx(monkeypatch, kind))
    (name,) = [name for name in DATA if DATA[name] is kind]
    command = ("train", f"data={name}", "data.root=mine", "recipe=short", "logger=none")
    assert run(*command, "data.augment.flip=true", "hydra.run.dir=done") == 0
    assert read(Path("done/result.json"))["data"] == name


def test_a_run_with_augmentation_goes_on_with_the_same_bits() -> None:
    Path("killer.py").write_text(KILLER)
    arguments = ("train", "recipe=short", "checkpoint.every_n_steps=7", "trainer.threads=1",
                 "data.augment.shift=2", "data.augment.flip=true", "imports=[killer]",
                 "logger=none")  # fmt: skip
    assert run(*arguments, "hydra.run.dir=whole") == 0
    killed = process(*arguments, "hydra.run.dir=killed", env={"KILL_AT": "33"})
    assert killed.returncode == -signal.SIGKILL
    assert run("train", "run=killed", "ckpt_path=last") == 0
    for name in FILES:
        assert Path("killed", name).read_bytes() == Path("whole", name).read_bytes(), name
