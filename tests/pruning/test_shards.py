"""Rows that processes share out, seen from each of them; torch's fake group stands for the others.

What processes that are there tell each other is in ``tests/contract/test_shards.py``.
"""

from __future__ import annotations

from collections import namedtuple

import pytest
import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard

from pruneflow.pruning import shards
from pruneflow.pruning.masks import chunks
from pruneflow.pruning.scoring import streams
from pruneflow.pruning.threshold import CHUNK
from tests.pruning.seats import seat, share

Pair = namedtuple("Pair", ["first", "second"])
SHAPES = [(7, 2), (8, 3, 2), (2, 5), (1, 1)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1, 3, 4])
def test_what_each_process_holds_adds_up_to_the_weight(shape: tuple[int, ...], size: int) -> None:
    weight = torch.arange(1.0, 1 + torch.Size(shape).numel()).reshape(shape)
    parts = []
    for rank in range(size):
        with seat(rank, size) as mesh:
            shared = share(weight, mesh)
            ranks = shards.ranks_of({"w": shared})
            assert (ranks.rank, ranks.size, ranks.device) == (rank, size, "cpu")
            assert shards.is_sharded(shared)
            assert not shards.local(shared.requires_grad_()).requires_grad
            before = sum(map(len, parts))
            assert shards.first_row(shared) == before
            assert shards.offset(shared) == sum(part.numel() for part in parts)
            parts.append(shards.local(shared))
            again = shards.like(parts[-1] * 2, shared)
            assert (again.shape, again.stride()) == (weight.shape, weight.stride())
            assert torch.equal(shards.local(again), parts[-1] * 2)
            for tensor in (weight, shared):
                fitted = shards.fitted(tensor, shared)
                assert torch.equal(shards.local(fitted), parts[-1])
                assert fitted.placements == (Shard(0),)
            assert ranks.total(3) == 3  # a fake group adds nothing
    assert torch.equal(torch.cat(parts), weight)


def test_a_tensor_that_is_not_shared_out_is_itself() -> None:
    weight = torch.ones(3, 2)
    assert shards.offset(weight) == 0
    assert shards.like(weight, weight) is weight
    assert torch.equal(shards.fitted(weight, weight), weight)
    assert shards.ranks_of({"w": weight}) is shards.ALONE
    assert shards.whole({"a": [weight], "b": 1}) == {"a": [weight], "b": 1}
    counts = torch.tensor([4])
    assert shards.ALONE.sum(counts) is counts
    assert shards.ALONE.total(4) == 4


@pytest.mark.parametrize("rank", [0, 1])
def test_the_first_process_alone_puts_containers_together_again(rank: int) -> None:
    with seat(rank, 2) as mesh:
        shared = share(torch.ones(4, 3), mesh)
        tree = shards.whole({"a": [shared, 1], "b": (shared, "x"), "c": Pair(shared, shared)})
    shape = (4, 3) if rank == 0 else (0,)
    assert [each.shape for each in (tree["a"][0], tree["b"][0], *tree["c"])] == [shape] * 4
    assert [tree["a"][1:], tree["b"][1:], type(tree["c"])] == [[1], ("x",), Pair]
    assert not any(map(shards.is_sharded, (tree["a"][0], tree["b"][0], *tree["c"])))


@pytest.mark.parametrize("placement", [Replicate(), Shard(1), Partial()])
def test_what_is_not_shared_out_by_rows_is_refused(placement: object) -> None:
    with seat(0, 2) as mesh:
        weight = DTensor.from_local(torch.ones(2, 2), mesh, [placement], run_check=False)
        with pytest.raises(ValueError, match=r"'w' is placed as \(.*fully_shard with a mesh"):
            shards.ranks_of({"w": weight})


def test_whole_and_shared_weights_and_other_processes_do_not_mix() -> None:
    with seat(0, 4) as mesh:
        weight = share(torch.ones(4, 2), mesh)
        with pytest.raises(ValueError, match=r"'b' is whole on every process, and 'a' is shared"):
            shards.ranks_of({"a": weight, "b": torch.ones(2)})
        half = init_device_mesh("cpu", (2, 2), mesh_dim_names=("x", "y"))["y"]
        other = DTensor.from_local(torch.ones(2, 2), half, [Shard(0)], run_check=False)
        with pytest.raises(ValueError, match=r"'b' is shared out among other processes than 'a'"):
            shards.ranks_of({"a": weight, "b": other})


def test_random_scores_of_a_part_are_those_of_the_whole_at_its_place() -> None:
    def random(chunk: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        return torch.rand(chunk.shape, generator=noise)

    def scores(weight: torch.Tensor) -> torch.Tensor:
        found = streams({"w": weight}, {}, random, lambda _: torch.Generator().manual_seed(5))
        return torch.cat(list(found["w"]()))

    weight = torch.zeros(9, CHUNK // 2)
    whole = scores(weight)
    assert len([*chunks(weight)]) > 2
    for rank in range(3):
        with seat(rank, 3) as mesh:
            at = rank * 3 * CHUNK // 2
            part = scores(share(weight, mesh))
            assert torch.equal(part, whole[at : at + len(part)])
