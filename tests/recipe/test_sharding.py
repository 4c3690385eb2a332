"""What a recipe cannot have of a network whose weights processes share out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from torch import nn
from torch.distributed.device_mesh import DeviceMesh

from pruneflow.errors import PlanError
from pruneflow.recipe.compiler import compile_for
from pruneflow.recipe.schema import build
from pruneflow.timeline import Horizon
from tests.pruning.seats import seat, share


@pytest.fixture
def mesh() -> Iterator[DeviceMesh]:
    with seat(0, 2) as found:
        yield found


def net(mesh: DeviceMesh, *shared: int) -> nn.Sequential:
    layers = [nn.Linear(4, 4) for _ in range(3)]
    for at in shared:
        layers[at].weight = nn.Parameter(share(layers[at].weight.detach(), mesh))
    return nn.Sequential(*layers)


def problems(model: nn.Module, **fields: object) -> list[str]:
    """What compiling a one-word recipe for a network complains about."""
    word = {"type": "prune", "sparsity": 0.5, "end": "2ep", **fields}
    try:
        compile_for(build({"length": "2ep", "modifiers": {"p": word}}), model, Horizon(5))
    except PlanError as error:
        return [str(problem) for problem in error.problems]
    return []


def test_what_works_row_by_row_is_no_problem(mesh: DeviceMesh) -> None:
    assert problems(net(mesh, 0, 1, 2)) == []
    assert problems(net(mesh), allocation="lamp") == []


def test_what_needs_whole_weights_is_named_with_its_value(mesh: DeviceMesh) -> None:
    (found,) = problems(net(mesh, 0, 1, 2), allocation="lamp")
    assert found.startswith(
        "recipe: modifiers.p.allocation: 'lamp' needs whole weights, and processes"
    )


def test_masked_weights_are_all_whole_or_all_shared_out(mesh: DeviceMesh) -> None:
    (found,) = problems(net(mesh, 0, 2))
    assert "'1.weight' is whole on every process, and '0.weight' is shared out" in found
    assert problems(net(mesh, 0, 2), targets=["0", "2"]) == []
