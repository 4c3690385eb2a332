"""Laws of masks: one fingerprint for equal bits, another for any other bit, name or shape."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.pruning.masks import (
    CHUNK,
    count_zeros,
    digest,
    is_finite,
    not_finite,
    zeros_of,
)
from tests.strategies import DTYPES

BITS = st.lists(st.booleans(), min_size=1, max_size=40)


@given(st.dictionaries(st.text("abc.", min_size=1, max_size=5), BITS, min_size=1, max_size=4))
def test_the_digest_does_not_depend_on_order(bits: dict[str, list[bool]]) -> None:
    masks = {name: torch.tensor(part) for name, part in bits.items()}
    assert digest(masks) == digest(dict(reversed(masks.items())))


@given(BITS)
def test_the_digest_does_not_depend_on_dtype_or_layout(bits: list[bool]) -> None:
    mask = torch.tensor(bits)
    reference = digest({"w": mask})
    assert all(digest({"w": mask.to(dtype)}) == reference for dtype in DTYPES)
    spread = torch.stack([mask, ~mask], dim=1)[:, 0]
    assert not spread.is_contiguous() or len(bits) == 1
    assert digest({"w": spread}) == reference


@given(BITS, st.data())
def test_one_bit_changes_the_digest(bits: list[bool], data: st.DataObject) -> None:
    mask = torch.tensor(bits)
    other = mask.clone()
    other[data.draw(st.integers(0, len(bits) - 1))] ^= True
    assert digest({"w": mask}) != digest({"w": other})


def test_name_and_shape_belong_to_the_digest() -> None:
    mask = torch.ones(6)
    different = [{"w": mask}, {"v": mask}, {"w": mask.view(2, 3)}, {"w": mask.view(3, 2)}]
    different += [{"w": mask, "v": mask}, {}]
    assert len({digest(masks) for masks in different}) == len(different)


def test_padding_is_not_mistaken_for_zeros() -> None:
    assert digest({"w": torch.ones(5)}) != digest({"w": torch.tensor([1.0] * 5 + [0] * 3)})


@given(BITS, st.sampled_from(DTYPES))
def test_zeros_are_counted(bits: list[bool], dtype: torch.dtype) -> None:
    mask = torch.tensor(bits).to(dtype)
    assert count_zeros(mask) == bits.count(False)
    assert zeros_of({"v": mask, "w": 1 - mask}) == {"v": bits.count(False), "w": bits.count(True)}
    assert zeros_of({}) == {}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("place", [0, 5])
def test_one_bad_number_is_not_finite(dtype: torch.dtype, bad: str, place: int) -> None:
    tensor = torch.zeros(2, 3, dtype=dtype)
    assert is_finite(tensor)
    tensor.view(-1)[place] = float(bad)
    assert not is_finite(tensor)


@pytest.mark.parametrize("place", [0, CHUNK, 2 * CHUNK])
def test_one_bad_number_in_one_chunk_is_enough(place: int) -> None:
    tensor = torch.zeros(2 * CHUNK + 1)
    tensor[place] = torch.nan
    assert not_finite({"good": torch.zeros(3), "bad": tensor}) == ["bad"]


def test_the_digest_is_the_one_that_journals_have_always_held() -> None:
    masks = {"b": torch.tensor([[1.0, 0.0], [0.0, 1.0]]), "a": torch.ones(70)}
    assert digest(masks) == "2e7010dfa61997e6"
