"""The measured choice: who wins where, how it is kept, and what is read of a stranger's."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.deploy.choice import Cell, Choice
from pruneflow.deploy.engines import BY_LAYER, kind_of
from pruneflow.deploy.graphs.graph import INPUT, Graph, Node
from pruneflow.deploy.measure.candidates import gather
from pruneflow.deploy.measure.gate import reference
from pruneflow.deploy.measure.grid import MARGIN, Outcome, measure
from pruneflow.deploy.network import Network, of_graph
from pruneflow.deploy.place import CPU, PRECISIONS, Place
from pruneflow.errors import BundleError
from tests.deploy.fakes import Clock, Fake
from tests.strategies import json_values

Register = Callable[..., Fake]
TIMES = st.integers(1, 400).map(float)


def network() -> Network:
    """One linear layer."""
    graph = Graph((4,), (Node("fc", "linear", (INPUT,), "fc.weight"),), "fc")
    return of_graph(graph, {"fc.weight": torch.eye(3, 4)})


# -- who wins --------------------------------------------------------------------------------


def outcome(clock: Clock, names: tuple[str, ...], fixed: str | None = None) -> Outcome:
    """What comes of one cell."""
    right = reference(network(), torch.rand(2, 4))
    candidates = gather(network(), names, right, (2,), 1, lambda text: None)
    return measure(network(), candidates, right, 2, 0.0, fixed, lambda text: None)


@given(torch_time=TIMES, dense=TIMES, sparse=TIMES, other=TIMES)
def test_sparse_runs_only_where_it_beats_the_best_dense_engine_by_the_margin(
    clock: Clock, register: Register, torch_time: float, dense: float, sparse: float, other: float
) -> None:
    register("dense", "dense", takes_layers=False)
    register("sparse", takes_layers=False)
    register("other", takes_layers=False)
    times = {"torch": torch_time, "dense": dense, "sparse": sparse, "other": other}
    for name, time in times.items():
        clock.set(name, time)
    found = outcome(clock, tuple(times))
    best_dense, best_sparse = min(torch_time, dense), min(sparse, other)
    assert MARGIN == 1.05
    assert times[found.best_dense] == best_dense
    assert (kind_of(found.cell.backend) == "sparse") == (best_dense / best_sparse >= MARGIN)
    assert times[found.cell.backend] <= best_dense
    assert found.speedup == pytest.approx(best_dense / times[found.cell.backend])
    assert found.speedup >= 1


@pytest.mark.parametrize(("time", "chosen"), [(95.0, "sparse"), (95.5, "torch"), (100.0, "torch")])
def test_the_margin_is_five_percent(
    clock: Clock, register: Register, time: float, chosen: str
) -> None:
    register("sparse", takes_layers=False)
    clock.set("sparse", time)
    assert outcome(clock, ("torch", "sparse")).cell.backend == chosen


@given(sparse=TIMES)
def test_what_was_asked_for_runs_whatever_is_measured(
    clock: Clock, register: Register, sparse: float
) -> None:
    register("sparse", takes_layers=False)
    clock.set("sparse", sparse)
    assert outcome(clock, ("torch", "sparse"), "sparse").cell.backend == "sparse"
    assert outcome(clock, ("torch", "sparse"), "torch").cell.backend == "torch"


# -- how it is kept --------------------------------------------------------------------------

NAMES = st.text(min_size=1, max_size=20)
CELLS = st.builds(
    Cell,
    st.integers(1, 256),
    st.integers(1, 2**16),
    NAMES,
    st.dictionaries(st.text(max_size=9), NAMES, max_size=3),
)
CHOICES = st.builds(
    Choice,
    st.lists(CELLS, max_size=4).map(tuple),
    st.text(max_size=9),
    st.lists(st.integers(1, 50), max_size=4).map(tuple),
)


PLACES = st.builds(Place, st.sampled_from(["cpu", "cuda"]), st.sampled_from(list(PRECISIONS)))
CONFIGS = st.dictionaries(st.text(max_size=5), st.integers(-9, 2**40), max_size=3)


@given(CHOICES, PLACES, st.dictionaries(st.text(max_size=20), CONFIGS, max_size=3))
def test_a_choice_comes_back_from_json(
    choice: Choice, place: Place, tuned: dict[str, dict[str, int]]
) -> None:
    choice = replace(choice, place=place, tuned=tuned)
    assert Choice.from_json(json.loads(json.dumps(choice.to_json()))) == choice


@given(CHOICES, st.integers(1, 256), st.integers(0, 2**16), st.data())
def test_the_nearest_place_decides_first_by_threads(
    choice: Choice, threads: int, batch: int, data: st.DataObject
) -> None:
    if choice.cells and data.draw(st.booleans()):
        threads = data.draw(st.sampled_from(choice.cells)).threads
    found = choice.best(threads, batch)
    if not choice.cells:
        assert found.backend == "torch"
        return
    assert found in choice.cells

    def far(one: int, other: int) -> float:
        return max(one, other) / max(min(one, other), 1)

    nearest = min(far(cell.threads, threads) for cell in choice.cells)
    assert far(found.threads, threads) == nearest
    alike = [cell for cell in choice.cells if cell.threads == found.threads]
    assert far(found.batch, max(batch, 1)) == min(far(c.batch, max(batch, 1)) for c in alike)


def test_between_two_batches_the_ratio_decides() -> None:
    choice = Choice((Cell(1, 1, "a"), Cell(1, 64, "b")))
    assert [choice.best(1, batch).backend for batch in (0, 1, 7, 9, 64, 10**6)] == list("aaabbb")


def test_threads_do_not_matter_on_a_gpu() -> None:
    choice = Choice((Cell(1, 16, "torch_compile"),), place=Place("cuda", "bf16"))
    assert choice.best(8, 16).backend == "torch_compile"
    assert replace(choice, place=CPU).best(8, 16).backend == "torch"


WHOLE: Any = Choice(
    (Cell(1, 1, "c"), Cell(2, 64, BY_LAYER, {"fc1": "c"})), "a cpu", (3, 4), None,
    Place("cuda", "bf16"), {"sell 3x4": {"num_warps": 4}},
).to_json()  # fmt: skip


def ways(value: Any) -> list[list[Any]]:
    """The way to every place in a tree."""
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [[], *([key, *way] for key, below in inner for way in ways(below))]


def changed(tree: Any, way: list[Any], new: Any) -> Any:
    """A tree with something else in one place."""
    if not way:
        return new
    copied = list(tree) if isinstance(tree, list) else dict(tree)
    copied[way[0]] = changed(copied[way[0]], way[1:], new)
    return copied


ODD = st.sampled_from([0, -1, 2**40, 10**400, 1.5, "", "x" * 600, None, [], {}, True])
MUTATIONS = st.builds(changed, st.just(WHOLE), st.sampled_from(ways(WHOLE)), ODD | json_values())


def read(tree: Any) -> Choice | BundleError:
    """The choice, or why there is none."""
    try:
        return Choice.from_json(tree)
    except BundleError as error:
        return error


@given(json_values() | MUTATIONS)
def test_whatever_stands_there_is_damage_or_a_choice_that_can_be_asked(tree: Any) -> None:
    choice = read(tree)
    if isinstance(choice, BundleError):
        assert str(choice).startswith("choice")
        assert len(str(choice)) < 300
        return
    assert isinstance(choice.best(1, 1), Cell)
    assert isinstance(choice.best(64, 0), Cell)
    assert Choice.from_json(choice.to_json()) == choice


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"device": 3}, "choice.device: it is no text"),
        ({"cells": {}}, "choice.cells: it is no list"),
        ({"cells": [3]}, "choice.cells: one is no object"),
        ({"cells": [{"batch": 1}]}, "choice.cells: ['batch'] are not its keys"),
        ({"more": 1}, "choice: its keys are not device and cells"),
        ({"input_shape": [0]}, "choice.input_shape: it is no shape"),
        ({"input_shape": [2**20, 2**20]}, "choice.input_shape: it is no shape"),
        ({"input_shape": [2**24, 2]}, "choice.input_shape: it is no shape"),
        ({"input_shape": [1] * 17}, "choice.input_shape: it is no shape"),
        ({"cells": [{"threads": 0, "batch": 1, "backend": "c"}]}, "threads is no number from 1"),
        ({"cells": [{"threads": 1, "batch": True, "backend": "c"}]}, "batch is no number from 1"),
        ({"cells": [{"threads": 1, "batch": 1, "backend": ""}]}, "names no backend"),
        (
            {"cells": [{"threads": 1, "batch": 1, "backend": "c", "layers": []}]},
            "layers is no object",
        ),
    ],
)
def test_damage_is_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(BundleError) as told:
        Choice.from_json({**WHOLE, **change})
    assert words in str(told.value)


def test_nothing_measured_is_dense_torch() -> None:
    assert Choice.from_json({}) == Choice()
    assert Choice().best(4, 16) == Cell(4, 16, "torch")


def test_compiled_torch_is_best_where_it_was_measured_only() -> None:
    choice = Choice((Cell(1, 1, "torch_compile"), Cell(1, 64, "c"), Cell(2, 1, "torch_compile")))
    places = [(1, 1), (1, 2), (1, 64), (2, 1), (2, 2), (4, 1)]
    found = [choice.best(*place) for place in places]
    wanted = ["torch_compile", "torch", "c", "torch_compile", "torch", "torch"]
    assert [cell.backend for cell in found] == wanted
    assert [(cell.threads, cell.batch) for cell in found] == places


@pytest.mark.parametrize("shape", [[2**24], [2**12, 2**12]])
def test_the_largest_inputs_can_be_read(shape: list[int]) -> None:
    assert Choice.from_json({**WHOLE, "input_shape": shape}).input_shape == tuple(shape)
