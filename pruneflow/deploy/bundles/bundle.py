"""A bundle: one file with all that is needed to run a pruned network.

It may come from a stranger: nothing in it is run, and nothing is believed that does not agree
with the rest. ``formats/README.md`` is the specification.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from pruneflow.deploy.bundles import container
from pruneflow.deploy.bundles.damage import Damage, expect, quoted, within
from pruneflow.deploy.bundles.descriptor import Descriptor, Plain, is_name
from pruneflow.deploy.bundles.packing import Entry, Packed, unpack
from pruneflow.deploy.bundles.shapes import is_sane, volume
from pruneflow.deploy.bundles.strict_json import JsonObject
from pruneflow.deploy.bundles.values import CODECS
from pruneflow.deploy.formats import FORMATS
from pruneflow.errors import BundleError, DeployError
from pruneflow.runfolder import shown, write_bytes

FILE = "bundle.safetensors"

_KEY = "pruneflow"
_FREE_WEIGHTS = 2**24
_WEIGHTS_PER_BYTE = 256
_LARGEST = 2**35


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read, and found to be whole.

    Attributes:
        tensors: All tensors by name, packed ones unpacked to float32.
        packed: The packed ones as they are written.
        graph: The network as a graph of operations, if it is one.
        preprocessing: What is done to an input first.
        choice: What was measured to be the best way to run it.
        size: Bytes of the file.
    """

    tensors: dict[str, torch.Tensor]
    packed: dict[str, Packed]
    graph: JsonObject | None
    preprocessing: JsonObject | None
    choice: JsonObject
    size: int

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of ``values``, ``index``, ``scales``, ``plain`` and ``header``: all of the file."""
        kinds = ("values", "index", "scales")
        sizes = {kind: sum(one.sizes[kind] for one in self.packed.values()) for kind in kinds}
        names = self.tensors.keys() - self.packed.keys()
        sizes["plain"] = sum(self.tensors[name].nbytes for name in names)
        return {**sizes, "header": self.size - sum(sizes.values())}


def encode(
    tensors: Mapping[str, Packed | torch.Tensor],
    graph: JsonObject | None = None,
    preprocessing: JsonObject | None = None,
    choice: JsonObject | None = None,
) -> bytes:
    """The bytes of a bundle; the same for the same input.

    Args:
        tensors: Packed weights, and tensors that are stored as they are.
        graph: See ``Bundle``, as are the others.

    Raises:
        DeployError: A tensor or its name cannot be stored, or the rest cannot be said in JSON.
    """
    entries: dict[str, Entry | Plain] = {}
    stored: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        _check(name, tensor)
        if isinstance(tensor, Packed):
            entries[name] = tensor.entry
            stored |= {f"{name}:{part}": value for part, value in tensor.parts.items()}
        else:
            entries[name] = Plain(tuple(tensor.shape), tensor.dtype)
            stored[name] = tensor
    try:
        text = Descriptor(entries, graph, preprocessing, choice or {}).to_text()
    except (TypeError, ValueError) as error:
        raise DeployError(f"graph, preprocessing or choice cannot be written: {error}") from None
    data = container.encode(stored, {_KEY: text})
    if _volume(entries) > _readable(len(data)):
        raise DeployError(
            f"a bundle of {len(data)} bytes is not read back if it unpacks to "
            f"{_volume(entries)} weights; use the layout bitmask for the largest"
        )
    return data


def write(
    path: Path,
    tensors: Mapping[str, Packed | torch.Tensor],
    graph: JsonObject | None = None,
    preprocessing: JsonObject | None = None,
    choice: JsonObject | None = None,
) -> None:
    """Write a bundle, whole or not at all; see ``encode``."""
    write_bytes(path, encode(tensors, graph, preprocessing, choice))


def read(path: Path) -> Bundle:
    """Read a bundle.

    Raises:
        BundleError: It is absent, damaged, no bundle, or of a later version.
    """
    name = quoted(shown(path))
    if not path.is_file():
        raise BundleError(f"{name}: there is no such file")
    try:
        if path.stat().st_size > _LARGEST:
            raise BundleError(f"{name}: is larger than {_LARGEST // 2**30} GiB")
        return decode(path.read_bytes(), name)
    except OSError as error:
        raise BundleError(f"{name}: cannot be read: {error.strerror}") from None
    except MemoryError:
        raise BundleError(f"{name}: does not fit into the memory of this machine") from None


def decode(data: bytes, where: str) -> Bundle:
    """Read the bytes of a bundle; ``where`` they are from begins every message.

    Raises:
        BundleError: They are damaged, no bundle, or of a later version.
    """
    try:
        return _decode(data)
    except Damage as damage:
        raise BundleError(
            f"{where}: {damage}; the file is damaged or no bundle: export it again"
        ) from None
    except BundleError as error:
        raise BundleError(f"{where}: {error}") from None


def _decode(data: bytes) -> Bundle:
    stored, metadata = container.decode(data)
    expect(metadata.keys() == {"format", _KEY, "sha256"}, "the metadata are not a bundle's")
    descriptor = Descriptor.from_text(metadata[_KEY])
    expect(_volume(descriptor.tensors) <= _readable(len(data)), "it unpacks to too many weights")
    tensors: dict[str, torch.Tensor] = {}
    packed: dict[str, Packed] = {}
    for name, entry in descriptor.tensors.items():
        with within(name):
            if isinstance(entry, Plain):
                tensors[name] = _plain(stored.pop(name, None), entry)
            else:
                packed[name] = Packed(entry, _parts(stored, name, entry))
                tensors[name] = unpack(packed[name])
    expect(not stored, f"nothing is said about {quoted(next(iter(stored), ''))}")
    return Bundle(
        tensors,
        packed,
        descriptor.graph,
        descriptor.preprocessing,
        descriptor.choice,
        len(data),
    )


def _plain(tensor: torch.Tensor | None, entry: Plain) -> torch.Tensor:
    if tensor is None:
        raise Damage("it is missing")
    same = tensor.dtype is entry.dtype and tuple(tensor.shape) == entry.shape
    expect(same, "it is not of the shape and dtype that the descriptor says")
    return tensor


def _parts(stored: dict[str, torch.Tensor], name: str, entry: Entry) -> dict[str, torch.Tensor]:
    parts = {}
    for part in (*FORMATS[entry.format].parts, *CODECS[entry.values].parts):
        expect(f"{name}:{part}" in stored, f"its part {part} is missing")
        parts[part] = stored.pop(f"{name}:{part}")
    return parts


def _check(name: str, tensor: Packed | torch.Tensor) -> None:
    if not is_name(name):
        raise DeployError(f"{quoted(name)}: a bundle has no room for a tensor of this name")
    shape = tensor.entry.shape if isinstance(tensor, Packed) else tuple(tensor.shape)
    if not is_sane(shape):
        raise DeployError(f"{name}: a tensor of the shape {list(shape)} is too large for a bundle")
    if isinstance(tensor, torch.Tensor):
        dense = tensor.layout is torch.strided and not tensor.is_meta
        if not dense or tensor.dtype not in container.DTYPES.values():
            kind = f"{tensor.device.type} tensors of {tensor.dtype} in {tensor.layout}"
            raise DeployError(f"{name}: a bundle cannot hold {kind}")


def _volume(entries: Mapping[str, Entry | Plain]) -> int:
    """How many weights the packed tensors unpack to."""
    return sum(volume(entry.shape) for entry in entries.values() if isinstance(entry, Entry))


def _readable(size: int) -> int:
    """How many weights a file may unpack to: a small one must not fill the memory."""
    return _FREE_WEIGHTS + _WEIGHTS_PER_BYTE * size
