"""Every model of the zoo ships: as a graph where it is one, else into a module."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from pruneflow import load
from pruneflow.deploy.bundles import bundle as bundles
from pruneflow.zoo.models import MODELS, Classifier
from tests.deploy.fakes import Clock, deploy
from tests.deploy.networks import prune_
from tests.deploy.reports import require_sound


def trained_a_little(name: str, **options: Any) -> Classifier:
    """A pruned model whose norms have seen data."""
    torch.manual_seed(0)
    model = MODELS[name]({"name": "sgd", "lr": 0.1}, **options)
    for _ in range(3):
        model(torch.randn(8, options.get("channels", 1), 28, 28))
    return prune_(model, 0.8).eval()  # type: ignore[return-value]


def agrees(run: Any, model: Classifier, channels: int) -> None:
    """Fail unless both give the same logits of images that neither has seen."""
    images = torch.randn(5, channels, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(run(images), model(images), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "channels", "ops"),
    [
        # 19 convolutions, each with a rectifier, and two projections without
        ("resnet20", 3, {"conv2d": 21, "add": 9, "relu": 19}),
        ("mobilenet", 1, {"conv2d": 15, "relu": 15}),
    ],
)
def test_a_convolutional_model_becomes_a_graph(
    name: str, channels: int, ops: dict[str, int], clock: Clock
) -> None:
    model = trained_a_little(name, channels=channels)
    clock.set("c", 20)
    done = deploy(model, torch.randn(4, channels, 28, 28), "c")
    require_sound(done.report)
    graph = bundles.read(done.bundle).graph
    assert graph is not None
    found = Counter(node["op"] for node in graph["nodes"])
    assert found == {**ops, "global_avg_pool": 1, "flatten": 1, "linear": 1}
    for backend in ("c", "torch"):
        agrees(load("out", backend=backend), model, channels)


def test_the_transformer_ships_into_a_module(clock: Clock) -> None:
    model = trained_a_little("vit", depth=1)
    clock.set("c", 20)
    done = deploy(model, torch.randn(4, 1, 28, 28), "c")
    require_sound(done.report)
    assert not done.report["graph"]
    assert {layer["name"] for layer in done.report["layers"]} >= {"patches", "blocks.0.qkv", "head"}
    fresh = MODELS["vit"]({"name": "sgd", "lr": 0.1}, depth=1)
    agrees(load("out", into=fresh), model, 1)
