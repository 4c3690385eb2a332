"""Pack a pruned weight into an index and values, and unpack it again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch

from pruneflow.deploy.bundles.damage import expect
from pruneflow.deploy.bundles.values import CODECS, SCALE, VALUES
from pruneflow.deploy.formats import FORMATS, Format
from pruneflow.deploy.formats.base import Options, Shape, sides
from pruneflow.errors import DeployError


@dataclass(frozen=True)
class Entry:
    """How one packed weight is written.

    Attributes:
        format: The name of its layout.
        values: The name of its codec.
        shape: Its own shape.
        dtype: What it was made from, e.g. ``float32``; it unpacks to float32 all the same.
        options: The layout's.
    """

    format: str
    values: str
    shape: Shape
    dtype: str
    options: Options = field(default_factory=dict)


@dataclass(frozen=True)
class Packed:
    """A packed weight: how it is written, and the tensors that hold it."""

    entry: Entry
    parts: dict[str, torch.Tensor]

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of the ``values``, of the ``scales`` and of the ``index``."""
        total = sum(part.nbytes for part in self.parts.values())
        values = self.parts[VALUES].nbytes
        scales = self.parts[SCALE].nbytes if SCALE in CODECS[self.entry.values].parts else 0
        return {"values": values, "scales": scales, "index": total - values - scales}


def pack(
    name: str,
    weight: torch.Tensor,
    mask: torch.Tensor | None,
    layout: str | Format,
    values: str,
) -> Packed:
    """Pack ``weight * mask``.

    Args:
        name: What to call the weight in messages.
        weight: Floating-point numbers of any shape.
        mask: Of the same shape, other than zero where a weight is kept; None keeps every weight
            that is not zero.
        layout: A name of ``FORMATS``, or a format with settings of its own: ``NM(1, 4)``.
        values: A name of ``CODECS``.

    Raises:
        DeployError: It holds numbers that cannot be packed, or the layout refuses the mask.
        KeyError: There is no such layout or codec.
    """
    if not weight.is_floating_point():
        raise DeployError(
            f"{name}: only real floating-point weights are packed, not {weight.dtype}"
        )
    keep = (weight if mask is None else mask).detach().ne(0).cpu()
    if keep.shape != weight.shape:
        raise DeployError(
            f"{name}: the mask is of shape {list(keep.shape)}, not {list(weight.shape)}"
        )
    form = FORMATS[layout] if isinstance(layout, str) else layout
    if why := form.refuses(keep):
        raise DeployError(f"{name}: the layout {form.name} cannot hold it: {why}")
    index = form.encode(keep)
    flat = weight.detach().cpu().float().reshape(-1)
    bad = int((~torch.isfinite(flat) & keep.reshape(-1)).sum())
    if bad:
        raise DeployError(f"{name}: {bad} of its weights are NaN or infinite as float32")
    shape = tuple(weight.shape)
    height, width = sides(shape)
    numbers = flat.where(keep.reshape(-1), 0)[index.places]
    try:
        coded = CODECS[values].encode(numbers, index.places // max(width, 1), height)
    except DeployError as error:
        raise DeployError(f"{name}: {error}") from None
    dtype = str(weight.dtype).removeprefix("torch.")
    return Packed(Entry(form.name, values, shape, dtype, index.options), index.parts | coded)


def unpack(packed: Packed) -> torch.Tensor:
    """The weight, float32, with +0.0 wherever it was pruned.

    Raises:
        Damage: Its parts contradict each other.
        KeyError: Its layout or codec is not known here.
    """
    entry, parts = packed.entry, packed.parts
    form, codec = FORMATS[entry.format], CODECS[entry.values]
    types = {**form.parts, **codec.parts}
    expect(parts.keys() == types.keys(), f"it has the parts {sorted(parts)}, not {sorted(types)}")
    for part, dtype in types.items():
        expect(
            parts[part].dtype is dtype and parts[part].dim() == 1, f"{part} is no list of {dtype}"
        )
    expect(entry.options.keys() == set(form.options), f"its options are not {list(form.options)}")
    height, width = sides(entry.shape)
    index = {part: parts[part] for part in form.parts}
    places = form.decode(index, entry.options, entry.shape, len(parts[VALUES]))
    numbers = codec.decode(parts, places // max(width, 1), height)
    flat = torch.zeros(height * width)
    flat[places] = numbers
    return flat.reshape(entry.shape)


def size(mask: torch.Tensor, layout: str | Format, value_bits: int) -> int:
    """Bytes of index and values of a mask that the layout does not refuse; without scales."""
    form = FORMATS[layout] if isinstance(layout, str) else layout
    index = form.encode(mask.ne(0).cpu())
    return index.bytes + -(-len(index.places) * value_bits // 8)


def smallest(mask: torch.Tensor, value_bits: int, among: Iterable[str] = FORMATS) -> str:
    """The layout with the fewest bytes of index and values; the first among equals.

    Args:
        mask: Other than zero where a weight is kept.
        value_bits: The width of a value.
        among: Layouts to choose from, one of which has to hold every mask.
    """
    keep = mask.ne(0).cpu()
    able = [name for name in among if FORMATS[name].refuses(keep) is None]
    return min(able, key=lambda name: size(keep, name, value_bits))
