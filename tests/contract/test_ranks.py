"""The contract of every modifier among several processes: each makes the same masks, or says so.

Two processes train one network on halves of the data; gradients are averaged over gloo, and each
process draws other random numbers of its own.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, multiprocessing, nn
from torch.optim import Optimizer

from pruneflow import prune
from pruneflow.errors import TrainingError
from pruneflow.modifiers import MODIFIERS
from pruneflow.modifiers.events import Event
from pruneflow.operations import ranks as ranks_of_one_run
from pruneflow.pruning.masks import digest
from tests.contract.test_modifiers import TOTAL, build, net_of, tree_of
from tests.loop import OPTIMIZERS, Loop, bits, small_net

RANKS = 2


class Rank(Loop):
    """A run whose batches are this process's alone, and whose gradients are everybody's."""

    def batch_seed(self, step: int, part: int) -> int:
        return 10 * super().batch_seed(step, part) + distributed.get_rank()

    def _backward(self, step: int) -> torch.Tensor:
        loss = super()._backward(step)
        for weight in self.model.parameters():
            if weight.grad is not None:
                distributed.all_reduce(weight.grad)
                weight.grad /= RANKS
        return loss


def exchanged_under_ddp() -> str:
    """Masks that gradients chose which only ``DistributedDataParallel`` averages, late."""
    model = small_net()
    optimizer = adam(model)
    recipe = {"it": {"type": "dynamic_sparse", "sparsity": 0.5, "every": "2st", "end": "9st"}}
    pruning = prune(model, build(recipe), optimizer=optimizer, steps_per_epoch=3, steps=TOTAL)
    parallel = nn.parallel.DistributedDataParallel(model)
    generator = torch.Generator().manual_seed(distributed.get_rank())
    while not pruning.done:
        optimizer.zero_grad()
        for _ in range(2):
            parallel(torch.randn(4, 6, generator=generator)).square().mean().backward()
        optimizer.step()
        pruning.step()
    return digest(pruning.engine.state.masks)


def torn_apart(rank: int) -> list[Any]:
    """What is said where one process comes to other weights, and how far it had come."""
    model = small_net()
    recipe = {"cut": {"type": "prune", "sparsity": 0.5, "every": "1st", "end": "6st"}}
    pruning = prune(model, build(recipe), optimizer=adam(model), steps_per_epoch=3, steps=TOTAL)
    for step in range(1, TOTAL):
        model(torch.ones(4, 6)).square().mean().backward()
        pruning.engine.network.optimizers[0].step()
        if step == 3 and rank == 1:
            model.fc2.weight.data = model.fc2.weight.data.flip(0)
        try:
            pruning.step()
        except TrainingError as error:
            return [str(error), step]
    return []


def shared_buffers(rank: int) -> list[list[float]]:
    """Statistics that each process gathered by itself, before and after they are shared."""
    norm = nn.BatchNorm1d(2)
    norm.register_buffer("flags", torch.tensor([rank == 0, rank == 1]))
    norm(torch.tensor([[1.0, 2.0], [3.0, 4.0 + rank]]))
    before = [buffer.tolist() for buffer in norm.buffers()]
    ranks_of_one_run.share_buffers(norm)
    return [before, [buffer.tolist() for buffer in norm.buffers()]]


def adam(model: nn.Module) -> Optimizer:
    return OPTIMIZERS["adam"](model.parameters())


def work(rank: int, meeting: str, folder: str) -> None:
    """One process: every modifier's example, one after the other."""
    torch.set_num_threads(1)
    store = distributed.FileStore(meeting, RANKS)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=RANKS)
    found: dict[str, Any] = {}
    for name in MODIFIERS:
        cls = MODIFIERS[name]
        run = Rank(tree_of(cls), TOTAL, partial(net_of, cls), adam)
        torch.manual_seed(rank)
        hashes = [digest(run.engine.state.masks)]
        while run.clock < TOTAL:
            run.step()
            hashes.append(digest(run.engine.state.masks))
        weights = str(bits(dict(run.model.named_parameters())))
        found[name] = {"hashes": hashes, "journal": str(run.engine.state.journal),
                       "weights": weights}  # fmt: skip
    found["ddp"] = exchanged_under_ddp()
    found["apart"] = torn_apart(rank)
    found["buffers"] = shared_buffers(rank)
    found["gathered"] = ranks_of_one_run.gathered({"rank": rank, "of": [torch.full((rank,), 7)]})
    torch.save(found, Path(folder) / f"{rank}.pt")
    distributed.destroy_process_group()
    os._exit(0)  # gloo's threads may abort a Python that is ending


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each process found, by modifier."""
    folder = tmp_path_factory.mktemp("ranks")
    multiprocessing.spawn(work, (str(folder / "meeting"), str(folder)), RANKS)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(RANKS)]


@pytest.mark.parametrize("name", list(MODIFIERS))
def test_every_process_makes_the_same_masks_at_every_step(
    name: str, ranks: list[dict[str, Any]]
) -> None:
    one, other = (found[name] for found in ranks)
    assert one["hashes"] == other["hashes"]
    assert one["journal"] == other["journal"]
    assert one["weights"] == other["weights"]


def test_weights_that_grow_by_gradients_are_the_same_everywhere(
    ranks: list[dict[str, Any]],
) -> None:
    assert ranks[0]["ddp"] == ranks[1]["ddp"]


def test_other_masks_on_one_process_are_an_error_on_all_that_names_event_and_rank(
    ranks: list[dict[str, Any]],
) -> None:
    assert ranks[0]["apart"] == ranks[1]["apart"]
    message, step = ranks[0]["apart"]
    assert message.startswith(
        "modifiers.cut: after its event 'prune' at step 3 rank 1 has other masks than rank 0. "
    )
    assert step == 3


def test_buffers_are_those_of_the_first_process_once_they_are_shared(
    ranks: list[dict[str, Any]],
) -> None:
    (first, shared), (other, same) = (found["buffers"] for found in ranks)
    assert first != other
    assert shared == same == first


def test_every_process_knows_what_each_of_them_has(ranks: list[dict[str, Any]]) -> None:
    found = [[each["rank"], each["of"][0].tolist()] for each in ranks[0]["gathered"]]
    assert found == [[0, []], [1, [7]]]
    assert str(ranks[0]["gathered"]) == str(ranks[1]["gathered"])


def test_a_process_by_itself_asks_nobody() -> None:
    event = Event(3, "cut", "prune")
    assert ranks_of_one_run.count() == 1
    assert ranks_of_one_run.agreed("abc", event) == "abc"
    assert ranks_of_one_run.gathered({"a": 1}) == [{"a": 1}]
