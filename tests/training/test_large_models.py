"""Plans of networks too large for this machine: no weight is made, and every count is whole."""

from __future__ import annotations

import re
import resource
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule
from torch import nn

from pruneflow.recipe import schema
from pruneflow.recipe.compiler import compile_for
from pruneflow.timeline import Horizon
from tests.e2e.command import only, read, run, tiny

DEPTH, WIDTH, HIDDEN, WORDS = 32, 4096, 11008, 32000
LINEAR = DEPTH * (4 * WIDTH**2 + 3 * WIDTH * HIDDEN) + WIDTH * WORDS
"""Weights of the linear layers: as many as those of a transformer of 6.7 B parameters."""


class Giant(LightningModule):
    """A stack of what a large transformer is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(WORDS, WIDTH)
        self.blocks = nn.ModuleList(self._block() for _ in range(DEPTH))
        self.head = nn.Linear(WIDTH, WORDS, bias=False)

    @staticmethod
    def _block() -> nn.ModuleDict:
        sizes = dict.fromkeys("qkvo", (WIDTH, WIDTH))
        sizes |= {"gate": (WIDTH, HIDDEN), "up": (WIDTH, HIDDEN), "down": (HIDDEN, WIDTH)}
        return nn.ModuleDict({name: nn.Linear(*of, bias=False) for name, of in sizes.items()})

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), 1e-4)


def grown_by(work: Callable[[], Any]) -> int:
    """By how many bytes the peak of this process's memory grew."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    work()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024


def test_the_command_plans_seven_billion_weights_without_making_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tiny()
    module = f"model.module={__name__}:Giant"
    arguments = ["recipe=tiny", "sparsity=0.9", module, "steps_per_epoch=10"]
    assert grown_by(lambda: run("plan", *arguments)) < LINEAR // 10
    plan = read(only("outputs/plans/*/*/plan.json"))
    last = [event for event in plan["events"] if event["nonzeros"] is not None][-1]
    assert plan["weights"] == LINEAR > 1 << 32
    assert last["nonzeros"] == LINEAR - round(0.9 * LINEAR)
    assert sum(low for low, _ in last["layers"].values()) == last["nonzeros"]
    assert f"{last['nonzeros']:,}" in re.sub(r"\s+", " ", capsys.readouterr().out)


@pytest.mark.parametrize("allocation", ["global", "uniform", "erk", "lamp", "per_layer"])
def test_every_allocation_counts_them_exactly(allocation: str) -> None:
    with torch.device("meta"):
        model = Giant()
    fields = {"type": "prune", "sparsity": 0.7, "allocation": allocation}
    plan = compile_for(schema.build({"modifiers": {"p": fields}}), model, Horizon(10, 20))
    by_layer = sum(round(0.7 * layer.size) for layer in plan.layers)
    (row,) = plan.rows
    assert row.zeros == (
        by_layer if allocation in ("uniform", "per_layer") else round(0.7 * LINEAR)
    )
    assert sum(least for least, _ in row.layers.values()) <= row.zeros
    assert sum(most for _, most in row.layers.values()) >= row.zeros
