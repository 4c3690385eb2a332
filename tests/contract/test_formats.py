"""The contract of every layout: what is packed comes back, and garbage is told from an index."""

from __future__ import annotations

from math import prod

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.deploy.bundles.damage import Damage
from pruneflow.deploy.bundles.packing import pack, size, smallest, unpack
from pruneflow.deploy.bundles.values import CODECS
from pruneflow.deploy.formats import FORMATS
from pruneflow.deploy.formats.base import Option
from pruneflow.errors import DeployError
from tests.deploy.formats.drawing import bits, masks, product, pruned, shapes

Pruned = tuple[torch.Tensor, torch.Tensor]

formats = pytest.mark.parametrize("layout", list(FORMATS))
widths = pytest.mark.parametrize(
    ("values", "dtype"),
    [("fp32", torch.float32), ("fp16", torch.float16), ("bf16", torch.bfloat16)],
)


def refused(layout: str, weight: torch.Tensor, mask: torch.Tensor) -> bool:
    """Whether a layout says that it cannot hold a mask; if so, it keeps to that."""
    why = FORMATS[layout].refuses(mask)
    if why is not None:
        with pytest.raises(DeployError, match=rf"^fc: the layout {layout} cannot hold it: \S+"):
            pack("fc", weight, mask, layout, "fp32")
    return why is not None


@formats
@widths
@given(st.data())
def test_unpacking_gives_weight_times_mask_bit_for_bit(
    layout: str, values: str, dtype: torch.dtype, data: st.DataObject
) -> None:
    weight, mask = data.draw(pruned(dtype))
    if refused(layout, weight, mask):
        return
    packed = pack("fc", weight, mask, layout, values)
    assert bits(unpack(packed)) == bits(product(weight, mask))
    assert unpack(packed).shape == weight.shape
    assert packed.entry.shape == tuple(weight.shape)
    assert f"torch.{packed.entry.dtype}" == str(dtype)
    assert sum(packed.sizes.values()) == sum(part.nbytes for part in packed.parts.values())


@formats
@given(pruned())
def test_int8_is_off_by_half_a_step_of_its_row(layout: str, drawn: Pruned) -> None:
    weight, mask = drawn
    weight = weight.clamp(-1e38, 1e38)
    if refused(layout, weight, mask):
        return
    packed = pack("fc", weight, mask, layout, "int8")
    made, exact = unpack(packed), product(weight, mask)
    if weight.numel():
        rows = (weight.shape or (1,))[0]
        step = exact.double().abs().reshape(rows, -1).amax(1) / 127
        error = (made.double() - exact.double()).abs().reshape(rows, -1)
        assert bool((error <= step[:, None] * 0.5001 + 2.0**-142).all())
    assert bits(made) == bits(made + 0.0)
    assert bits(unpack(pack("fc", made, mask, layout, "fp32"))) == bits(made)


@formats
@given(pruned())
def test_a_mask_may_be_left_out_or_of_any_dtype_and_stride(layout: str, drawn: Pruned) -> None:
    weight, mask = drawn
    if refused(layout, weight, mask):
        return
    packed = pack("fc", weight, mask, layout, "fp32")
    spread = torch.stack([mask, ~mask], -1)[..., 0]
    for same in (mask.float(), mask.to(torch.int64), spread):
        other = pack("fc", weight, same, layout, "fp32")
        assert other.entry == packed.entry
        assert {k: bits(v) for k, v in other.parts.items()} == {
            k: bits(v) for k, v in packed.parts.items()
        }
    masked = product(weight, mask)
    assert bits(unpack(pack("fc", masked, None, layout, "fp32"))) == bits(masked)


@formats
@given(masks())
def test_every_kept_weight_has_one_place_and_decoding_finds_them(
    layout: str, mask: torch.Tensor
) -> None:
    form = FORMATS[layout]
    if form.refuses(mask) is not None:
        return
    index = form.encode(mask)
    places = index.places
    assert {name: part.dtype for name, part in index.parts.items()} == dict(form.parts)
    assert all(part.dim() == 1 for part in index.parts.values())
    assert index.options.keys() == set(form.options)
    assert places.dtype is torch.int64
    assert len(places.unique()) == len(places)
    found = torch.zeros(mask.numel(), dtype=torch.bool)
    found[places] = True
    assert bool((found | ~mask.reshape(-1)).all())
    decoded = form.decode(index.parts, index.options, tuple(mask.shape), len(places))
    assert torch.equal(decoded, places)


def decoded_or_refused(
    layout: str,
    parts: dict[str, torch.Tensor],
    options: dict[str, Option],
    shape: tuple[int, ...],
    stored: int,
) -> None:
    """Either damage is found, or the places are ones that values can be put to."""
    try:
        places = FORMATS[layout].decode(parts, options, shape, stored)
    except Damage:
        return
    assert places.shape == (stored,)
    assert len(places.unique()) == stored
    assert not stored or (int(places.min()) >= 0 and int(places.max()) < prod(shape))


numbers = st.integers(-1, 20) | st.sampled_from([31, 32, 2**16, 2**31, 2**63, 10**30])


@formats
@given(st.data())
def test_garbage_is_refused_or_decodes_to_places(layout: str, data: st.DataObject) -> None:
    form = FORMATS[layout]
    few = st.integers(0, 6) | st.sampled_from([127, 255])
    parts = {
        name: torch.tensor(data.draw(st.lists(few, max_size=12)), dtype=torch.int64).to(dtype)
        for name, dtype in form.parts.items()
    }
    options = {
        name: data.draw(numbers | st.lists(numbers, max_size=3), label=name)
        for name in form.options
    }
    decoded_or_refused(layout, parts, options, data.draw(shapes()), data.draw(st.integers(0, 12)))


@formats
@given(st.data())
def test_one_change_to_an_index_is_refused_or_decodes_to_places(
    layout: str, data: st.DataObject
) -> None:
    mask, form = data.draw(masks()), FORMATS[layout]
    if form.refuses(mask) is not None:
        return
    index = form.encode(mask)
    parts, shape, stored = dict(index.parts), tuple(mask.shape), len(index.places)
    what = data.draw(st.sampled_from(["shape", "stored", *form.parts]))
    if what == "shape":
        shape = data.draw(shapes())
    elif what == "stored":
        stored = max(0, stored + data.draw(st.integers(-2, 2)))
    else:
        part = parts[what].to(torch.int64)
        at = data.draw(st.integers(0, len(part)))
        change = data.draw(st.sampled_from(["drop", "add", "alter"]))
        new = torch.tensor([data.draw(st.integers(0, 255))])
        middle = part[:0] if change == "drop" else new
        part = torch.cat([part[:at], middle, part[at if change == "add" else at + 1 :]])
        parts[what] = part.to(form.parts[what])
    decoded_or_refused(layout, parts, index.options, shape, stored)


@given(masks(), st.sampled_from([8, 16, 32]))
def test_the_smallest_is_the_smallest_and_the_first_of_equals(
    mask: torch.Tensor, value_bits: int
) -> None:
    able = [name for name in FORMATS if FORMATS[name].refuses(mask) is None]
    sizes = [size(mask, name, value_bits) for name in able]
    assert smallest(mask, value_bits) == able[sizes.index(min(sizes))]


@formats
@given(drawn=pruned())
def test_the_size_is_that_of_what_is_packed(layout: str, drawn: Pruned) -> None:
    weight, mask = drawn
    if not refused(layout, weight, mask):
        sizes = pack("fc", weight, mask, layout, "fp32").sizes
        assert size(mask, layout, 32) == sizes["values"] + sizes["index"]
        assert sizes["scales"] == 0


@formats
def test_its_words_do_not_collide_with_those_of_codecs_and_descriptors(layout: str) -> None:
    form = FORMATS[layout]
    assert form.name == layout
    assert (type(form).__doc__ or "").strip()
    for codec in CODECS:
        assert not set(form.parts) & set(CODECS[codec].parts)
    assert not set(form.options) & {"format", "shape", "dtype", "values"}
