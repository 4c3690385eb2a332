"""The benchmark of steps: its sides train the same network, its table tells every cell."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from benchmarks import steps, steps_sides
from pruneflow import runfolder


@pytest.mark.parametrize("optimizer", steps_sides.SETTINGS)
def test_what_takes_turns_trains_the_same_sparse_network(optimizer: str) -> None:
    model = steps_sides.made("lenet_300_100")
    masks = steps_sides.pruned(copy.deepcopy(model))
    ends = {}
    for name, make in steps_sides.SIDES.items():
        mine = copy.deepcopy(model)
        side = make(mine, steps_sides.SETTINGS[optimizer], masks)
        for batch in steps_sides.batches("lenet_300_100")[:3]:
            side(*batch)
        mine(batch[0])  # some make the weight as they use it
        ends[name] = getattr(mine.get_submodule("fc1"), "weight").detach()  # noqa: B009
    gone = masks["fc1.weight"] == 0
    assert bool(ends["plain"][gone].all())
    for name in set(ends) - {"plain", "plain again"}:
        assert not bool(ends[name][gone].any()), name
        torch.testing.assert_close(ends[name][~gone], ends["by hand"][~gone])


def test_the_table_tells_every_cell_and_what_was_not_reached(repository: Path) -> None:
    tree = runfolder.read_json(repository / "benchmarks" / "results" / "steps.json")
    shown = steps.table(tree)
    for cell in tree["cells"]:
        ours = "RecipeCallback" if cell["kind"] == "fits" else "PruneFlow"
        ratio = cell["sides"][ours]["cpu_ratio"]["median"]
        row = f"| {cell['network']}, {cell['optimizer']} | "
        assert any(line.startswith(row) and f"{ratio:.3f} [" in line for line in shown.splitlines())
        if ratio > steps.ALLOWED:
            assert not cell["reached"]
            assert f"{cell['kind']} {cell['network']} {cell['optimizer']}" in shown.split("Not ")[1]


def test_only_what_is_missing_is_measured() -> None:
    kept = {"kind": "steps", "network": "resnet20", "optimizer": "adam"}
    missing = list(steps._wanted([kept], (), quick=False))
    assert tuple(kept.values()) not in missing
    assert len(missing) == len(steps._every()) - 1
    assert list(steps._wanted([kept], ["resnet20", "steps", "adam"], False)) == [
        tuple(kept.values())
    ]
