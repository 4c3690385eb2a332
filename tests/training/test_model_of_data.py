"""Models are built for the data they are trained on, unless a person says otherwise."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from pruneflow.errors import ConfigError
from pruneflow.pruning.scope import find_layers
from pruneflow.recipe.compose import load_recipe
from pruneflow.training.config import RunConfig
from pruneflow.zoo.augment import Augment
from pruneflow.zoo.data import DATA, ImageData
from pruneflow.zoo.models import MODELS, Classifier

OWN = """
from pytorch_lightning import LightningDataModule
class Data(LightningDataModule):
    pass
"""


def config(model: str = "lenet5", data: str = "digits", **changes: Any) -> RunConfig:
    """A configuration; ``model_args`` and what of ``data`` differ from the defaults."""
    own_args = changes.pop("model_args", {})
    tree = {
        "seed": 3, "steps_per_epoch": None, "imports": [], "ckpt_path": None,
        "checkpoint": {"every_n_steps": 0, "keep": 1},
        "model": {"name": model, "module": None, "args": own_args, "weights": None},
        "data": {"name": data, "module": None, "args": {}, "batch_size": 4, "root": None,
                 "augment": {"shift": 0, "flip": False}, **changes},
        "optimizer": {"name": "sgd", "lr": 0.1},
        "trainer": {"accelerator": "cpu", "devices": 1, "precision": "32-true",
                    "max_epochs": None, "accumulate_grad_batches": 1,
                    "gradient_clip_val": None, "threads": None},
        "logger": {"name": "none"},
    }  # fmt: skip
    return RunConfig(tree, load_recipe("gradual"))


@pytest.fixture
def own_data(monkeypatch: pytest.MonkeyPatch) -> str:
    """A data module of a person's own."""
    Path("own_data_of_models.py").write_text(OWN)
    monkeypatch.syspath_prepend(".")
    monkeypatch.delitem(sys.modules, "own_data_of_models", raising=False)
    return "own_data_of_models:Data"


@pytest.mark.parametrize("data", list(DATA))
@pytest.mark.parametrize("model", list(MODELS))
def test_every_model_fits_every_data_set(model: str, data: str) -> None:
    built, kind = config(model, data).model(), DATA[data]
    logits = built(torch.randn(2, kind.channels, kind.size, kind.size))
    assert logits.shape == (2, kind.classes)
    assert logits.isfinite().all()
    assert find_layers(config(model, data).meta_model()) == find_layers(built)


def test_a_persons_own_arguments_win() -> None:
    built = config("vit", "cifar10", model_args={"size": 64, "classes": 3, "depth": 1}).model()
    assert built(torch.randn(2, 3, 64, 64)).shape == (2, 3)


@pytest.mark.parametrize("model", list(MODELS))
def test_other_data_takes_arguments_and_defaults(model: str, own_data: str) -> None:
    assert config(model, module=own_data).model()(torch.randn(2, 1, 28, 28)).shape == (2, 10)
    given = {"channels": 3, "classes": 4}
    built = config(model, module=own_data, model_args=given).model()
    assert built(torch.randn(2, 3, 28, 28)).shape == (2, 4)


def test_a_data_sets_other_shape_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    class Patterns(ImageData):
        channels, size, classes = 2, 20, 5

    monkeypatch.setitem(DATA._entries, "patterns", Patterns)
    assert config("lenet5", "patterns").model()(torch.randn(1, 2, 20, 20)).shape == (1, 5)


def test_a_model_that_asks_for_nothing_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(Classifier):
        def __init__(self, optimizer: Any) -> None:
            super().__init__(optimizer)
            self.layer = torch.nn.Linear(2, 2)

    monkeypatch.setitem(MODELS._entries, "own", Own)
    assert isinstance(config("own", "cifar10").model(), Own)


@pytest.mark.parametrize(
    ("model", "arguments", "mend"),
    [
        ("vit", {"patch": 5}, "model: patch=5 does not divide images of 28 x 28"),
        ("lenet5", {"size": 9}, "model: size=9: LeNet-5 needs"),
        ("resnet20", {"channels": "3"}, "model: channels=3: needs a whole number"),
        ("resnet20", {"size": 32}, "ResNet20 does not take these arguments"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(
    model: str, arguments: dict[str, Any], mend: str
) -> None:
    with pytest.raises(ConfigError, match=mend):
        config(model, model_args=arguments).model()


def test_augmentation_reaches_the_data() -> None:
    made = config(augment={"shift": 2, "flip": True}).data()
    assert isinstance(made, ImageData)
    assert made.augment == Augment(2, True)
    assert isinstance(without := config(augment=None).data(), ImageData)
    assert without.augment == Augment()


@pytest.mark.parametrize(
    ("augment", "mend"),
    [
        ({"shift": 28}, r"data: augment\.shift=28: images are 28 pixels wide"),
        ({"shift": "a"}, r"data\.augment\.shift=a"),
        ({"turn": 1}, r"data\.augment: no key 'turn'"),
    ],
)
def test_augmentation_that_means_nothing_is_refused(augment: Any, mend: str) -> None:
    with pytest.raises(ConfigError, match=mend):
        config(augment=augment).data()


def test_a_module_of_ones_own_augments_by_itself(own_data: str) -> None:
    assert config(module=own_data).data()
    with pytest.raises(ConfigError, match=r"data\.augment: a data module of your own"):
        config(module=own_data, augment={"shift": 1}).data()
