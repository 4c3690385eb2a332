"""What each layout writes, by example; masks they refuse; layouts of other packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.deploy.bundles.damage import Damage
from pruneflow.deploy.bundles.packing import pack, unpack
from pruneflow.deploy.formats import FORMATS
from pruneflow.deploy.formats.base import Option
from pruneflow.deploy.formats.bsr import Bsr
from pruneflow.deploy.formats.nm import NM
from pruneflow.errors import DeployError
from tests.deploy.formats.drawing import bits, pruned

Pruned = tuple[torch.Tensor, torch.Tensor]


def kept(shape: tuple[int, ...], *places: int) -> torch.Tensor:
    mask = torch.zeros(shape, dtype=torch.bool)
    mask.reshape(-1)[list(places)] = True
    return mask


def written(layout: str, mask: torch.Tensor) -> tuple[dict[str, list[int]], dict[str, Option]]:
    index = FORMATS[layout].encode(mask)
    return {name: part.tolist() for name, part in index.parts.items()}, index.options


@given(pruned())
def test_the_bitmask_is_numpys_packbits(drawn: Pruned) -> None:
    mask = drawn[1]
    assert written("bitmask", mask)[0]["mask"] == np.packbits(mask.numpy()).tolist()


def test_a_gap_of_255_fits_into_a_byte_and_256_needs_a_filler() -> None:
    index = FORMATS["gaps8"].encode(kept((3000,), 0, 1, 257, 514, 1283))
    assert index.parts["gaps"].tolist() == [0, 0, 255, 255, 0, 255, 255, 255, 0]
    assert index.places.tolist() == [0, 1, 257, 513, 514, 770, 1026, 1282, 1283]


def test_rice_is_written_as_in_the_specification() -> None:
    # gaps 5, 1, 14 with k = 2: quotients 1, 0, 3 and remainders 1, 1, 2
    parts, options = written("rice", kept((30,), 5, 7, 22))
    assert options == {"k": 2}
    assert parts == {"quotients": [0b01_1_0001_0], "remainders": [0b01_01_10_00]}


@given(pruned())
def test_rice_takes_the_shortest_code(drawn: Pruned) -> None:
    mask = drawn[1]
    places = mask.reshape(-1).nonzero().reshape(-1)
    gaps = (torch.diff(places, prepend=torch.tensor([-1])) - 1).tolist()
    lengths = [sum((gap >> k) + 1 + k for gap in gaps) for k in range(32)]
    assert written("rice", mask)[1] == {"k": lengths.index(min(lengths))}


def test_csr16_is_scipys_csr() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    mask = torch.rand(13, 5, 7) < 0.2
    theirs = sparse.csr_matrix(mask.reshape(13, 35).numpy())
    parts, _ = written("csr16", mask)
    assert parts == {"columns": theirs.indices.tolist(), "offsets": theirs.indptr.tolist()}


def test_csr16_counts_to_65536() -> None:
    assert FORMATS["csr16"].refuses(torch.ones(1, 65536, dtype=torch.bool)) is None
    assert written("csr16", kept((1, 65536), 65535))[0]["columns"] == [65535]
    wide = torch.ones(1, 65537)
    with pytest.raises(DeployError, match="has 65537 columns, more than 65536"):
        pack("fc", wide, None, "csr16", "fp32")


def test_bsr_is_scipys_bsr_where_blocks_fit() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    weight = torch.randn(6, 8) * (torch.rand(3, 2) < 0.5).repeat_interleave(2, 0).repeat_interleave(
        4, 1
    )
    theirs = sparse.csr_matrix(weight.numpy()).tobsr((2, 4))
    packed = pack("fc", weight, None, Bsr((2, 4)), "fp32")
    assert packed.parts["blocks"].tolist() == theirs.indices.tolist()
    assert packed.parts["offsets"].tolist() == theirs.indptr.tolist()
    assert packed.parts["values"].tolist() == theirs.data.reshape(-1).tolist()


def test_blocks_at_the_edges_are_cut() -> None:
    index = Bsr((2, 2)).encode(kept((3, 3), 2, 6))
    assert index.parts["blocks"].tolist() == [1, 0]
    assert index.parts["offsets"].tolist() == [0, 1, 2]
    assert index.places.tolist() == [2, 5, 6, 7]


def test_groups_are_filled_with_their_first_pruned_weights() -> None:
    # groups of (4, 2) columns; the second row keeps nothing
    index = NM(2, 4).encode(kept((2, 6), 1, 3, 5))
    assert index.places.tolist() == [1, 3, 4, 5, 6, 7, 10, 11]
    assert index.parts["positions"].tolist() == [0b01_11_00_01, 0b00_01_00_01]


def test_a_crowded_group_is_refused() -> None:
    with pytest.raises(DeployError, match="2 groups of 4 keep more than 2 weights"):
        pack("fc", torch.ones(1, 11), kept((1, 11), 0, 1, 2, 8, 9, 10), "n:m", "fp32")


@given(pruned(), st.integers(1, 300), st.integers(1, 300))
def test_blocks_of_any_size_hold_any_mask(drawn: Pruned, tall: int, wide: int) -> None:
    weight, mask = drawn
    packed = pack("fc", weight, mask, Bsr((tall, wide)), "fp32")
    assert bits(unpack(packed)) == bits(weight.where(mask, 0.0) + 0.0)


@given(pruned(), st.integers(1, 20), st.integers(0, 20))
def test_groups_of_any_size_hold_what_they_do_not_refuse(drawn: Pruned, n: int, more: int) -> None:
    weight, mask = drawn
    form = NM(n, n + more)
    if form.refuses(mask) is None:
        packed = pack("fc", weight, mask, form, "fp32")
        assert bits(unpack(packed)) == bits(weight.where(mask, 0.0) + 0.0)


@pytest.mark.parametrize(("n", "m"), [(0, 4), (5, 4), (2, 257)])
def test_a_pattern_that_is_none_is_refused(n: int, m: int) -> None:
    with pytest.raises(ValueError, match=f"{n}:{m} is no pattern"):
        NM(n, m)
    assert NM(2, 256).m == 256


@pytest.mark.parametrize("block", [(0, 1), (1, 65537)])
def test_a_block_that_is_none_is_refused(block: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="a block has sides"):
        Bsr(block)


def test_the_largest_block_is_one() -> None:
    form = Bsr((65536, 65536))
    index = form.encode(torch.ones(2, 2, dtype=torch.bool))
    options = {"block": [65536, 65536]}
    assert form.decode(index.parts, options, (2, 2), 4).tolist() == [0, 1, 2, 3]


REFUSED = [
    ("dense", {}, {}, 3, "the number of weights is 4, but there are 3 values"),
    ("bitmask", {"mask": [0b11000000]}, {}, 3, "popcount of the mask is 2, but there are 3 values"),
    ("bitmask", {"mask": [0b11001000]}, {}, 3, "unused bits after the bits of the mask are not"),
    ("bitmask", {"mask": [0, 0]}, {}, 0, "the bits of the mask take 1 bytes, but there are 2"),
    ("gaps8", {"gaps": [0, 0]}, {}, 3, "the number of gaps is 2, but there are 3 values"),
    ("gaps8", {"gaps": [0, 3]}, {}, 2, "the gaps lead to weight 5 of 4"),
    ("rice", {"quotients": [128], "remainders": []}, {"k": 0}, 2, "quotients is 1, but"),
    ("rice", {"quotients": [128, 0], "remainders": []}, {"k": 0}, 1, "go on after the last one"),
    ("rice", {"quotients": [4], "remainders": []}, {"k": 0}, 1, "gap is longer than 4 weights"),
    ("rice", {"quotients": [16], "remainders": [0]}, {"k": 1}, 1, "gap is longer than 4 weights"),
    ("rice", {"quotients": [24], "remainders": []}, {"k": 0}, 2, "the gaps lead to weight 5 of 4"),
    ("rice", {"quotients": [128], "remainders": []}, {"k": 1}, 1, "the remainders take 1 bytes"),
    ("rice", {"quotients": [128], "remainders": [64]}, {"k": 1}, 1, "bits after the remainders"),
    ("rice", {"quotients": [128], "remainders": []}, {"k": 32}, 1, "k is 32, no number from 0 to"),
    ("rice", {"quotients": [128], "remainders": []}, {"k": [1]}, 1, "the option k is .1., no num"),
    ("csr16", {"columns": [0, 1], "offsets": [0, 2]}, {}, 2, "there are 2 offsets, not 3"),
    ("csr16", {"columns": [0, 1], "offsets": [1, 2, 2]}, {}, 2, "do not begin with 0"),
    ("csr16", {"columns": [0, 1], "offsets": [0, 3, 2]}, {}, 2, "the offsets fall"),
    ("csr16", {"columns": [0, 1], "offsets": [0, 1, 1]}, {}, 2, "end with 1, not with 2"),
    ("csr16", {"columns": [0], "offsets": [0, 2, 2]}, {}, 2, "there are 1 columns for 2 values"),
    ("csr16", {"columns": [0, 2], "offsets": [0, 2, 2]}, {}, 2, "a column is not below 2"),
    ("csr16", {"columns": [1, 1], "offsets": [0, 2, 2]}, {}, 2, "columns of a row do not rise"),
    ("bsr", {"blocks": [1], "offsets": [0, 1]}, {"block": [2, 2]}, 4, "column is not below 1"),
    ("bsr", {"blocks": [0], "offsets": [0, 1]}, {"block": [2, 2]}, 3, "in the blocks is 4, but"),
    ("bsr", {"blocks": [1, 0], "offsets": [0, 2]}, {"block": [2, 1]}, 4, "blocks of a row do not"),
    ("bsr", {"blocks": [0], "offsets": [0, 1]}, {"block": [0, 2]}, 4, "a block cannot be .0, 2."),
    ("bsr", {"blocks": [0], "offsets": [0, 1]}, {"block": [2, 0]}, 4, "a block cannot be .2, 0."),
    ("bsr", {"blocks": [0], "offsets": [0, 1]}, {"block": 2}, 4, "block is not two numbers"),
    ("n:m", {"positions": [16]}, {"n": 1, "m": 2}, 3, "stored for 1:2 is 2, but there are 3"),
    ("n:m", {"positions": [0]}, {"n": 2, "m": 2}, 4, "the positions of a group do not rise"),
    ("n:m", {"positions": [0xA0]}, {"n": 1, "m": 3}, 2, "a position is beyond the end of its row"),
    ("n:m", {"positions": [0xF0]}, {"n": 1, "m": 3}, 2, "a position is not below 3"),
    ("n:m", {"positions": [0]}, {"n": 3, "m": 2}, 4, "the option n is 3, no number from 1 to 2"),
]  # fmt: skip


@pytest.mark.parametrize(("layout", "parts", "options", "stored", "message"), REFUSED)
def test_contradictions_are_told(
    layout: str,
    parts: dict[str, list[int]],
    options: dict[str, Option],
    stored: int,
    message: str,
) -> None:
    dtypes = FORMATS[layout].parts
    tensors = {name: torch.tensor(part).to(dtypes[name]) for name, part in parts.items()}
    with pytest.raises(Damage, match=message):
        FORMATS[layout].decode(tensors, options, (2, 2), stored)


PLUGIN = '''
import torch
from pruneflow.deploy.formats.base import Format, Index, register

@register
class Half(Format):
    """The first half of the weights."""
    name = "half"
    def encode(self, mask):
        return Index({}, {}, torch.arange(mask.numel() // 2))
    def decode(self, parts, options, shape, stored):
        return torch.arange(stored)
'''
PROGRAM = """
import torch
from pruneflow.deploy.bundles.packing import pack, unpack
packed = pack("fc", torch.tensor([1.0, 2.0, 0.0, 0.0]), None, "half", "fp32")
print(packed.entry.format, unpack(packed).tolist())
"""


def test_an_installed_package_adds_a_layout(tmp_path: Path) -> None:
    (tmp_path / "half_layout.py").write_text(PLUGIN)
    info = tmp_path / "half_layout-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: half-layout\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[pruneflow.formats]\nhalf = half_layout\n")
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.append({str(tmp_path)!r}){PROGRAM}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "half [1.0, 2.0, 0.0, 0.0]\n", done.stderr
