"""The contract of every modifier among several processes: each makes the same masks.

Two processes train one network on halves of the data; gradients are averaged over gloo, and each
process draws other random numbers of its own.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, multiprocessing, nn
from torch.optim import Optimizer

from pruneflow import prune
from pruneflow.modifiers import MODIFIERS
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
    torch.save(found, Path(folder) / f"{rank}.pt")
    distributed.destroy_process_group()


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
