"""The state of a run: what is copied is copied deep."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from pruneflow.state import detached_copy


class Pair(NamedTuple):
    left: Any
    right: Any


def test_a_copy_has_the_containers_of_the_original_and_none_of_its_tensors() -> None:
    tensors = [torch.ones(2, requires_grad=True) for _ in range(4)]
    value = {"a": [tensors[0], (tensors[1], 3)], "b": Pair(tensors[2], Pair("x", tensors[3]))}
    copy = detached_copy(value)
    with torch.no_grad():
        for tensor in tensors:
            tensor.zero_()
    assert type(copy["a"][1]) is tuple
    assert isinstance(copy["b"], Pair)
    assert isinstance(copy["b"].right, Pair)
    assert (copy["a"][1][1], copy["b"].right.left) == (3, "x")
    for part in (copy["a"][0], copy["a"][1][0], copy["b"].left, copy["b"].right.right):
        assert part.tolist() == [1, 1]
        assert not part.requires_grad
