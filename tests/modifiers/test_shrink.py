"""``granularity: channel`` and ``shrink``: plans, refusals, and a loop of one's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import pruneflow
from pruneflow.errors import PlanError, RecipeError
from pruneflow.pruning.scope import find_layers
from pruneflow.recipe import schema
from pruneflow.recipe.compiler import compile_plan
from pruneflow.timeline import Horizon
from tests.loop import normed_net, plan_of
from tests.structure.nets import residual

PRUNE = {"type": "prune", "granularity": "channel", "sparsity": 0.5, "start": "1ep"}
SHRINK = {"type": "shrink", "start": "2ep"}


def recipe(**modifiers: Any) -> Any:
    return schema.build({"modifiers": modifiers})


def refusal(**modifiers: Any) -> str:
    with pytest.raises(PlanError) as error:
        plan_of(modifiers, normed_net(), 12)
    return str(error.value)


def test_a_plan_counts_what_is_removed_by_hand() -> None:
    net = residual()
    tree = recipe(prune={**PRUNE, "allocation": "uniform"}, shrink=SHRINK)
    net.example_input_array = torch.zeros(2, 3, 8, 8)
    with pruneflow.prune(net, tree, steps_per_epoch=1, steps=2) as pruning:
        # a: 6 x 3 x 3 x 3 and b: 6 x 6 x 3 x 3, of whose 6 channels 3 go, and b reads a's
        rows = [(row.event.action, row.zeros) for row in pruning.plan.rows]
        assert pruning.plan.size == 162 + 324
        assert rows == [("prune", 81 + 162), ("shrink", 81 + 324 - 3 * 3 * 9)]
        for _ in range(2):
            pruning.step()
        assert [e["nonzeros"] for e in pruning.journal] == [486 - 243, 486 - 324]
        assert net.fc.weight.shape == (4, 3)


def test_the_number_of_channels_is_exact_over_all_layers_too() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3))
    tree = recipe(prune={**PRUNE, "start": "0st", "sparsity": 0.6})
    pruning = pruneflow.prune(net, tree, steps_per_epoch=1, steps=1, example=torch.zeros(1, 6))
    (row,) = pruning.plan.rows
    assert row.zeros is None
    dead = [
        int((mask == 0).all(1).sum())
        for mask in pruning.engine.state.masks.values()
        if mask.dim() > 1
    ]
    assert sum(dead) == 8  # of 13 channels, 0.6 * 13 = 7.8
    assert all(
        0 <= gone < layer.rows for gone, layer in zip(dead, pruning.plan.layers, strict=True)
    )
    for name, mask in pruning.engine.state.masks.items():
        assert torch.equal(net.get_parameter(name) != 0, mask != 0), name


def test_a_checkpoint_of_a_loop_finds_the_module_it_fits() -> None:
    def made() -> tuple[nn.Module, torch.optim.Optimizer, Any]:
        net = normed_net()
        optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
        tree = recipe(prune={**PRUNE, "start": "0st"}, shrink=SHRINK)
        example = torch.zeros(2, 6)
        pruning = pruneflow.prune(
            net, tree, steps_per_epoch=2, steps=8, optimizer=optimizer, example=example
        )
        return net, optimizer, pruning

    def trained(net: nn.Module, optimizer: Any, pruning: Any, until: int) -> None:
        while pruning.clock < until:
            generator = torch.Generator().manual_seed(pruning.clock)
            optimizer.zero_grad()
            net(torch.randn(8, 6, generator=generator)).square().mean().backward()
            alive = [p.grad for p in net.parameters() if p.grad is not None]
            assert all(grad.isfinite().all() for grad in alive)
            optimizer.step()
            pruning.step()

    whole = made()
    trained(*whole, 6)
    saved = [part.state_dict() for part in whole]
    other = made()
    for part, state in zip(other, torch.utils._pytree.tree_map(_copied, saved), strict=True):
        part.load_state_dict(state)
    trained(*whole, 8)
    trained(*other, 8)
    for name, weight in whole[0].state_dict().items():
        assert torch.equal(weight, other[0].state_dict()[name]), name


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, torch.Tensor) else value


def test_some_layers_of_a_group_are_not_enough() -> None:
    net = residual()
    net.example_input_array = torch.zeros(2, 3, 8, 8)
    tree = recipe(prune={**PRUNE, "targets": ["a"]})
    with pytest.raises(PlanError, match=r"the channels of 'a.weight' are those of 'b.weight', too"):
        pruneflow.prune(net, tree, steps_per_epoch=1, steps=2)


def test_layers_whose_channels_cannot_go_are_left_out_and_no_other_is_an_error() -> None:
    assert [layer.name for layer in plan_of({"it": PRUNE}, normed_net()).layers] == ["fc1.weight"]
    assert "no channel of 'output.weight' can go" in refusal(it={**PRUNE, "targets": ["output"]})


def test_without_an_example_or_groups_the_mend_is_named() -> None:
    with pytest.raises(PlanError, match=r"modifiers\.it: .*pass prune\(\.\.\., example=\)"):
        pruneflow.prune(normed_net(), recipe(it=PRUNE), steps_per_epoch=1, steps=3)
    layers = find_layers(normed_net())
    with pytest.raises(PlanError, match="compile_plan needs groups=channel_groups"):
        compile_plan(recipe(it=SHRINK), layers, Horizon(1, 3))


@pytest.mark.parametrize("word", ["oneshot_prune"])
def test_other_words_have_no_channels(word: str) -> None:
    with pytest.raises(RecipeError, match="'channel' is no granularity"):
        recipe(it={"type": word, "granularity": "channel", "sparsity": 0.5})


@pytest.mark.parametrize("allocation", ["lamp", "erk"])
def test_allocations_of_weights_are_refused(allocation: str) -> None:
    with pytest.raises(RecipeError, match=f"'{allocation}' compares weights, not channels"):
        recipe(it={**PRUNE, "allocation": allocation})


def test_what_would_bring_back_what_is_gone_is_refused() -> None:
    imp = {"type": "iterative_prune", "rounds": 1, "every": "1ep", "start": "3ep"}
    imp["targets"] = ["output"]
    assert "'shrink' at step 6" in refusal(prune=PRUNE, shrink=SHRINK, imp=imp)
    teach = {"type": "distill", "start": "1ep"}
    found = refusal(prune=PRUNE, shrink=SHRINK, teach=teach)
    assert "modifiers.teach: keeps a teacher from before channels are removed" in found
    pairs = {"type": "prune", "granularity": "1:2", "start": "3ep", "targets": ["output"]}
    assert "'output.weight' is smaller by then" in refusal(prune=PRUNE, shrink=SHRINK, nm=pairs)


def test_pruning_less_than_the_channels_that_are_gone_is_refused() -> None:
    even = {**PRUNE, "allocation": "uniform"}
    less = {"type": "prune", "sparsity": 0.3, "start": "3ep"}
    found = refusal(prune=even, shrink=SHRINK, less={**less, "targets": ["fc1"]})
    assert "pruned weights do not grow back" in found
