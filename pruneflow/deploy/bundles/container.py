"""The container: safetensors, signed, to the byte the same for the same tensors.

The layout is that of https://github.com/huggingface/safetensors: the length of the header as
eight bytes, a header of JSON, the tensors without holes. That library reads what is written here.
It is not used to write, because it orders the metadata by chance, nor to read a stranger's file,
because the digest is checked first and every error is told in one way.

The digest is the SHA-256 of the whole file with its own 64 digits replaced by zeros.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch

from pruneflow.deploy.bundles.damage import Damage, expect, quoted, within
from pruneflow.deploy.bundles.shapes import parse_shape
from pruneflow.deploy.bundles.strict_json import Json, JsonObject, dumps, loads

DTYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "U16": torch.uint16,
    "I16": torch.int16, "U32": torch.uint32, "I32": torch.int32, "U64": torch.uint64,
    "I64": torch.int64, "F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32,
    "F64": torch.float64,
}  # fmt: skip
"""What safetensors calls the dtypes that a bundle may hold."""

METADATA = "__metadata__"
"""The key of the header that is no tensor's name."""

_CODES = {dtype: code for code, dtype in DTYPES.items()}
_PREFIX = 8
_LARGEST_HEADER = 100_000_000
_MARK = b'"sha256":"'
_BLANK = b"0" * 64


def encode(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> bytes:
    """The bytes of a signed container.

    Args:
        tensors: Of the dtypes of ``DTYPES``.
        metadata: Further texts that stand in the header; ``format`` and ``sha256`` are added.
    """
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: JsonObject = {METADATA: {"format": "pt", **metadata, "sha256": _BLANK.decode()}}
    chunks, end = [], 0
    for name in order:
        tensor = tensors[name]
        chunks.append(_raw(tensor))
        start, end = end, end + tensor.nbytes
        header[name] = {
            "dtype": _CODES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = dumps(header).encode()
    text += b" " * (-len(text) % _PREFIX)
    data = bytearray(b"".join([len(text).to_bytes(_PREFIX, "little"), text, *chunks]))
    return bytes(sign(data))


def sign(data: bytearray) -> bytearray:
    """Put the digest of a container into its place."""
    at = data.index(_MARK) + len(_MARK)
    data[at : at + len(_BLANK)] = _digest(data, at)
    return data


def decode(data: bytes) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors and the metadata of a signed container.

    Raises:
        Damage: Its digest is wrong, or it is no container.
    """
    body = _PREFIX + int.from_bytes(data[:_PREFIX], "little")
    inside = _PREFIX < body <= len(data)
    expect(inside and body <= _LARGEST_HEADER, "the header does not fit into the file")
    mark = data.find(_MARK, _PREFIX, body)
    expect(mark > 0, "there is no checksum")
    at = mark + len(_MARK)
    expect(data[at : at + len(_BLANK)] == _digest(data, at), "the checksum is wrong")
    header = loads(data[_PREFIX:body], "the header")
    metadata = _texts(header.pop(METADATA, None))
    tensors, spans = {}, []
    for name, entry in header.items():
        with within(name):
            tensors[name], span = _tensor(entry, memoryview(data)[body:])
            spans.append(span)
    end = 0
    for start, stop in sorted(spans):
        expect(start == end, "the tensors overlap or leave holes")
        end = stop
    expect(body + end == len(data), "there are bytes after the last tensor")
    return tensors, metadata


def _raw(tensor: torch.Tensor) -> bytes:
    """The bytes of a tensor, whatever its strides and its device."""
    row = torch.empty(tensor.numel(), dtype=tensor.dtype)
    row.copy_(tensor.detach().reshape(-1))
    return row.view(torch.uint8).numpy().tobytes()


def _digest(data: bytes | bytearray, at: int) -> bytes:
    view = memoryview(data)
    sha = hashlib.sha256(view[:at])
    sha.update(_BLANK)
    sha.update(view[at + len(_BLANK) :])
    return sha.hexdigest().encode()


def _texts(value: Json) -> dict[str, str]:
    if not isinstance(value, dict):
        raise Damage("the metadata are no JSON object")
    texts = {key: text for key, text in value.items() if isinstance(text, str)}
    expect(len(texts) == len(value), "the metadata are not all text")
    return texts


def _tensor(entry: Json, data: memoryview) -> tuple[torch.Tensor, tuple[int, int]]:
    """One tensor of the header, copied, and the bytes it takes."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise Damage("the header does not describe it by dtype, shape and data_offsets")
    code, span = entry["dtype"], entry["data_offsets"]
    if not isinstance(code, str) or code not in DTYPES:
        raise Damage(f"{quoted(code)} is no dtype of a bundle")
    if not isinstance(span, list) or len(span) != 2:
        raise Damage("its offsets are not two numbers")
    start, end = span
    if type(start) is not int or type(end) is not int or not 0 <= start <= end <= len(data):
        raise Damage("its offsets are outside the file")
    dtype, shape = DTYPES[code], parse_shape(entry["shape"])
    raw = bytearray(data[start:end])
    numel = torch.Size(shape).numel()
    expect(len(raw) == numel * dtype.itemsize, f"it takes {len(raw)} bytes, which is not its shape")
    if not raw:
        return torch.empty(shape, dtype=dtype), (start, end)
    expect(dtype is not torch.bool or max(raw) <= 1, "a boolean is neither 0 nor 1")
    return torch.frombuffer(raw, dtype=dtype).reshape(shape), (start, end)
