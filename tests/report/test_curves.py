"""Curves of a sweep: what is compared with what, and where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.report.curves import curves
from pruneflow.report.sweep_picture import draw_sweep
from pruneflow.report.tables import curves_table, sweep_table
from tests.report.test_tables import text


def job(score: float | None, *overrides: str, **result: Any) -> dict[str, Any]:
    """A finished job."""
    values = {
        "recipe": "r", "control": "none", "seed": 0, "sparsity": 0.9, "steps": 100, **result
    }  # fmt: skip
    accuracy = {"dense": None, "pruned": None, "final": score}
    return {"result": {**values, "accuracy": accuracy}, "overrides": overrides}


def names(jobs: list[dict[str, Any]]) -> list[str]:
    return [curve.name for curve in curves(jobs)]


@given(st.lists(st.tuples(st.sampled_from([0.5, 0.9]), st.floats(0, 1)), min_size=1))
def test_every_score_stands_at_its_sparsity_once(found: list[tuple[float, float]]) -> None:
    (curve,) = curves([job(score, f"seed={n}", sparsity=s) for n, (s, score) in enumerate(found)])
    told = [(point.sparsity, score) for point in curve.points for score in point.scores]
    assert sorted(told) == sorted(found)
    for point in curve.points:
        assert point.scores[0] - 1e-12 <= point.mean <= point.scores[-1] + 1e-12


def test_what_else_a_sweep_varied_makes_a_curve_of_its_own() -> None:
    lr = [job(0.9, "seed=0", f"optimizer.lr={rate}", "trainer.threads=1") for rate in (0.1, 0.2)]
    assert names(lr) == ["r, lr=0.1", "r, lr=0.2"]
    assert names([job(0.9, "++recipe.sparsity=0.5"), job(0.8, "++recipe.sparsity=0.9")]) == ["r"]
    assert names([job(0.9), job(0.8, control="random_mask")]) == ["r", "r, random_mask"]
    assert names([job(0.9, "hydra.job.num=1"), job(0.8, "hydra.job.num=2")]) == ["r"]


def test_a_table_tells_jobs_apart_by_what_was_varied() -> None:
    jobs = [
        {**job(0.9, f"a.b.lr={rate}", seed=0, compression={"bytes": 1.0}), "job": "0"}
        for rate in (0.1, 0.2)
    ]
    assert all(f"lr={rate}" in text(sweep_table(jobs)) for rate in (0.1, 0.2))
    assert "lr=" not in text(sweep_table(jobs[:1]))


def test_a_dense_control_stands_beside_the_jobs_that_trained_as_long() -> None:
    dense = {"control": "dense_equal_epochs", "sparsity": 0.0}
    jobs = [
        job(0.9, sparsity=0.5, steps=50), job(0.8, sparsity=0.9, steps=100),
        job(0.7, sparsity=0.9, steps=100, control="random_mask"),
        job(0.95, steps=50, **dense), job(0.96, steps=100, **dense),
        job(0.97, steps=100, seed=1, **dense), job(0.96, steps=100, **dense),
        job(0.1, sparsity=0.7, steps=100, recipe="another"),
    ]  # fmt: skip
    (found,) = (curve for curve in curves(jobs) if curve.is_dense)
    assert [(point.sparsity, point.scores) for point in found.points] == [
        (0.5, (0.95,)), (0.9, (0.96, 0.97)),
    ]  # fmt: skip
    alone = curves([job(0.96, **dense)])
    assert [point.sparsity for point in alone[0].points] == [0.0]


def test_a_dense_control_stands_beside_jobs_of_its_own_settings_only() -> None:
    dense = {"control": "dense_equal_epochs", "sparsity": 0.0}
    jobs = [
        job(score, f"fraction={fraction}", sparsity=sparsity, steps=steps)
        for fraction, sparsity, steps, score in [
            (0.5, 0.75, 60, 0.8), (0.5, 0.8, 80, 0.7), (0.7, 0.75, 60, 0.6), (0.7, 0.8, 60, 0.5),
        ]
    ]  # fmt: skip
    jobs += [job(steps / 100, "fraction=0.5", steps=steps, **dense) for steps in (60, 80)]
    (found,) = (curve for curve in curves(jobs) if curve.is_dense)
    assert [(point.sparsity, point.scores) for point in found.points] == [
        (0.75, (0.6,)), (0.8, (0.8,)),
    ]  # fmt: skip


def test_jobs_without_a_score_make_no_curve() -> None:
    assert curves([{"result": None, "overrides": []}, job(None)]) == []


@pytest.mark.parametrize("count", [1, 2, 9])
def test_curves_are_drawn_and_told(count: int, tmp_path: Path) -> None:
    jobs = [
        job(0.9 + seed / 100, f"seed={seed}", sparsity=s, recipe=f"${n}$")
        for n in range(count) for s in (0.5, 0.9) for seed in (0, 1)
    ]  # fmt: skip
    draw_sweep(curves(jobs), tmp_path / "sweep.png")
    assert (tmp_path / "sweep.png").stat().st_size > 5_000
    shown = " ".join(text(curves_table(curves(jobs))).split())
    assert shown.count("2 90.50% 90.00% 91.00%") == 2 * count
