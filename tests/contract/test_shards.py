"""The contract of processes that share out weights: they prune what one process would.

Two processes run each recipe twice on the same batches: on a network whose rows they share out,
unevenly and in one layer not at all, and on one that both hold whole.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, multiprocessing, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Shard
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode

from pruneflow.engine import Engine
from pruneflow.errors import PlanError
from pruneflow.pruning.shards import local
from pruneflow.state import PruneState, detached_copy
from tests.loop import OPTIMIZERS, Loop, bits, plan_of

pytestmark = pytest.mark.skipif(
    not hasattr(torch.cpu.Stream, "record_event"), reason="this torch divides no weights on a CPU"
)

RANKS = 2
TOTAL = 6
RAMP = {"type": "prune", "sparsity": 0.8, "start": "2st", "end": "5st", "every": "2st"}
ROUNDS = {"type": "iterative_prune", "rounds": 2, "every": "2st", "rewind_to": "init"}

RECIPES: dict[str, dict[str, Any]] = {
    "magnitude, global": {"p": RAMP},
    "random, uniform": {"p": RAMP | {"criterion": "random", "allocation": "uniform"}},
    "movement, erk": {"p": RAMP | {"criterion": "movement", "allocation": "erk", "sparsity": 0.5}},
    "snip, per_layer": {
        "p": RAMP
        | {"criterion": "snip", "allocation": "per_layer", "sparsity": {"default": 0.5, "b": 0.7}},
    },
    "taylor, with caps": {
        "p": RAMP | {"criterion": "taylor", "max_layer_sparsity": 0.85, "min_nonzeros": 2},
    },
    "2:4": {"p": {"type": "prune", "granularity": "2:4", "ignore": ["d"], "end": "5st"}},
    "rounds": {"p": ROUNDS},
    "acdc": {"p": {"type": "acdc", "sparsity": 0.5, "start": "1st", "phase": "1st", "end": "5st"}},
    "all together": {
        "p": RAMP,
        "freeze": {"type": "freeze_mask", "start": "p.end"},
        "rate": {"type": "lr", "start": "p.end", "factor": 0.1},
        "decay": {"type": "weight_decay", "value": 0.01},
        "press": {"type": "regularize", "kind": "l1", "strength": 0.01},
        "still": {"type": "trainable", "value": False, "targets": ["a"], "start": "3st"},
    },
}  # fmt: skip

RESUMED = ["movement, erk", "rounds"]

REFUSED = {
    "modifiers.p.allocation: 'lamp' needs whole weights": RAMP | {"allocation": "lamp"},
    "modifiers.p.granularity: 'blocks of 1 x 2' needs": RAMP
    | {"granularity": {"block": [1, 2]}, "ignore": ["c", "d"]},
    "modifiers.p.granularity: 'filters' needs": RAMP
    | {"granularity": "filter", "allocation": "uniform", "ignore": ["d"]},
    "modifiers.p.regrow: '0.2' needs whole weights": RAMP | {"regrow": 0.2},
    "modifiers.p.control: 'random_mask' needs": ROUNDS | {"control": "random_mask"},
    "modifiers.p.kind: 'group_lasso' needs": {
        "type": "regularize",
        "kind": "group_lasso",
        "strength": 0.1,
    },
    "modifiers.p.type: 'dynamic_sparse' needs": {
        "type": "dynamic_sparse",
        "sparsity": 0.5,
        "every": "1st",
        "end": "3st",
    },
}


def net(width: int = 8) -> nn.Module:
    """4-8-8-5-1, with weights of which many are equal and some are zero."""
    torch.manual_seed(0)
    parts = OrderedDict(
        a=nn.Linear(4, width),
        tanh=nn.Tanh(),
        b=nn.Linear(width, width),
        c=nn.Linear(width, 5),
        d=nn.Linear(5, 1),
    )
    model = nn.Sequential(parts)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(weight.mul(16).round().div(16))
    return model


def sharded(
    width: int = 8, place: Callable[[nn.Parameter], Shard | None] | None = None
) -> nn.Module:
    """The same network, its rows shared out among all processes."""
    model: Any = net(width)
    mesh = init_device_mesh("cpu", (distributed.get_world_size(),))
    for part in (model.a, model.b, model.c, model.d):
        fully_shard(part, mesh=mesh, shard_placement_fn=place)
    whole: nn.Module = fully_shard(model, mesh=mesh, shard_placement_fn=place)
    return whole


def adam(model: nn.Module) -> Optimizer:
    return OPTIMIZERS["adam"](model.parameters())


def everything(run: Loop) -> Any:
    """What a run leaves behind, of weights, masks and memory put together."""
    state = run.engine.state.state_dict()
    weights = {name: _whole(weight) for name, weight in run.model.named_parameters()}
    memory = [
        [_whole(value) for value in run.optimizers[0].state[weight].values()]
        for weight in run.model.parameters()
    ]
    masks = state["masks"] if distributed.get_rank() == 0 else {}
    return str(bits([weights, memory, masks, state["journal"]]))


def _whole(tensor: Any) -> torch.Tensor:
    full: torch.Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return full


def is_held(run: Loop) -> bool:
    """Whether this process holds of masks what it holds of weights, and pruned ones are +0.0."""
    weights = dict(run.model.named_parameters())
    for name, mask in run.engine.state.masks.items():
        part, kept = local(weights[name]), local(mask)
        gone = part[kept == 0]
        if part.shape != kept.shape or bool((gone != 0).any() | gone.signbit().any()):
            return False
    return True


def resumed(recipe: dict[str, Any], file: Path, step: int) -> Loop:
    """A run to its end that was saved at a step, by process 0, and went on in other objects."""
    first = Loop(recipe, TOTAL, sharded, adam).run(step)
    parts = detached_copy([first.model.state_dict(), first.optimizers[0].state_dict()])
    saved = first.engine.state.state_dict()
    if distributed.get_rank() == 0:
        torch.save(saved, file)
    distributed.barrier()
    run = Loop(recipe, TOTAL, sharded, adam)
    run.engine.detach()
    run.model.load_state_dict(parts[0])
    run.optimizers[0].load_state_dict(parts[1])
    state = PruneState.from_state_dict(torch.load(file, weights_only=True))
    run.engine = Engine(run.plan, run.model, run.optimizers, (), 0, state)
    distributed.barrier()
    return run.run()


class Traffic(TorchDispatchMode):
    """Counts the bytes that this process passes to collectives."""

    sent = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "c10d" in func.namespace:
            mine = args["allgather" in func.__name__]  # whose first argument is for what comes
            self.sent += sum(part.numel() * part.element_size() for part in mine)
        return func(*args, **(kwargs or {}))


def traffic(width: int) -> int:
    """Bytes that process passes on in one pruning of a network so wide."""
    recipe = {"p": {"type": "prune", "sparsity": 0.5, "start": "1st"}}
    run = Loop(recipe, 2, lambda: sharded(width), adam)
    with Traffic() as counted:
        run.engine.advance(1)
    return counted.sent


def refusal(recipe: Any, model: nn.Module) -> str:
    try:
        plan_of({"p": recipe}, model, TOTAL)
    except PlanError as error:
        return str(error)
    return ""


def mixed() -> nn.Module:
    """A network of which one layer is whole."""
    model: Any = net()
    fully_shard(model.b, mesh=init_device_mesh("cpu", (RANKS,)))
    return model  # type: ignore[no-any-return]


def work(rank: int, meeting: str, folder: Path) -> None:
    """One process: every recipe, one after the other."""
    torch.set_num_threads(1)
    store = distributed.FileStore(meeting, RANKS)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=RANKS)
    found: dict[str, Any] = {}
    for name, recipe in RECIPES.items():
        run, alone = Loop(recipe, TOTAL, sharded, adam), Loop(recipe, TOTAL, net, adam)
        held = True
        while run.clock < TOTAL:
            run.step()
            alone.step()
            held = held and is_held(run)
        found[name] = (everything(run), everything(alone), held)
    for name in RESUMED:
        ends = [everything(resumed(RECIPES[name], folder / "state.pt", at)) for at in (3, 4)]
        found[f"resumed {name}"] = [end == found[name][0] for end in ends]
    model = sharded()
    found["refused"] = {text: refusal(recipe, model) for text, recipe in REFUSED.items()}
    columns = sharded(place=lambda weight: Shard(1) if weight.shape == (8, 4) else None)
    found["columns"] = refusal(RAMP, columns)
    found["mixed"] = refusal(RAMP, mixed())
    found["traffic"] = [traffic(width) for width in (8, 64)]
    torch.save(found, folder / f"{rank}.pt")
    distributed.destroy_process_group()
    os._exit(0)  # gloo's threads may abort a Python that is ending


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each process found, by recipe."""
    folder = tmp_path_factory.mktemp("shards")
    multiprocessing.spawn(work, (str(folder / "meeting"), folder), RANKS)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(RANKS)]


@pytest.mark.parametrize("name", list(RECIPES))
def test_shards_are_pruned_and_trained_as_whole_weights_are(
    name: str, ranks: list[dict[str, Any]]
) -> None:
    for found in ranks:
        together, alone, held = found[name]
        assert together == alone
        assert held


@pytest.mark.parametrize("name", RESUMED)
def test_a_run_goes_on_from_what_one_process_saved(name: str, ranks: list[dict[str, Any]]) -> None:
    assert all(found[f"resumed {name}"] == [True, True] for found in ranks)


@pytest.mark.parametrize("text", list(REFUSED))
def test_what_needs_whole_weights_is_refused_by_name(
    text: str, ranks: list[dict[str, Any]]
) -> None:
    for found in ranks:
        assert text in found["refused"][text]


def test_other_placements_are_refused_by_name(ranks: list[dict[str, Any]]) -> None:
    for found in ranks:
        assert "'a.weight' is placed as (Shard(dim=1))" in found["columns"]
        assert "'a.weight' is whole on every process, and 'b.weight' is shared" in found["mixed"]


def test_what_processes_tell_each_other_does_not_grow_with_the_network(
    ranks: list[dict[str, Any]],
) -> None:
    for found in ranks:
        few, many = found["traffic"]
        assert few == many > 2 * (1 << 16) * 8
