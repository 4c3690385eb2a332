"""What is refused when packing and unpacking, and how widths round."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.deploy.bundles.damage import Damage
from pruneflow.deploy.bundles.packing import pack, unpack
from pruneflow.deploy.bundles.values import CODECS
from pruneflow.errors import DeployError
from tests.deploy.formats.drawing import bits, pruned

codecs = pytest.mark.parametrize("values", list(CODECS))


@codecs
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_weights_have_to_be_finite_where_they_are_kept(values: str, bad: float) -> None:
    weight = torch.tensor([1.0, bad, 2.0])
    with pytest.raises(DeployError, match=r"^fc1\.weight: 1 of its weights are NaN or infinite"):
        pack("fc1.weight", weight, None, "dense", values)
    for layout in ("dense", "bitmask"):
        pruned_away = pack("fc1.weight", weight, torch.tensor([1, 0, 1]), layout, values)
        assert unpack(pruned_away)[1] == 0


@pytest.mark.parametrize(
    ("values", "large", "why"),
    [
        ("fp16", 65520.0, r"2 of its weights exceed 65504, the largest number of float16; choose"),
        ("bf16", 3.4e38, r"2 of its weights exceed 3.38953e\+38, the largest number of bfloat16"),
        ("int8", torch.finfo(torch.float32).max, "too close to the end of float32 for int8"),
    ],
)
def test_a_width_that_is_too_narrow_is_told(values: str, large: float, why: str) -> None:
    with pytest.raises(DeployError, match=rf"^fc: .*{why}"):
        pack("fc", torch.tensor([[large, -large, 1.0]]), None, "dense", values)


def test_double_precision_is_rounded_to_single_and_refused_beyond() -> None:
    packed = pack("fc", torch.tensor([0.1, 0.0], dtype=torch.float64), None, "bitmask", "fp32")
    assert packed.entry.dtype == "float64"
    assert bits(unpack(packed)) == bits(torch.tensor([0.1, 0.0]))
    with pytest.raises(DeployError, match="infinite as float32"):
        pack("fc", torch.tensor([1e39], dtype=torch.float64), None, "dense", "fp32")


def test_only_weights_are_packed() -> None:
    for dtype in (torch.int64, torch.bool, torch.complex64):
        with pytest.raises(DeployError, match=r"^steps: only real floating-point weights"):
            pack("steps", torch.ones(3).to(dtype), None, "dense", "fp32")


def test_the_mask_has_the_weights_shape() -> None:
    with pytest.raises(DeployError, match=r"^fc: the mask is of shape \[3, 2\], not \[2, 3\]"):
        pack("fc", torch.ones(2, 3), torch.ones(3, 2), "dense", "fp32")


@pytest.mark.parametrize("layout", ["dense", "gaps8", "n:m", "bsr"])
def test_small_numbers_become_zeros_without_a_sign(layout: str) -> None:
    weight = torch.tensor([[-1e-30, -0.0, 1.0, 0.0, -1e-30]])
    mask = torch.tensor([[True, False, True, False, False]])
    for values in ("fp16", "int8"):
        assert bits(unpack(pack("fc", weight, mask, layout, values))) == bits(
            torch.tensor([[0.0, 0.0, 1.0, 0.0, 0.0]])
        )


def test_the_scale_of_a_row_of_zeros_is_zero() -> None:
    packed = pack("fc", torch.tensor([[0.0, 0.0], [254.0, -2.0]]), None, "dense", "int8")
    assert packed.parts["scale"].tolist() == [0.0, 2.0]
    assert packed.parts["values"].tolist() == [0, 0, 127, -1]
    assert packed.sizes == {"values": 4, "scales": 8, "index": 0}


@codecs
@given(data=st.data())
def test_packing_what_was_unpacked_changes_nothing(values: str, data: st.DataObject) -> None:
    weight, mask = data.draw(pruned())
    once = unpack(pack("fc", weight.clamp(-6e4, 6e4), mask, "bitmask", values))
    again = unpack(pack("fc", once, mask, "bitmask", values))
    if values == "int8":  # the scale is rounded once more
        assert torch.allclose(again, once, rtol=1e-6, atol=0)
    else:
        assert bits(again) == bits(once)


def test_unpacking_believes_nothing() -> None:
    packed = pack("fc", torch.tensor([[1.0, 0.0], [0.0, 2.0]]), None, "rice", "int8")
    assert unpack(packed).tolist() == [[1.0, 0.0], [0.0, 2.0]]
    parts, entry = packed.parts, packed.entry
    scale = parts["scale"]
    contradictions = [
        ({k: v for k, v in parts.items() if k != "scale"}, "it has the parts"),
        (parts | {"mask": scale}, "it has the parts"),
        (parts | {"values": parts["values"].float()}, "values is no list of torch.int8"),
        (parts | {"values": parts["values"][None]}, "values is no list of torch.int8"),
        (parts | {"scale": scale[:1]}, "there are 1 scales for 2 rows"),
        (parts | {"scale": scale * torch.inf}, "a scale is not finite"),
        (parts | {"scale": scale * -1}, "a scale is negative"),
        (parts | {"scale": scale * 0 + 3e38}, "a value is not finite"),
        (parts | {"values": parts["values"] * 0 - 128}, "a value is -128"),
    ]
    for changed, message in contradictions:
        with pytest.raises(Damage, match=message):
            unpack(replace(packed, parts=changed))
    for options in ({}, {"k": 0, "n": 1}):
        with pytest.raises(Damage, match="its options are not"):
            unpack(replace(packed, entry=replace(entry, options=options)))
    single = pack("fc", torch.ones(2), None, "dense", "fp32")
    with pytest.raises(Damage, match="a value is not finite"):
        unpack(replace(single, parts={"values": torch.tensor([1.0, torch.nan])}))
