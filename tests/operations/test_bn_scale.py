"""``criterion: bn_scale``: channels of the smallest scales go (Liu et al. 2017, section 3)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pruneflow.engine import Engine
from pruneflow.errors import NonFiniteError, PlanError, RecipeError
from pruneflow.recipe import schema
from pruneflow.recipe.compiler import compile_for
from pruneflow.recipe.plan import Plan
from pruneflow.timeline import Horizon
from tests.loop import OPTIMIZERS, Loop, bits, normed_net, plan_of, small_net
from tests.structure.nets import Net, conv, pooled

PRUNE = {"type": "prune", "granularity": "channel", "criterion": "bn_scale", "sparsity": 0.5}
WIDTHS = {"norm1": 4, "norm2": 7, "norm3": 5}


def net() -> nn.Module:
    """6-4-7-5-3, a batch norm behind all layers but the last."""
    torch.manual_seed(0)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    before = 6
    for number, width in enumerate(WIDTHS.values(), 1):
        layers[f"fc{number}"] = nn.Linear(before, width)
        layers[f"norm{number}"] = nn.BatchNorm1d(width)
        layers[f"act{number}"] = nn.ReLU()
        before = width
    layers["output"] = nn.Linear(before, 3)
    return nn.Sequential(layers)


def planned(module: nn.Module, example: torch.Tensor, **fields: Any) -> Plan:
    """To prune at step 0, and nothing else."""
    recipe = schema.build({"modifiers": {"it": {**PRUNE, **fields}}})
    return compile_for(recipe, module, Horizon(1, 0), example)


def fired(plan: Plan, module: nn.Module) -> dict[str, list[int]]:
    """Channels that are pruned whole at step 0, by the layer that makes them."""
    engine = Engine(plan, module, [])
    engine.advance(0)
    masks = engine.state.masks
    assert not any(module.get_parameter(name)[mask == 0].any() for name, mask in masks.items())
    return {
        name.removesuffix(".weight"): (mask == 0).flatten(1).all(1).nonzero().flatten().tolist()
        for name, mask in masks.items()
        if mask.dim() > 1
    }


def pruned(module: nn.Module, example: torch.Tensor, **fields: Any) -> dict[str, list[int]]:
    return fired(planned(module, example, **fields), module)


def smallest(scales: dict[str, list[float]], count: int) -> dict[str, list[int]]:
    """By hand: one after the other the least goes, the first of equals, but no layer's last."""
    order = sorted(
        (abs(value), layer, channel)
        for layer, values in enumerate(scales.values())
        for channel, value in enumerate(values)
    )
    gone: dict[str, list[int]] = {name: [] for name in scales}
    names = list(scales)
    for _, layer, channel in order:
        mine = gone[names[layer]]
        if sum(map(len, gone.values())) < count and len(mine) < len(scales[names[layer]]) - 1:
            mine.append(channel)
    return {name: sorted(channels) for name, channels in gone.items() if channels}


PLANS = {share: planned(net(), torch.zeros(2, 6), sparsity=share) for share in (0.25, 0.5, 0.75)}
values = st.sampled_from([-2.0, -1.0, -0.25, 0.25, 0.5, 1.0, 3.0])


@given(st.lists(values, min_size=16, max_size=16), st.sampled_from(sorted(PLANS)))
def test_globally_the_smallest_scales_of_all_layers_go_ties_by_index(
    drawn: list[float], sparsity: float
) -> None:
    module, scales, at = net(), {}, 0
    for name, width in WIDTHS.items():
        scales[name.replace("norm", "fc")] = drawn[at : at + width]
        module.get_submodule(name).weight.data = torch.tensor(drawn[at : at + width])
        at += width
    found = fired(PLANS[sparsity], module)
    assert found == smallest(scales, int(16 * sparsity))


def test_by_layer_each_gives_its_share() -> None:
    module = net()
    for number, name in enumerate(WIDTHS):
        weight = module.get_submodule(name).weight
        weight.data = 10.0**number * torch.arange(len(weight), 0, -1).float()
    found = pruned(module, torch.zeros(2, 6), allocation="uniform", sparsity=0.4)
    assert found == {"fc1": [2, 3], "fc2": [4, 5, 6], "fc3": [3, 4]}  # 1.6, 2.8 and 2 channels


def test_where_several_batch_norms_share_a_channel_their_mean_counts() -> None:
    def run(net: Net, x: torch.Tensor) -> object:
        x = net.norm(net.a(x))
        return net.fc(pooled((x + net.other(net.b(x))).relu()))

    layers = {"norm": nn.BatchNorm2d(3), "other": nn.BatchNorm2d(3), "fc": nn.Linear(3, 2)}
    module = Net(run, a=conv(3, 3), b=conv(3, 3), **layers)
    module.norm.weight.data = torch.tensor([0.1, 2.0, 1.0])
    module.other.weight.data = torch.tensor([-3.0, 0.3, 1.0])
    found = pruned(module, torch.zeros(2, 3, 8, 8), sparsity=0.34)
    assert found == {"a": [2], "b": [2]}  # means 1.55, 1.15 and 1


def test_the_weights_do_not_count() -> None:
    module = net()
    module.fc2.weight.data[0] = 100.0
    module.norm2.weight.data[0] = 0.01
    assert pruned(module, torch.zeros(2, 6), sparsity=1 / 16)["fc2"] == [0]


SLIM = {
    "press": {"type": "regularize", "kind": "slimming", "strength": 0.05, "end": "prune.start"},
    "prune": {**PRUNE, "start": "1ep", "end": "6st", "every": "1st", "sparsity": 0.75},
    "shrink": {"type": "shrink", "start": "7st"},
}


@pytest.mark.parametrize("allocation", ["global", "uniform"])
def test_counts_are_exact_and_a_resume_at_any_step_is_too(allocation: str) -> None:
    tree = {**SLIM, "prune": {**SLIM["prune"], "allocation": allocation}}

    def loop(saved: bytes | None = None) -> Loop:
        make = OPTIMIZERS["sgd, momentum"]
        return Loop(tree, 9, net, lambda model: make(model.parameters()), saved=saved)

    run = loop()
    saves = [run.save()]
    while run.clock < 9:
        run.step()
        saves.append(run.save())
    widths = [len(run.model.get_submodule(name).weight) for name in WIDTHS]
    assert sum(widths) == 4
    if allocation == "uniform":
        assert widths == [1, 2, 1]
    for step, saved in enumerate(saves):
        assert loop(saved).run().everything() == run.everything(), f"at step {step}"


def test_no_other_granularity_has_it() -> None:
    for fields in (
        {**PRUNE, "granularity": "unstructured"},
        {**PRUNE, "granularity": "filter"},
        {"type": "iterative_prune", "rounds": 1, "every": "1ep", "criterion": "bn_scale"},
        {"type": "dynamic_sparse", "sparsity": 0.5, "criterion": "bn_scale"},
    ):
        with pytest.raises(RecipeError, match=r"it\.criterion: .*needs 'granularity: channel'"):
            schema.build({"modifiers": {"it": fields}})


def test_a_channel_without_a_batch_norm_is_an_error_that_names_the_layer() -> None:
    with pytest.raises(
        PlanError, match=r"it\.criterion: .*none behind 'fc1\.weight', 'fc2\.weight': choose"
    ):
        plan_of({"it": PRUNE}, small_net(), 12)


def test_of_several_layers_those_without_are_to_be_left_out() -> None:
    module = net()
    module.norm2 = nn.Identity()
    with pytest.raises(PlanError, match=r"behind 'fc2\.weight': leave it out of the targets, or"):
        pruned(module, torch.zeros(2, 6))
    assert set(pruned(module, torch.zeros(2, 6), ignore=["fc2"])) == {"fc1", "fc3"}


def test_a_scale_that_is_not_finite_is_an_error() -> None:
    module = normed_net()
    module.norm.weight.data[3] = torch.nan
    with pytest.raises(NonFiniteError, match=r"norm\.weight"):
        pruned(module, torch.zeros(2, 6))


def test_masks_are_the_same_whatever_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    noise = torch.rand(16)

    def masks() -> Any:
        module, at = net(), 0
        for name, width in WIDTHS.items():
            module.get_submodule(name).weight.data = noise[at : at + width].clone()
            at += width
        return pruned(module, torch.zeros(2, 6))

    whole = bits(masks())
    monkeypatch.setattr("pruneflow.pruning.masks.CHUNK", 2)
    assert bits(masks()) == whole
