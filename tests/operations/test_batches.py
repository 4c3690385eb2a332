"""Batches: every tensor is changed, and nothing else."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, namedtuple
from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from pruneflow.operations.batches import copied, mapped

Pair = namedtuple("Pair", ["x", "y"])


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda x: x,
        lambda x: [x, "text", 3],
        lambda x: (x, None),
        lambda x: Pair([x], 0.5),
        lambda x: {"x": (x,), "name": "text"},
        lambda x: OrderedDict(b=x, a={"y": [x]}),
        lambda x: defaultdict(list, x=[x, x]),
        lambda x: torch.max(x, 1),
        lambda x: pack_sequence([x, x[:1]]),
    ],
)
def test_every_tensor_is_changed_and_containers_keep_their_types(wrapped: Any) -> None:
    batch = wrapped(torch.ones(2, 3))
    before, after = leaves(batch), leaves(mapped(torch.neg, batch))
    assert [type(leaf) for leaf in after] == [type(leaf) for leaf in before]
    for old, new in zip(before, after, strict=True):
        if isinstance(old, torch.Tensor):
            assert new.tolist() == (-old).tolist()
        else:
            assert isinstance(old, list | tuple | dict) or new == old


def test_a_copy_is_written_into_alone() -> None:
    weight = torch.ones(2, requires_grad=True)
    batch = OrderedDict(x=[weight])
    copy = copied(batch)
    copy["x"][0].zero_()
    assert batch["x"][0].tolist() == [1, 1]
    assert not copy["x"][0].requires_grad


def leaves(batch: Any) -> list[Any]:
    """A batch's containers and what is in them, depth first."""
    if isinstance(batch, dict):
        return [batch, *batch, *(leaf for part in batch.values() for leaf in leaves(part))]
    if isinstance(batch, list | tuple):
        return [batch, *(leaf for part in batch for leaf in leaves(part))]
    return [batch]
