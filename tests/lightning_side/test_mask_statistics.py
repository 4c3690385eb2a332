"""What loggers are told at a pruning: true numbers, in anybody's Lightning project."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pruneflow import RecipeCallback, mask_statistics
from pruneflow.recipe.schema import build
from tests.lightning_side import toy

pytestmark = pytest.mark.filterwarnings(toy.LIGHTNING_NOISE)


def pruned(shape: tuple[int, ...], keep: list[bool]) -> Any:
    """An engine that has pruned one layer."""
    mask = torch.tensor(keep, dtype=torch.float32).reshape(shape)
    weight = torch.nn.Parameter(torch.linspace(-2, -1, mask.numel()).reshape(shape) * mask)
    return SimpleNamespace(
        plan=SimpleNamespace(layers=[SimpleNamespace(name="fc.weight")]),
        state=SimpleNamespace(masks={"fc.weight": mask}),
        network=SimpleNamespace(weights={"fc.weight": weight}),
        layer_sparsity={"fc.weight": 1 - float(mask.mean())},
    )


@st.composite
def layers(draw: st.DrawFn) -> tuple[tuple[int, ...], list[bool]]:
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple))
    size = int(np.prod(shape))
    return shape, draw(st.lists(st.booleans(), min_size=size, max_size=size))


@given(layers())
def test_units_and_magnitudes_are_those_of_the_mask(layer: tuple[Any, list[bool]]) -> None:
    engine, (shape, keep) = pruned(*layer), layer
    ((_, counts),) = mask_statistics.unit_nonzeros(engine)
    assert len(counts) == shape[0]
    assert int(counts.sum()) == sum(keep)
    ((_, values),) = mask_statistics.magnitudes(engine)
    assert len(values) == sum(keep)
    assert ((values >= 1) & (values <= 2)).all()


def test_of_a_large_layer_always_the_same_sample_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mask_statistics, "SAMPLE", 64)
    engine = pruned((50, 40), [index % 5 == 0 for index in range(2000)])
    state = torch.get_rng_state()
    first, again = (next(iter(mask_statistics.magnitudes(engine)))[1] for _ in range(2))
    assert torch.equal(first, again)
    assert 0 < len(first) <= 64
    assert torch.equal(torch.get_rng_state(), state), "training draws what it would have drawn"


class WandbLogger:
    """As much of W&B's logger as is used of it."""

    def __init__(self) -> None:
        self.logged: list[tuple[dict[str, Any], int]] = []

    def log_metrics(self, metrics: dict[str, Any], step: int) -> None:
        self.logged.append((metrics, step))


def test_wandb_gets_histograms_whose_counts_add_up() -> None:
    import wandb

    logger = WandbLogger()
    mask_statistics.log([logger], pruned((2, 3), [True, False, True, False, False, False]), 7)
    (numbers, _), (drawn, step) = logger.logged
    assert step == 7
    assert numbers == {
        "recipe/layer_sparsity/fc.weight": pytest.approx(2 / 3),
        "recipe/dead_units/fc.weight": 1,
    }
    assert all(isinstance(value, wandb.Histogram) for value in drawn.values())
    assert sum(drawn["recipe/magnitudes/fc.weight"].histogram) == 2
    assert sum(drawn["recipe/unit_nonzeros/fc.weight"].histogram) == 2


@pytest.mark.parametrize("package", ["pytorch_lightning", "lightning.pytorch"])
def test_a_tensorboard_of_ones_own_shows_histograms(package: str) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = import_module(f"{package}.loggers").TensorBoardLogger(".", "mine", "")
    recipe = RecipeCallback(build(toy.GRADUAL))
    kind = import_module(package).Trainer
    module = toy.Toy if package == "pytorch_lightning" else toy.other_toy()
    toy.fit([recipe], module=module, kind=kind, logger=logger, max_epochs=2, log_every_n_steps=1)
    shown = EventAccumulator("mine", {"histograms": 0})
    shown.Reload()
    assert recipe.engine is not None
    prunings = [e["step"] - 1 for e in recipe.engine.state.journal if e["event"] == "prune"]
    for name, mask in recipe.engine.state.masks.items():
        events = shown.Histograms(f"recipe/magnitudes/{name}")
        assert [event.step for event in events] == prunings
        assert events[-1].histogram_value.num == int(mask.sum())
        dead = int((mask.reshape(len(mask), -1).sum(1) == 0).sum())
        assert shown.Scalars(f"recipe/dead_units/{name}")[-1].value == dead
