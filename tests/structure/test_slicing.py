"""Which indices stay, by hand."""

from __future__ import annotations

import pytest
import torch

from pruneflow.structure import (
    ChannelGroup,
    Part,
    groups_after,
    kept_slices,
    producer_rows,
    slice_tensor,
)

ONE = ChannelGroup(
    "a.weight",
    3,
    (Part("a.weight", 0, 3, ((0,), (1,), (2,))), Part("n.bias", 0, 5, ((0,), (1,), (2,)))),
    (Part("c.weight", 1, 10, ((0, 1), (2, 3), (4, 5))),),
    (Part("n.running_mean", 0, 5, ((0,), (1,), (2,))),),
)
TWO = ChannelGroup(
    "b.weight",
    2,
    (Part("b.weight", 0, 4, ((0, 2), (1, 3))), Part("n.bias", 0, 5, ((3,), (4,)))),
    (Part("c.weight", 1, 10, ((6, 7), (8, 9))),),
)


def test_each_tensor_loses_what_all_groups_take() -> None:
    assert kept_slices([ONE, TWO], {"a.weight": [1], "b.weight": [0]}) == {
        "a.weight": {0: (0, 2)},
        "n.bias": {0: (0, 2, 4)},
        "c.weight": {1: (0, 1, 4, 5, 8, 9)},
        "n.running_mean": {0: (0, 2, 3, 4)},
        "b.weight": {0: (1, 3)},
    }


def test_producers_are_zero_where_channels_go() -> None:
    assert producer_rows([ONE, TWO], {"a.weight": [2, 0], "b.weight": [1]}) == {
        "a.weight": (0, 2),
        "n.bias": (0, 2, 4),
        "b.weight": (1, 3),
    }


def test_what_goes_nowhere_is_not_there() -> None:
    assert kept_slices([ONE, TWO], {"a.weight": []}) == {}
    assert producer_rows([ONE, TWO], {}) == {}


def test_groups_that_are_left_count_anew() -> None:
    (one,) = groups_after([ONE, TWO], {"a.weight": [0], "b.weight": [1]})
    assert one == ChannelGroup(
        "a.weight",
        2,
        (Part("a.weight", 0, 2, ((0,), (1,))), Part("n.bias", 0, 3, ((0,), (1,)))),
        (Part("c.weight", 1, 6, ((0, 1), (2, 3))),),
        (Part("n.running_mean", 0, 4, ((0,), (1,))),),
    )


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ({"a.wieght": [0]}, "Did you mean 'a.weight'"),
        ({"b.weight": [2]}, "'b.weight' has 2 channels, and none of number 2"),
        ({"b.weight": [-1]}, "none of number -1"),
        ({"b.weight": [0, 1]}, "all 2 channels of 'b.weight' would go"),
    ],
)
def test_what_cannot_go_is_refused(gone: dict[str, list[int]], message: str) -> None:
    for function in (kept_slices, producer_rows, groups_after):
        with pytest.raises(ValueError, match=message):
            function([ONE, TWO], gone)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool, torch.int64])
def test_a_tensor_without_the_others(dtype: torch.dtype) -> None:
    tensor = torch.arange(24).view(2, 3, 4).to(dtype)
    part = slice_tensor(tensor, {1: (0, 2), 2: (3,)})
    assert torch.equal(part, tensor[:, [0, 2]][:, :, [3]])
    assert part.is_contiguous()
    whole = slice_tensor(tensor, {})
    assert torch.equal(whole, tensor)
    assert whole.data_ptr() != tensor.data_ptr()
