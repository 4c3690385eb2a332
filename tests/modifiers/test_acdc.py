"""AC/DC: phases take turns, what grows back begins at zero, and the end is compressed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.loop import Loop, plan_of

ACDC = {"type": "acdc", "sparsity": 0.7, "start": "2st", "phase": "3st", "end": "15st"}
FREEZE = {"type": "freeze_mask", "start": "it.end"}


def phases(total: int = 20, **words: Any) -> list[tuple[int, str]]:
    plan = plan_of({"it": {**ACDC, **words}}, total=total)
    return [(event.step, event.action) for event in plan.events]


def test_phases_take_turns_and_the_last_is_compressed() -> None:
    assert phases() == [(2, "prune"), (5, "grow"), (8, "prune"), (11, "grow"), (14, "prune")]
    assert phases(end="14st") == phases(end="19st") == phases()
    assert phases(end="13st") == phases()[:3]
    assert phases(end="20st")[-1] == (20, "prune")


def test_plan_and_journal_are_exact_in_every_phase() -> None:
    loop = Loop({"it": ACDC, "freeze": FREEZE}, total=20).run()
    size = loop.plan.size
    zeros = [row.zeros for row in loop.plan.rows]
    assert zeros == [round(0.7 * size), 0, round(0.7 * size), 0, *[round(0.7 * size)] * 2]
    assert [size - e["nonzeros"] for e in loop.engine.state.journal] == zeros
    assert loop.engine.state.frozen == set(loop.masks)


def test_the_smallest_of_all_layers_go_at_every_compression() -> None:
    loop = Loop({"it": {**ACDC, "min_nonzeros": 0}}, total=20)
    trained: list[dict[str, torch.Tensor]] = []
    loop.optimizers[0].register_step_post_hook(lambda *_: trained.append(loop.weights))
    while loop.clock < 20:
        loop.step()
        if (loop.clock, "prune") in phases():
            size = {name: trained[-1][name].abs() for name in loop.masks}
            gone = torch.cat([size[name][~mask] for name, mask in loop.masks.items()])
            kept = torch.cat([size[name][mask] for name, mask in loop.masks.items()])
            assert gone.max() <= kept.min()


def test_what_grows_back_begins_at_zero_with_no_momentum_and_then_trains() -> None:
    loop = Loop({"it": ACDC}, total=20).run(4)
    [optimizer] = loop.optimizers
    pruned = {name: ~mask for name, mask in loop.masks.items()}
    loop.step()
    for name, gone in pruned.items():
        weight = loop.weights[name][gone]
        memory = optimizer.state[loop.model.get_parameter(name)]["momentum_buffer"]
        assert not bool(weight.any() | weight.signbit().any() | memory[gone].any())
    loop.run(7)
    assert all(bool(loop.weights[name][gone].any()) for name, gone in pruned.items())


def test_other_modifiers_may_prune_before_and_after() -> None:
    before = {"type": "prune", "sparsity": 0.5, "start": "1st"}
    after = {"type": "prune", "sparsity": 0.9, "start": "17st"}
    loop = Loop({"before": before, "it": ACDC, "after": after}, total=20).run()
    assert loop.engine.nonzeros == loop.plan.size - round(0.9 * loop.plan.size)


@pytest.mark.parametrize("allocation", ["uniform", "erk", "global"])
def test_sparsity_may_be_spread_by_any_allocation(allocation: str) -> None:
    loop = Loop({"it": {**ACDC, "allocation": allocation}}, total=20).run()
    assert loop.engine.nonzeros == loop.plan.size - loop.plan.rows[-1].zeros
