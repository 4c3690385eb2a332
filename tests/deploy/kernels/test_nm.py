"""``nm``: which N:M it finds, what that takes, and which weights it refuses."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.deploy.kernels import KERNELS
from pruneflow.deploy.kernels.nm import MOST, WIDTHS
from tests.deploy.kernels.exact import run, whole

pytest.importorskip("triton")

PATTERNS = [(kept, group) for group in WIDTHS for kept in (1, 2, 3, 4, 8) if kept <= group // 2]


def pruned(kept: int, group: int, rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    """Exactly so many of each group, of those that are whole."""
    generator = torch.Generator().manual_seed(seed)
    groups = -(-columns // group)
    order = torch.rand(rows, groups, group, generator=generator).argsort(-1).argsort(-1)
    values = torch.randint(1, 4, (rows, groups * group), generator=generator).float()
    return (values * (order < kept).view(rows, -1))[:, :columns].contiguous()


def bytes_of(kept: int, group: int, itemsize: int) -> float:
    """For each weight of a row that is whole blocks."""
    return kept / group * (itemsize + WIDTHS[group] / 8)


@given(pattern=st.sampled_from(PATTERNS), seed=st.integers(0, 2**31))
def test_it_finds_the_smallest_pattern_that_holds_the_weight(
    pattern: tuple[int, int], seed: int
) -> None:
    weight = pruned(*pattern, 5, 256, seed).bfloat16()
    kept, group = KERNELS["nm"].pack(weight).numbers
    most = {g: int((weight.view(5, -1, g) != 0).sum(-1).max()) for g in WIDTHS}
    assert most[group] == kept <= MOST
    assert bytes_of(kept, group, 2) == min(bytes_of(n, g, 2) for g, n in most.items() if n <= MOST)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_two_of_four_take_nine_sixteenths_of_the_dense_bytes(dtype: torch.dtype) -> None:
    weight = pruned(2, 4, 8, 1024).to(dtype)
    packed = KERNELS["nm"].pack(weight)
    assert packed.numbers == (2, 4)
    assert packed.bytes * 16 == weight.nbytes * 9


def test_it_refuses_a_weight_that_it_would_not_make_smaller() -> None:
    weight = pruned(3, 4, 4, 64).half()
    assert KERNELS["nm"].refuses(weight) is None
    weight[0, :4] = 1
    weight[:, 32:] = 0
    reason = KERNELS["nm"].refuses(weight)
    assert reason is not None
    assert str(MOST) in reason


@pytest.mark.parametrize(("kept", "group"), [(2, 4), (3, 8), (1, 16), (4, 32)])
@pytest.mark.parametrize("is_whole", [True, False])
@pytest.mark.parametrize("batch", [1, 4, 20])
def test_every_configuration_is_right(kept: int, group: int, is_whole: bool, batch: int) -> None:
    columns = 256 * group if is_whole else 500
    weight = pruned(kept, group, 4, columns)
    x = whole(batch, columns, seed=0).clamp(-1, 1)
    packed = KERNELS["nm"].pack(weight.half())
    for config in KERNELS["nm"].configs(packed, batch):
        assert torch.equal(run(packed, x, None, config), (x.float() @ weight.T).half())
