"""A bundle: what is written is read, to the byte the same always, by other libraries too."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pruneflow.deploy.bundles import bundle
from pruneflow.deploy.bundles.packing import Packed, pack, unpack
from pruneflow.deploy.bundles.values import CODECS
from pruneflow.deploy.formats import FORMATS
from pruneflow.errors import BundleError, DeployError
from tests.deploy.formats import making, reference
from tests.deploy.formats.drawing import bits, pruned

GOLDEN = Path(__file__).parent / "formats" / "golden.safetensors"


def golden() -> bytes:
    return bundle.encode(making.tensors(), making.GRAPH, making.PREPROCESSING, making.CHOICE)


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Equal to the bit, in shape and in dtype."""
    return (one.shape, one.dtype, bits(one)) == (other.shape, other.dtype, bits(other))


def test_everything_comes_back(tmp_path: Path) -> None:
    path, tensors = tmp_path / "deploy" / bundle.FILE, making.tensors()
    bundle.write(path, tensors, making.GRAPH, making.PREPROCESSING, making.CHOICE)
    made = bundle.read(path)
    assert list(made.tensors) == list(tensors)
    for name, tensor in tensors.items():
        packed = isinstance(tensor, Packed)
        assert same(made.tensors[name], unpack(tensor) if isinstance(tensor, Packed) else tensor)
        assert (name in made.packed) == packed
        if isinstance(tensor, Packed):
            assert made.packed[name].entry == tensor.entry
            assert made.packed[name].parts.keys() == tensor.parts.keys()
            assert all(same(made.packed[name].parts[k], v) for k, v in tensor.parts.items())
    assert made.graph == making.GRAPH
    assert made.preprocessing == making.PREPROCESSING
    assert made.choice == making.CHOICE
    assert made.size == path.stat().st_size == sum(made.sizes.values())
    assert [child.name for child in path.parent.iterdir()] == [bundle.FILE]


def test_graph_preprocessing_and_choice_may_be_left_out() -> None:
    made = bundle.decode(bundle.encode({}), "b")
    assert (made.graph, made.preprocessing, made.choice, made.tensors) == (None, None, {}, {})


@pytest.mark.parametrize("layout", list(FORMATS))
@pytest.mark.parametrize("values", list(CODECS))
@settings(max_examples=15)
@given(data=st.data())
def test_every_layout_and_codec_survives_the_file(
    layout: str, values: str, data: st.DataObject
) -> None:
    weight, mask = data.draw(pruned())
    if FORMATS[layout].refuses(mask) is not None:
        return
    packed = pack("w", weight.clamp(-6e4, 6e4), mask, layout, values)
    written = bundle.encode({"w": packed})
    made = bundle.decode(written, "b").tensors["w"]
    assert same(made, unpack(packed))
    assert same(made, reference.read(written)["w"])


def test_the_specification_is_enough_to_read_it() -> None:
    data = golden()
    ours, theirs = bundle.decode(data, "b").tensors, reference.read(data)
    assert ours.keys() == theirs.keys()
    assert all(same(ours[name], theirs[name]) for name in ours)


def test_version_1_is_written_to_the_byte_as_ever() -> None:
    assert golden() == GOLDEN.read_bytes()


def test_version_1_is_read_as_ever() -> None:
    made = bundle.read(GOLDEN)
    tensors = making.tensors()
    assert made.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert same(made.tensors[name], unpack(tensor) if isinstance(tensor, Packed) else tensor)


def test_the_safetensors_library_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "b.safetensors"
    path.write_bytes(golden())
    with safetensors.safe_open(path, "pt") as file:
        assert file.metadata().keys() == {"format", "pruneflow", "sha256"}
        assert file.metadata()["format"] == "pt"
        assert json.loads(file.metadata()["pruneflow"])["version"] == 1
        for name, tensor in making.tensors().items():
            if isinstance(tensor, torch.Tensor):
                assert same(file.get_tensor(name), tensor)


def test_strides_do_not_show() -> None:
    wide = torch.arange(12.0).reshape(3, 4)
    views = {"t": wide.t(), "column": wide[:, 1], "one": torch.ones(1).expand(3, 1)[:, 0]}
    views["nothing"] = torch.as_strided(wide, (0,), (0,))
    made = bundle.decode(bundle.encode(views), "b").tensors
    assert all(same(made[name], view.clone()) for name, view in views.items())


def test_what_is_read_may_be_changed() -> None:
    data = golden()
    made = bundle.decode(data, "b")
    for tensor in made.tensors.values():
        tensor.fill_(0)
    assert data == golden()


@pytest.mark.parametrize(
    "name", ["", "a:b", "__metadata__", "line\nbreak", "\ud800", "x" * 501, "esc\x1b[2J"]
)
def test_a_name_that_cannot_be_stored_is_refused(name: str) -> None:
    with pytest.raises(DeployError, match=r"no room for a tensor of this name") as error:
        bundle.encode({name: torch.ones(1)})
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(2, dtype=torch.complex64),
        torch.eye(2).to_sparse(),
        torch.ones(2, device="meta"),
        torch.empty(2**31, 0),
        torch.ones([1] * 17),
    ],
    ids=["complex", "sparse", "meta", "large", "dimensions"],
)
def test_a_tensor_that_cannot_be_stored_is_refused(tensor: torch.Tensor) -> None:
    with pytest.raises(DeployError, match=r"^odd: a "):
        bundle.encode({"odd": tensor})


@pytest.mark.parametrize("value", [float("nan"), {1, 2}])
def test_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(DeployError, match="cannot be written"):
        bundle.encode({}, preprocessing={"mean": value})


def test_too_sparse_to_be_read_back_is_refused_when_it_is_written() -> None:
    nothing = torch.zeros(2**24 + 2**20)
    with pytest.raises(DeployError, match="use the layout bitmask"):
        bundle.encode({"w": pack("w", nothing, None, "gaps8", "fp32")})
    made = bundle.decode(bundle.encode({"w": pack("w", nothing, None, "bitmask", "fp32")}), "b")
    assert not made.tensors["w"].any()


def test_a_file_that_is_not_there_or_not_a_file(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(BundleError, match="there is no such file"):
            bundle.read(path)


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    (tmp_path / "b").write_bytes(b"")
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(BundleError, match=r"^b: cannot be read: Permission denied$"):
        bundle.read(Path("b"))


def test_the_file_is_named_as_a_person_in_this_folder_would(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    path = tmp_path / "runs" / bundle.FILE
    path.write_bytes(b"no bundle")
    with pytest.raises(BundleError, match=r"^runs/bundle\.safetensors: .*; the file is damaged"):
        bundle.read(path)
