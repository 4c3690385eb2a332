"""Files of weights: read back as they were, by anybody, and refused where they are damaged."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from pruneflow import weights_file

TENSORS = {
    "a.weight": torch.linspace(-1, 1, 12).view(3, 4).t(),
    "a.scale": torch.tensor(2.0, dtype=torch.bfloat16),
    "count": torch.tensor(7),
    "mask": torch.tensor([[1, 0], [0, 1]], dtype=torch.uint8),
    "nothing": torch.zeros(0, 3),
}
FILE = Path("w.safetensors")


def same(found: dict[str, torch.Tensor]) -> bool:
    return found.keys() == TENSORS.keys() and all(
        found[name].dtype == tensor.dtype and torch.equal(found[name], tensor)
        for name, tensor in TENSORS.items()
    )


def test_what_is_written_is_read_by_us_and_by_others() -> None:
    FILE.write_bytes(weights_file.content(TENSORS))
    assert same(weights_file.load(FILE))
    assert same(load_file(FILE))


def test_what_others_have_written_is_read() -> None:
    FILE.write_bytes(save({name: tensor.contiguous() for name, tensor in TENSORS.items()}))
    assert same(weights_file.load(FILE))


@given(st.data())
def test_a_damaged_file_is_refused_or_says_the_same(data: st.DataObject) -> None:
    whole = weights_file.content(TENSORS)
    at = data.draw(st.integers(0, len(whole) - 1))
    bad = bytearray(whole)
    bad[at] ^= 1 << data.draw(st.integers(0, 7))
    FILE.write_bytes(bytes(bad) if data.draw(st.booleans()) else whole[:at])
    with suppress(SafetensorError, ValueError):
        assert same(weights_file.load(FILE))


def test_a_changed_value_is_a_damage() -> None:
    whole = weights_file.content(TENSORS)
    FILE.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ValueError, match="its checksum differs"):
        weights_file.load(FILE)
