"""Convolutions as products with blocks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from pruneflow.deploy.kernels import KERNELS, Window
from tests.deploy.kernels.exact import run, whole
from tests.deploy.kernels.test_bsr import tiles

pytest.importorskip("triton")


@given(st.data())
@settings(max_examples=20)
def test_any_tiles_give_the_same_outputs(data: st.DataObject) -> None:
    channels = data.draw(st.sampled_from([1, 3, 15, 16, 33, 64]))
    out, kernel = data.draw(st.integers(1, 40)), data.draw(st.sampled_from([(1, 1), (3, 2)]))
    window = Window(*(data.draw(st.sampled_from([(1, 1), (2, 1), (1, 2)])) for _ in range(3)))
    weight = whole(out, channels, *kernel, seed=0)
    weight[:, channels // 2 :, 0] = 0
    x = whole(2, channels, 7, 6, seed=1)
    if data.draw(st.booleans()):
        x = x.to(memory_format=torch.channels_last)
    packed = KERNELS["bsr_conv"].pack(weight)
    tall, wide = packed.parts[0].shape[1:]
    found = run(packed, x, None, data.draw(tiles((tall, wide))), window)
    settled = (window.stride, window.padding, window.dilation)
    right = F.conv2d(x.float(), weight.float(), None, *settled)
    assert torch.equal(found, right.half())


def test_the_weight_of_one_channel_has_the_usual_strides() -> None:
    """With (2, 1, 1, 1), which are as good, ``F.conv2d`` may end the process."""
    weight = torch.ones(1, 1, 2, 1)
    assert KERNELS["bsr_conv"].unpack(KERNELS["bsr_conv"].pack(weight)).stride() == (2, 2, 1, 1)


def test_a_block_holds_weights_of_one_tap() -> None:
    weight = torch.zeros(32, 64, 3, 3)
    weight[:, :32, 1, 2] = weight[:, 32:, 2, 0] = 1
    values, taps, _ = KERNELS["bsr_conv"].pack(weight).parts
    assert values.shape == (2, 32, 32)
    assert taps.tolist() == [1 << 24 | 2 << 16 | 0, 2 << 24 | 0 << 16 | 1]


def test_few_channels_are_not_filled_up() -> None:
    weight = torch.ones(64, 3, 7, 7)
    assert KERNELS["bsr_conv"].pack(weight).parts[0].numel() < 1.2 * weight.numel()


@pytest.mark.parametrize("sides", [(128, 1), (1, 128)])
def test_a_kernel_too_large_for_a_tap_is_refused(sides: tuple[int, int]) -> None:
    kernel = KERNELS["bsr_conv"]
    assert kernel.refuses(torch.zeros(1, 1, *sides)) == "a kernel of more than 127 rows or columns"
    assert kernel.refuses(torch.zeros(1, 1, 127, 127)) is None


def test_the_largest_kernel_reaches_its_last_input() -> None:
    weight, x = torch.zeros(1, 16, 127, 127), torch.zeros(1, 16, 127, 127)
    weight[0, 15, 126, 126], x[0, 15, 126, 126] = 2, 3
    kernel = KERNELS["bsr_conv"]
    packed = kernel.pack(weight)
    assert run(packed, x, None, kernel.configs(packed, 1)[0]).tolist() == [[[[6.0]]]]
