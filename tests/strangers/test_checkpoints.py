"""Checkpoints and weights of strangers: nothing unpickled, nothing that swells in memory."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pruneflow import tensor_file
from pruneflow.checkpoint import STATE_KEY, newest_checkpoint
from pruneflow.errors import ResumeError
from pruneflow.operations.teachers import read
from pruneflow.structure import resize
from pruneflow.training.shared.joining import _require_whole
from pruneflow.training.starting_point import StartingPoint
from tests.strangers.canary import Touch, is_alive

OURS = {"callbacks": {STATE_KEY: {"x": 1}, "pruneflow.recipe": {"clock": 1}}}


def members(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            yield name, archive.read(name)


def saved(content: Any, change: Callable[[bytes], bytes] = bytes, squeeze: bool = False) -> Path:
    """A file of torch.save, rewritten by a stranger."""
    path, plain = Path("step00000001.ckpt"), Path("plain")
    torch.save(content, plain)
    kind = zipfile.ZIP_DEFLATED if squeeze else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, data in members(plain):
            archive.writestr(name, change(data) if name.endswith("data.pkl") else data)
    plain.unlink()
    return path


def pickled() -> Path:
    return saved({**OURS, "state_dict": Touch()})


def squeezed() -> Path:
    """8 MB in 8 kB."""
    return saved({**OURS, "state_dict": {"w": torch.zeros(2_000_000)}}, squeeze=True)


def repeated() -> Path:
    """One number that says that it is 2^31 numbers."""
    tensor = torch.ones(1).expand(2**31 - 1)
    return saved({**OURS, "state_dict": {"w": tensor}})


def aliased() -> Path:
    tree: Any = [0]
    for _ in range(64):
        tree = [tree, tree]
    return saved({**OURS, "state_dict": tree})


def circular() -> Path:
    tree: dict[str, Any] = {**OURS}
    tree["state_dict"] = tree
    return saved(tree)


def deep() -> Path:
    tree: Any = 0
    for _ in range(200):
        tree = [tree]
    return saved({**OURS, "state_dict": tree})


def overlapping() -> Path:
    """Members that all claim the same bytes."""
    path = saved({**OURS, "state_dict": {"w": torch.ones(1000)}})
    with zipfile.ZipFile(path, "a") as archive:
        big = max(archive.infolist(), key=lambda member: member.file_size)
        archive.filelist += [big] * 500
        archive._didModify = True  # type: ignore[attr-defined]
    return path


def of_old_torch() -> Path:
    path = Path("step00000001.ckpt")
    torch.save({**OURS, "w": torch.ones(4)}, path, _use_new_zipfile_serialization=False)
    return path


def of_two_sizes() -> Path:
    """The pickled part speaks of more numbers than there are."""
    content = {**OURS, "state_dict": {"w": torch.arange(4.0)}}
    return saved(content, lambda data: data.replace(b"K\x04", b"K\xc8"))


def junk() -> Path:
    path = Path("step00000001.ckpt")
    path.write_bytes(b"\x80\x02junk")
    return path


BAD = [
    pickled, squeezed, repeated, aliased, circular, deep, overlapping, of_old_torch, of_two_sizes,
    junk,
]  # fmt: skip
each_bad = pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)


@each_bad
def test_a_bad_checkpoint_is_not_loaded(make: Callable[[], Path]) -> None:
    path = make()
    with pytest.raises(Exception):  # noqa: B017, PT011 (torch names no common base)
        tensor_file.load(path)
    assert newest_checkpoint(Path()) is None
    with pytest.raises(ResumeError, match="is no checkpoint"):
        _require_whole(path, 1)
    assert is_alive()


@pytest.mark.parametrize("make", [bad for bad in BAD if bad not in (pickled, of_two_sizes)])
def test_no_run_begins_from_what_swells(make: Callable[[], Path]) -> None:
    """What torch itself refuses, Lightning, which loads with weights_only, does not load."""
    with pytest.raises(ResumeError, match=r"cannot be loaded: it (is|would)"):
        StartingPoint.of(make()).find()


@each_bad
def test_a_bad_teacher_is_not_loaded(make: Callable[[], Path]) -> None:
    with pytest.raises(ValueError, match=r"step00000001.ckpt' holds"):
        read(make(), nn.Linear(2, 2))
    assert is_alive()


def test_good_checkpoints_are_loaded() -> None:
    tied = torch.arange(3.0)
    path = saved({**OURS, "state_dict": {"a": tied, "b": tied, "c": torch.ones(1).expand(5)}})
    assert newest_checkpoint(Path()) == path
    assert torch.equal(tensor_file.load(path)["state_dict"]["b"], tied)
    _require_whole(path, 1)
    assert StartingPoint.of(path).find() == path.absolute()


@pytest.mark.parametrize("kind", ["folder", "device"])
def test_a_checkpoint_is_a_file(kind: str) -> None:
    """Lightning would unpickle what is in a folder."""
    Path("folder").mkdir()
    Path("device").symlink_to("/dev/zero")
    with pytest.raises(ResumeError, match="is no file"):
        StartingPoint.of(Path(kind))


def test_a_swollen_header_of_weights_is_refused() -> None:
    for length, header in (
        (2**62, b"{}"), (2**33, b"{}"), (100, b"{}"),
        (0, json.dumps({"w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}})),
        (0, json.dumps({"w": {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 0]}})),
        (0, "[" * 100_000),
    ):  # fmt: skip
        text = header if isinstance(header, bytes) else header.encode()
        Path("w.safetensors").write_bytes(struct.pack("<Q", length or len(text)) + text)
        with pytest.raises(ValueError, match="holds no plain tensors"):
            read(Path("w.safetensors"), nn.Linear(2, 2))


def test_weights_do_not_make_a_network_larger_than_they_are() -> None:
    """A tensor without numbers may have a side of any length."""
    save_file({"weight": torch.zeros(2**40, 0)}, "w.safetensors")
    model = nn.Linear(4, 2, bias=False)
    resize(model, {"weight": (2**40, 0)})
    assert model.weight.numel() == 0
    with pytest.raises(ValueError, match="cannot have the shape"):
        resize(nn.Linear(4, 2), {"weight": (2**40, 0)})


def test_what_processes_tell_each_other_is_not_unpickled() -> None:
    from pruneflow.operations.ranks import _loaded

    stream = io.BytesIO()
    torch.save(Touch(), stream)
    with pytest.raises(Exception, match=r"[Ww]eights"):
        _loaded(torch.frombuffer(bytearray(stream.getvalue()), dtype=torch.uint8))
    assert is_alive()
