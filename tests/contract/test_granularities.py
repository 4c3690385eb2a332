"""The contract of every granularity: exact and whole at every event, and never growing back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import nn

from pruneflow.modifiers.fields import GranularityKind
from pruneflow.network import Network
from pruneflow.pruning import masks
from pruneflow.pruning.allocation import ALLOCATIONS, Guard
from pruneflow.pruning.criteria import CRITERIA
from pruneflow.pruning.granularities import GRANULARITIES, Granularity
from pruneflow.pruning.scope import Layer, find_layers
from pruneflow.state import PruneState
from tests.contract.gathering import gather
from tests.loop import OPTIMIZERS, Loop, bits, resumed_anywhere, revived
from tests.pruning.granularities.slow import units
from tests.strategies import DTYPES

Whole = Callable[[torch.Tensor, bool], bool]
"""Whether a mask has the granularity; and whether it does so in the end."""


def any_mask(mask: torch.Tensor, last: bool) -> bool:
    return True


def has_n_of(n: int, m: int) -> Whole:
    def whole(mask: torch.Tensor, last: bool) -> bool:
        left = [sum(int(mask[i]) for i in group) for group in units(tuple(mask.shape), 1, m)]
        return set(left) == {n} if last else min(left) >= n

    return whole


def has_blocks(tall: int, wide: int) -> Whole:
    def whole(mask: torch.Tensor, last: bool) -> bool:
        blocks = units(tuple(mask.shape), tall, wide)
        return all(len({bool(mask[i]) for i in block}) == 1 for block in blocks)

    return whole


def has_filters(mask: torch.Tensor, last: bool) -> bool:
    return all(len({*row.tolist()}) == 1 for row in mask.flatten(1))


EXAMPLES: list[tuple[str, Any, Whole]] = [
    ("unstructured", "unstructured", any_mask),
    ("n:m", "2:4", has_n_of(2, 4)),
    ("n:m", "1:2", has_n_of(1, 2)),
    ("block", {"block": [2, 4]}, has_blocks(2, 4)),
    ("block", {"block": [4, 1]}, has_blocks(4, 1)),
    ("filter", "filter", has_filters),
]
GROUPED: list[tuple[str, Any]] = [("channel", "channel")]
"""Those that only a network's groups of channels make whole: tests/operations/ has their laws."""

KIND = GranularityKind(by_group=True)

examples = pytest.mark.parametrize(
    ("value", "whole"), [row[1:] for row in EXAMPLES], ids=[str(row[1]) for row in EXAMPLES]
)
criteria = pytest.mark.parametrize("criterion", list(CRITERIA))
pairs = pytest.mark.parametrize(
    ("value", "whole", "allocation"),
    [
        pytest.param(value, whole, allocation, id=f"{value}-{allocation}")
        for name, value, whole in EXAMPLES
        for allocation in ALLOCATIONS
        if (name, allocation) != ("n:m", "erk")  # all layers alike, and each of its own: refused
    ],
)
dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def network(dtype: torch.dtype = torch.float32, seed: int = 0) -> Network:
    """Linear layers and convolutions, with many ties and on scales far apart."""
    layers = [nn.Linear(12, 8), nn.Conv2d(8, 4, (3, 2)), nn.Conv1d(4, 8, 2), nn.Conv2d(8, 4, 1)]
    model = nn.Sequential(*layers)
    with torch.no_grad():
        for scale, parameter in enumerate(model.parameters()):
            parameter.copy_((torch.randn(parameter.shape) * 4).round() / 4 * 2**scale)
    return Network(model.to(dtype), [], [], PruneState(), seed)


def prune(made: Network, value: Any, criterion: str, allocation: str, share: float) -> Mapping:
    """One event at a share of the way to the final sparsity, and its zeros."""
    it: Granularity = KIND.parse(value)
    layers = find_layers(made.model)
    if value == "filter" and allocation in ("global", "lamp"):
        layers = layers[2:]  # whose filters are of one size
    it.require_fit(layers)
    final = 0.7 if it.sparsity is None else it.sparsity
    quota = it.quota(ALLOCATIONS[allocation], layers, share * final, Guard())
    gather(made, criterion)
    made.prune([layer.name for layer in layers], quota, criterion, it)
    assert sum(made.zeros.values()) == quota.zeros
    assert quota.layers in (None, made.zeros)
    assert all(made.zeros[name] <= cap for name, cap in quota.caps.items())
    return made.zeros


def test_every_granularity_has_an_example() -> None:
    grouped = {name for name in GRANULARITIES if GRANULARITIES[name].by_group}
    assert {name for name, _ in GROUPED} == grouped
    assert {name for name, _, _ in EXAMPLES} == {*GRANULARITIES} - grouped


@pytest.mark.parametrize(("name", "value"), [*(row[:2] for row in EXAMPLES), *GROUPED])
def test_it_reads_back_as_itself_and_is_nobody_elses(name: str, value: Any) -> None:
    it = KIND.parse(value)
    assert type(it) is GRANULARITIES[name]
    assert KIND.parse(it.write()) == it
    assert it.continues(it)
    others = [GRANULARITIES[other] for other in GRANULARITIES if other != name]
    assert all(other.read(value) is None for other in others)


@pytest.mark.parametrize("name", list(GRANULARITIES))
def test_it_is_documented(name: str) -> None:
    assert (GRANULARITIES[name].__doc__ or "").strip()
    assert GRANULARITIES[name].form in KIND.label


@dtypes
@criteria
@pairs
def test_every_event_is_exact_whole_and_takes_nothing_back(
    value: Any, whole: Whole, allocation: str, criterion: str, dtype: torch.dtype
) -> None:
    made = network(dtype)
    before: dict[str, torch.Tensor] = {}
    for step, share in enumerate((0.0, 0.4, 0.75, 1.0)):
        made.state.clock = step
        prune(made, value, criterion, allocation, share)
        for name, mask in made.state.masks.items():
            assert set(mask.unique().tolist()) <= {0.0, 1.0}
            assert whole(mask, share == 1)
            assert bool((mask <= before.get(name, mask)).all())
            before[name] = mask.clone()


@criteria
@examples
def test_the_same_event_makes_the_same_masks(
    value: Any, whole: Whole, criterion: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for noise in range(3):
        torch.manual_seed(1)
        made.append(network())
        torch.manual_seed(noise)  # the caller's generator is no input, and chunks do not show
        monkeypatch.setattr(masks, "CHUNK", (1 << 20, 1 << 20, 16)[noise])
        prune(made[-1], value, criterion, "global", 0.6)
    assert bits(made[0].state.masks) == bits(made[1].state.masks) == bits(made[2].state.masks)


def test_the_seed_is_an_input() -> None:
    made = [network(seed=seed) for seed in range(2)]
    for one in made:
        prune(one, "2:4", "random", "uniform", 1.0)
    assert bits(made[0].state.masks) != bits(made[1].state.masks)


def test_what_does_not_fit_is_named_all_of_it() -> None:
    layers = [Layer(f"a.{n}.weight", ("Linear",), (8, n)) for n in (6, 8, 10)]
    with pytest.raises(ValueError, match=r"unlike 'a\.6\.weight' \(8 x 6\), 'a\.10\.weight'") as it:
        KIND.parse("2:4").require_fit(layers)
    assert "add 'ignore: [a.6, a.10]', or choose another granularity" in str(it.value)
    with pytest.raises(ValueError, match=r"\(8 x 6\): choose another granularity$"):
        KIND.parse({"block": [3, 2]}).require_fit(layers[:1])


# -- in a run --------------------------------------------------------------------------------


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 4))


def loop(value: Any, saved: bytes | None = None) -> Loop:
    sparsity = {} if KIND.parse(value).sparsity else {"sparsity": 0.7}
    tree = {"type": "prune", "granularity": value, "start": "1ep", "end": "3ep", **sparsity}
    adam = OPTIMIZERS["adam"]
    return Loop({"it": tree}, 12, net, lambda model: adam(model.parameters()), saved=saved)


@examples
def test_a_run_is_its_plan_and_its_masks_are_whole(value: Any, whole: Whole) -> None:
    run = loop(value)
    while run.clock < 12:
        run.step()
        assert not revived(run), f"step {run.clock}"
        for name, mask in run.masks.items():
            assert whole(mask, run.clock >= 9), name
    zeros = [run.plan.size - entry["nonzeros"] for entry in run.engine.state.journal]
    assert zeros == [row.zeros for row in run.plan.rows]
    for row in run.plan.rows:
        assert value == "unstructured" or row.event.label.endswith(f", {KIND.parse(value)}")


@examples
def test_resuming_at_any_step_is_bit_identical(value: Any, whole: Whole) -> None:
    resumed_anywhere(lambda saved: loop(value, saved))


def test_layers_may_have_granularities_of_their_own() -> None:
    a = {"type": "prune", "granularity": "2:4", "targets": ["0"]}
    b = {"type": "prune", "granularity": {"block": [2, 2]}, "sparsity": 0.5, "targets": ["2"]}
    c = {"type": "prune", "sparsity": 0.7, "start": "1ep", "targets": ["0"]}
    run = Loop({"a": a, "b": b, "c": c}, 6, net).run(2)
    assert has_n_of(2, 4)(run.masks["0.weight"], True)
    assert has_blocks(2, 2)(run.masks["2.weight"], True)
    run.run()
    assert run.engine.network.zeros == {"0.weight": 45, "2.weight": 32}
