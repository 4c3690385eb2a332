"""``control=``: a recipe and the experiments that its claim has to stand beside."""

from __future__ import annotations

import pytest

from pruneflow.cli.controls import SEEDS, SPARSITIES, expanded
from pruneflow.errors import ConfigError
from pruneflow.modifiers.iterative_prune import CONTROLS
from tests.e2e.command import only, read, run, tiny

TICKET = """\
sparsity: 0.9
control: none
modifiers:
  t: {type: iterative_prune, sparsity: "${sparsity}", fraction: 0.7, every: 1ep, control: "${control}"}
"""  # noqa: E501 - as it stands in a file

ALL = f"control={','.join(CONTROLS)}"


def test_all_controls_end_in_one_picture() -> None:
    tiny("recipes/ticket.yaml", TICKET)
    assert run("train", "recipe=ticket", "control=all", "sparsity=0.5", "seed=0", "-m") == 0
    jobs = read(only("outputs/sweeps/*/sweep.json"))["jobs"]
    assert [job["result"]["control"] for job in jobs] == list(CONTROLS)
    assert len({job["result"]["steps"] for job in jobs}) == 1
    assert [job["result"]["sparsity"] for job in jobs] == pytest.approx([0.5, 0.5, 0.5, 0.0])
    assert only("outputs/sweeps/*/sweep.png").stat().st_size > 5_000


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("recipe=lottery control=all", f"recipe=lottery {ALL} {SPARSITIES} {SEEDS}"),
        ("recipe=lottery control=all seed=3", f"recipe=lottery {ALL} seed=3 {SPARSITIES}"),
        ("recipe=lottery control=all sparsity=0.5", f"recipe=lottery {ALL} sparsity=0.5 {SEEDS}"),
        ("recipe=lottery,lenet_imp control=all seed=0",
         f"recipe=lottery,lenet_imp {ALL} seed=0 {SPARSITIES}"),
        ("recipe=fixed control=all", f"recipe=fixed {ALL} {SEEDS}"),
        ("recipe=child control=all", f"recipe=child {ALL} {SPARSITIES} {SEEDS}"),
        ("recipe=nowhere control=all", f"recipe=nowhere {ALL} {SEEDS}"),
        ("recipe=lottery control=none,random_mask", "recipe=lottery control=none,random_mask"),
    ],
)  # fmt: skip
def test_all_controls_are_spelled_out(given: str, meant: str) -> None:
    tiny("recipes/fixed.yaml", TICKET.replace("${sparsity}", "0.9"))
    tiny("recipes/child.yaml", "defaults: [lottery, _self_]\n")
    assert expanded(given.split(), multirun=True) == meant.split()


def test_all_controls_are_a_sweep() -> None:
    with pytest.raises(ConfigError, match="add -m"):
        expanded(["recipe=lottery", "control=all"], multirun=False)


def test_a_recipe_without_a_control_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plan", "recipe=gradual", "control=random_mask") == 2
    assert "'gradual' does not use a control" in capsys.readouterr().err


def test_lenet_imp_has_a_dense_control() -> None:
    assert run("plan", "recipe=lenet_imp", "sparsity=0.5", "control=dense_equal_epochs") == 0
    plan = read(only("outputs/plans/*/*/plan.json"))
    assert {event["event"] for event in plan["events"]} == {"lr"}
