"""Models: shapes, sizes, layers' names, and initial weights that stay what they were."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import nn

from pruneflow.errors import ConfigError
from pruneflow.pruning.scope import PRUNABLE_TYPES, find_layers
from pruneflow.zoo.models import MODELS, Classifier, LeNet5, LeNet300100, VisionTransformer

SGD = {"name": "sgd", "lr": 0.1}
MNIST, CIFAR = {"channels": 1, "size": 28}, {"channels": 3, "size": 32}


def made(name: str, shape: Mapping[str, int], classes: int = 10, **options: Any) -> Classifier:
    """A model for images of a shape; those that take any size are not told."""
    sized = name not in ("resnet20", "mobilenet")
    given = dict(shape) if sized else {"channels": shape["channels"]}
    return MODELS[name](SGD, classes=classes, **given, **options)


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("classes", [10, 7])
@pytest.mark.parametrize("shape", [MNIST, CIFAR], ids=["mnist", "cifar"])
@pytest.mark.parametrize("name", list(MODELS))
def test_every_model_gives_logits_that_depend_on_every_layer(
    name: str, shape: Mapping[str, int], classes: int
) -> None:
    model = made(name, shape, classes)
    images = torch.randn(4, shape["channels"], shape["size"], shape["size"])
    logits = model(images)
    assert logits.shape == (4, classes)
    assert logits.isfinite().all()
    logits.square().sum().backward()
    assert all(bool(each.grad.any()) for each in model.parameters() if each.grad is not None)
    assert all(each.grad is not None for each in model.parameters())


@pytest.mark.parametrize("name", list(MODELS))
def test_every_linear_and_convolution_can_be_named(name: str) -> None:
    model = made(name, MNIST)
    layers = [layer for layer in find_layers(model) if set(PRUNABLE_TYPES) & set(layer.types)]
    kinds = nn.Linear | nn.Conv2d
    named = [f"{name}.weight" for name, m in model.named_modules() if isinstance(m, kinds)]
    assert [layer.name for layer in layers] == named
    assert (layers[0].role, layers[-1].role) == ("input", "output")
    assert layers[0].shape[1:] in {(784,), (1, 5, 5), (1, 3, 3), (1, 4, 4)}, "it sees the image"
    assert layers[-1].shape[0] == 10


@pytest.mark.parametrize(
    ("name", "of_mnist", "of_cifar"),
    [
        ("lenet_300_100", 266_610, 953_010),
        ("lenet5", 431_080, 657_080),
        ("resnet20", 272_186, 272_474),
        ("mobilenet", 141_706, 141_994),
        ("vit", 138_890, 141_898),
    ],
)
def test_parameters_are_counted(name: str, of_mnist: int, of_cifar: int) -> None:
    assert (count(made(name, MNIST)), count(made(name, CIFAR))) == (of_mnist, of_cifar)


@pytest.mark.parametrize(("name", "of"), [("resnet20", "CIFAR-10"), ("mobilenet", "CIFAR-10"),
                                          ("vit", "MNIST")])  # fmt: skip
def test_what_is_written_of_a_model_is_so(name: str, of: str) -> None:
    text = MODELS[name].__doc__ or ""
    assert (
        f"{count(made(name, CIFAR if of == 'CIFAR-10' else MNIST)):,} parameters for {of}" in text
    )


def test_resnet20_has_twenty_layers_and_two_projections() -> None:
    layers = [layer for layer in find_layers(made("resnet20", CIFAR)) if layer.types]
    names = [layer.name for layer in layers]
    assert sum("shortcut" not in name for name in names) == 20
    projections = [layer for layer in layers if "shortcut" in layer.name]
    assert [layer.shape for layer in projections] == [(32, 16, 1, 1), (64, 32, 1, 1)]
    option_a = count(made("resnet20", CIFAR)) - 2_752
    assert option_a == 269_722, "0.27 M, as the paper says"


def test_initial_weights_of_lenets_are_what_they_were() -> None:
    layers: dict[type[Classifier], Callable[[], list[nn.Module]]] = {
        LeNet300100: lambda: [nn.Linear(784, 300), nn.Linear(300, 100), nn.Linear(100, 10)],
        LeNet5: lambda: [nn.Conv2d(1, 20, 5), nn.Conv2d(20, 50, 5),
                         nn.Linear(800, 500), nn.Linear(500, 10)],
    }  # fmt: skip
    for kind, plain in layers.items():
        torch.manual_seed(3)
        parameters = list(kind(SGD).parameters())
        torch.manual_seed(3)
        expected = [parameter for layer in plain() for parameter in layer.parameters()]
        assert all(torch.equal(*pair) for pair in zip(parameters, expected, strict=True))


@pytest.mark.parametrize("name", list(MODELS))
def test_a_model_without_memory_has_the_same_layers(name: str) -> None:
    with torch.device("meta"):
        planned = made(name, MNIST)
    assert all(parameter.is_meta for parameter in planned.parameters())
    assert find_layers(planned) == find_layers(made(name, MNIST))


def test_images_of_another_size_are_no_matter_to_convolutions() -> None:
    for name in ("resnet20", "mobilenet"):
        assert made(name, MNIST)(torch.randn(2, 1, 19, 37)).shape == (2, 10)


def test_a_token_knows_its_place() -> None:
    model, images = made("vit", MNIST).eval(), torch.randn(1, 1, 28, 28)
    moved = torch.roll(images, 4, dims=3)
    assert not torch.allclose(model(images), model(moved))
    nn.init.zeros_(model.positions)  # type: ignore[arg-type]
    torch.testing.assert_close(model(images), model(moved))


@pytest.mark.parametrize(
    ("options", "mend"),
    [
        ({"patch": 5}, "patch=5 does not divide images of 28 x 28"),
        ({"heads": 3}, "heads=3 does not divide width=64"),
        ({"depth": 0}, "depth=0: needs a whole number from 1"),
        ({"width": 6.5}, "width=6.5: needs a whole number"),
        ({"channels": 0}, "channels=0: needs a whole number from 1"),
        ({"size": True}, "size=True: needs a whole number"),
        ({"classes": 1}, "classes=1: needs a whole number from 2"),
    ],
)
def test_arguments_that_make_no_network_are_refused(options: dict[str, Any], mend: str) -> None:
    with pytest.raises(ValueError, match=mend):
        VisionTransformer(SGD, **options)


def test_images_too_small_for_lenet5_are_refused() -> None:
    assert LeNet5(SGD, size=16)(torch.randn(2, 1, 16, 16)).shape == (2, 10)
    with pytest.raises(ValueError, match="size=15: LeNet-5 needs"):
        LeNet5(SGD, size=15)


@pytest.mark.parametrize(
    ("shape", "label", "mend"),
    [
        ((3, 28, 28), 0, r"\+model\.args\.channels=3"),
        ((1, 32, 32), 0, r"\+model\.args\.size=32"),
        ((1, 28, 28), 10, r"\+model\.args\.classes=11"),
    ],
)
def test_data_that_does_not_fit_is_refused_in_plain_words(
    shape: tuple[int, ...], label: int, mend: str
) -> None:
    with pytest.raises(ConfigError, match=mend):
        LeNet5(SGD).training_step((torch.zeros(2, *shape), torch.tensor([0, label])), 0)
