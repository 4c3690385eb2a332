"""Networks that are not the plain case: unlike types, frozen, shared, replaced, lazy."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pruneflow.engine import Engine
from pruneflow.errors import PlanError, TrainingError
from pruneflow.pruning.scope import Targets, find_layers
from pruneflow.recipe.compiler import compile_for, compile_plan
from pruneflow.recipe.schema import build
from pruneflow.timeline import Horizon


def engine_of(model: nn.Module, **fields: object) -> Engine:
    """An engine that prunes half of the network at step 2 of 9."""
    declared = {"type": "prune", "sparsity": 0.5, "start": "2st", "min_nonzeros": 0, **fields}
    recipe = build({"length": "9st", "modifiers": {"prune": declared}})
    plan = compile_plan(recipe, find_layers(model), Horizon(3))
    parameters = [p for p in model.parameters() if p.requires_grad]
    return Engine(plan, model, [torch.optim.SGD(parameters, 0.1, momentum=0.9)])


def steps(engine: Engine, first: int, last: int) -> None:
    """Updates by noise, with every event."""
    (optimizer,) = engine.network.optimizers
    for step in range(first, last + 1):
        for parameter in engine.network.model.parameters():
            if parameter.requires_grad:
                parameter.grad = torch.randn_like(parameter)
        optimizer.step()
        engine.advance(step)


@pytest.mark.parametrize("other", [torch.bfloat16, torch.float16, torch.float64])
def test_layers_of_unlike_types_meet_one_threshold(other: torch.dtype) -> None:
    model = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64).to(other))
    engine = engine_of(model)
    scores = torch.cat([model[i].weight.detach().double().abs().flatten() for i in (0, 1)])
    engine.advance(2)
    lowest = torch.sort(scores, stable=True).indices[:4096]
    expected = torch.ones(8192, dtype=torch.bool).index_fill(0, lowest, False)
    masks = torch.cat([engine.state.masks[f"{i}.weight"].flatten() != 0 for i in (0, 1)])
    assert torch.equal(masks, expected)


def test_what_takes_no_gradient_is_meant_by_name_only() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].requires_grad_(False)
    layers = find_layers(model)
    assert [layer.name for layer in Targets().choose(layers)] == ["0.weight"]
    assert [layer.name for layer in Targets(names=("1",)).choose(layers)] == ["1.weight"]
    assert [layer.role for layer in layers] == ["output", ""]


def test_a_shared_tensor_answers_to_all_its_names() -> None:
    model = nn.Module()
    model.embedding, model.decoder = nn.Embedding(10, 4), nn.Linear(4, 10, bias=False)
    model.decoder.weight = model.embedding.weight
    (layer,) = find_layers(model)
    assert layer.name == "embedding.weight"
    assert [found.name for found in Targets().choose([layer])] == ["embedding.weight"]
    assert layer.matches("decoder")


def test_a_lazy_layer_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"'0\.weight' has no shape yet"):
        find_layers(nn.Sequential(nn.LazyLinear(3)))
    recipe = build({"length": "9st", "modifiers": {"p": {"type": "prune", "sparsity": 0.5}}})
    with pytest.raises(PlanError, match=r"'0\.weight' has no shape yet"):
        compile_for(recipe, nn.Sequential(nn.LazyLinear(3)), Horizon(3))


def test_a_replaced_parameter_takes_over_its_mask() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 2))
    engine = engine_of(model)
    steps(engine, 1, 3)
    model[0] = nn.Linear(8, 8)
    engine.guard([torch.optim.SGD(model.parameters(), 0.1)])
    assert torch.equal(model[0].weight == 0, engine.state.masks["0.weight"] == 0)
    steps(engine, 4, 9)
    assert torch.equal(model[0].weight == 0, engine.state.masks["0.weight"] == 0)


def test_a_parameter_of_another_shape_is_an_error() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 2))
    engine = engine_of(model)
    steps(engine, 1, 3)
    model[0] = nn.Linear(8, 4)
    with pytest.raises(TrainingError, match=r"'0\.weight' was pruned"):
        engine.guard([torch.optim.SGD(model.parameters(), 0.1)])


def test_optimizers_built_anew_are_guarded() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 2))
    engine = engine_of(model)
    steps(engine, 1, 3)
    old = engine.network.optimizers[0]
    engine.guard([torch.optim.AdamW(model.parameters(), 0.1)])
    assert not old._optimizer_step_post_hooks
    steps(engine, 4, 9)
    assert int((model[0].weight == 0).sum() + (model[1].weight == 0).sum()) == 40


def test_a_rate_that_is_lent_when_a_step_breaks_goes_back() -> None:
    model = nn.Sequential(nn.Linear(8, 2))
    recipe = build({"length": "9st", "modifiers": {"rate": {"type": "lr", "init": 0.5}}})
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    engine = Engine(compile_plan(recipe, find_layers(model), Horizon(3)), model, [optimizer])
    engine.advance(0)

    def closure() -> torch.Tensor:
        assert optimizer.param_groups[0]["lr"] == 0.5
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        optimizer.step(closure)
    engine.detach()
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_a_group_that_is_added_later_has_its_own_rate() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 2))
    fields = {"type": "lr", "factor": 0.5}
    recipe = build({"length": "9st", "modifiers": {"rate": fields}})
    optimizer = torch.optim.SGD(model[0].parameters(), 0.1)
    engine = Engine(compile_plan(recipe, find_layers(model), Horizon(3)), model, [optimizer])
    engine.advance(0)
    steps(engine, 1, 2)
    optimizer.add_param_group({"params": list(model[1].parameters()), "lr": 0.04})
    used = []
    optimizer.register_step_pre_hook(lambda o, a, k: used.extend(g["lr"] for g in o.param_groups))
    steps(engine, 3, 3)
    assert used == pytest.approx([0.05, 0.02])
