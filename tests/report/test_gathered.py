"""Finding runs in folders, and the Pareto front over them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.errors import UserError
from pruneflow.report.gathered import collect
from pruneflow.report.gathered_row import Row
from pruneflow.report.pareto import Point, front
from tests.report import samples
from tests.report.samples import put, run_folder

coarse = st.integers(0, 6).map(float)
points = st.lists(st.tuples(coarse, coarse) | st.tuples(st.floats(0, 1), st.floats(0, 1)))


def dominates(one: Point, other: Point) -> bool:
    return one[0] <= other[0] and one[1] >= other[1] and one != other


@given(points)
def test_a_point_is_on_the_front_if_and_only_if_nothing_dominates_it(found: list[Point]) -> None:
    chosen = front(found)
    assert len(chosen) == len(set(chosen))
    for place, point in enumerate(found):
        assert (place in chosen) != any(dominates(other, point) for other in found)


@given(points)
def test_the_front_rises(found: list[Point]) -> None:
    chosen = [found[place] for place in front(found)]
    assert chosen == sorted(chosen)


def test_every_job_of_a_sweep_is_a_row_in_natural_order() -> None:
    rows = collect([samples.sweep(Path("sweep"))])
    assert [row.folder for row in rows] == [Path("sweep", str(number)) for number in range(32)]
    assert [row.state for row in rows[-3:]] == ["complete", "unfinished", "failed"]
    assert rows[30].recipe == "one_shot"
    assert [row.seed for row in rows[:3]] == ["0", "1", "2"]


def test_a_run_is_found_once_whatever_is_named() -> None:
    samples.sweep(Path("out/sweep"))
    run_folder(Path("out/alone"))
    rows = collect([Path("out"), Path("out/sweep"), Path("out/../out/alone"), Path("out/sweep/3")])
    assert len(rows) == 33


def test_runs_that_were_asked_for_otherwise_are_told_apart() -> None:
    for name, word in {"a": "seed=1", "b": "recipe.modifiers.t.rewind=lr"}.items():
        folder = run_folder(Path("out", name))
        put(folder / ".hydra", "overrides.yaml", [word, "model=lenet5", f"data.root={name}"])
    recipes = [row.recipe for row in collect([Path("out")])]
    assert recipes[1] == f"{recipes[0]}, rewind=lr"


def test_a_deployed_run_tells_what_was_measured() -> None:
    folder = run_folder(Path("run"), sparsity=0.95, status="incomplete")
    (before,) = collect([folder])
    put(folder / "deploy", "report.json", samples.sparse())
    (after,) = collect([folder])
    assert collect([folder / "deploy"]) == [after]
    assert (before.state, after.state) == ("ended early", "ended early")
    assert (before.bytes, before.latency) == (5 * before_kept(), None)
    assert after.bytes == 67_380
    assert after.ratio == 67_380 / 1_066_440
    cell = samples.sparse()["latency"][0]
    assert after.latency == cell["engines"]["c"]["median"]
    assert after.speedup == cell["speedup"]
    assert (after.final, after.drop) == (0.96, pytest.approx(1.0))


def before_kept() -> int:
    return int(samples.result(sparsity=0.95)["nonzeros"])


def test_a_red_gate_gathers_no_speed() -> None:
    folder = run_folder(Path("run"))
    put(folder / "deploy", "report.json", samples.red())
    (row,) = collect([folder])
    assert (row.latency, row.speedup, row.bytes) == (None, None, 67_380)


def test_a_network_that_was_deployed_without_a_run_is_a_row() -> None:
    put(Path("net"), "report.json", samples.awkward())
    put(Path("other/deploy"), "report.json", samples.awkward())
    for name in ("net", "other", "other/deploy"):
        (row,) = collect([Path(name)])
        assert row.folder == Path(name.partition("/")[0])
        assert row.model.startswith("MyOwnNetwork")
        assert (row.state, row.final, row.sparsity) == ("complete", None, 0.5)


def test_a_finished_run_without_its_lock_is_found() -> None:
    put(Path("copied"), "result.json", samples.result())
    assert [row.state for row in collect([Path("copied")])] == ["complete"]


def test_other_peoples_reports_are_no_runs() -> None:
    run_folder(Path("run"))
    put(Path("run/logs"), "report.json", '{"coverage": 3')
    assert len(collect([Path("run")])) == 1


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("result.json", "{", "result.json: is damaged"),
        ("result.json", "[1]", "not an object"),
        ("result.json", "[" * 100_000, "nested too deeply"),
        ("result.json", '{"status": 3}', "status: is damaged: needs text"),
        ("result.json", "{}", "status: is damaged: needs text, not nothing"),
        ("deploy/report.json", "{", "report.json: is damaged"),
        ("deploy/report.json", "{}", "is not the report of a deployed network"),
        ("deploy/report.json", '{"schema": "pruneflow.report/7"}', "newer PruneFlow"),
        ("deploy/report.json", '{"schema": "pruneflow.report/1"}', "sparsity|passed|bytes"),
        ("deploy/report.json", b"\xff\xfe".decode("latin-1"), "is damaged"),
    ],
)
def test_damage_is_named(name: str, text: str, words: str) -> None:
    put(run_folder(Path("run")), name, text)
    with pytest.raises(UserError, match=words) as told:
        collect([Path("run")])
    assert name in str(told.value)


def test_folders_without_runs_are_named() -> None:
    Path("empty").mkdir()
    run_folder(Path("run"))
    with pytest.raises(UserError, match="empty: no runs"):
        collect([Path("run"), Path("empty")])
    with pytest.raises(UserError, match="nowhere: no such folder"):
        collect([Path("nowhere")])


def test_what_is_not_known_is_not_a_number() -> None:
    row = Row(Path("x"), bytes=3.0)
    assert (row.drop, row.ratio, row.latency, row.speedup) == (None, None, None, None)
