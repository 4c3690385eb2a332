"""Bundles that are damaged, and bundles that somebody made on purpose and signed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
import safetensors.torch
import torch

from pruneflow.deploy.bundles import bundle
from pruneflow.deploy.bundles.container import sign
from pruneflow.deploy.bundles.packing import pack
from pruneflow.errors import BundleError
from tests.deploy.formats import making, reference
from tests.deploy.formats.drawing import bits

ATTEMPTS = 1000


def whole() -> bytes:
    return bundle.encode(making.tensors(), making.GRAPH, making.PREPROCESSING, making.CHOICE)


# -- accidents -----------------------------------------------------------------------------


def flipped(data: bytearray, chance: random.Random) -> bytearray:
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return data


def cut(data: bytearray, chance: random.Random) -> bytearray:
    return data[: chance.randrange(len(data))]


def swapped(data: bytearray, chance: random.Random) -> bytearray:
    one, other = chance.sample(range(len(data)), 2)
    data[one], data[other] = data[other], data[one]
    return data


def lengthened(data: bytearray, chance: random.Random) -> bytearray:
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.randbytes(chance.randint(1, 9)) + data[at:]


def shortened(data: bytearray, chance: random.Random) -> bytearray:
    at = chance.randrange(len(data))
    return data[:at] + data[at + chance.randint(1, 9) :]


def blanked(data: bytearray, chance: random.Random) -> bytearray:
    at = chance.randrange(len(data))
    length = len(data[at : at + 512])
    data[at : at + length] = bytes(length)
    return data


ACCIDENTS = [flipped, cut, swapped, lengthened, shortened, blanked]


def test_a_thousand_accidents_are_a_thousand_errors() -> None:
    data, chance, seen = whole(), random.Random(0), 0
    while seen < ATTEMPTS:
        damaged = bytes(chance.choice(ACCIDENTS)(bytearray(data), chance))
        if damaged == data:
            continue
        seen += 1
        with pytest.raises(BundleError, match=r"^b: .*; the file is damaged or no bundle: export"):
            bundle.decode(damaged, "b")


def test_every_bit_of_a_small_bundle_counts() -> None:
    data = bundle.encode({"w": pack("w", torch.eye(3), None, "gaps8", "int8")})
    for at in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[at // 8] ^= 1 << at % 8
        with pytest.raises(BundleError):
            bundle.decode(bytes(damaged), "b")


# -- intentions: the checksum is right, and what it covers is not ----------------------------


def taken_apart(data: bytes) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Header, descriptor and body."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    return header, json.loads(header["__metadata__"]["pruneflow"]), data[end:]


def put_together(header: dict[str, Any], descriptor: Any, body: bytes) -> bytes:
    """A signed bundle of whatever it is given."""
    metadata = header.get("__metadata__")
    if isinstance(metadata, dict):
        if "pruneflow" in metadata:
            metadata["pruneflow"] = (
                descriptor if isinstance(descriptor, str) else json.dumps(descriptor)
            )
        metadata["sha256"] = "0" * 64
    text = json.dumps(header, separators=(",", ":")).encode()
    data = bytearray(len(text).to_bytes(8, "little") + text + body)
    return bytes(sign(data)) if b'"sha256":"' in text else bytes(data)


VALUES: list[Any] = [
    None, True, False, 0, 1, 2, 3, 7, -1, 255, 2**16, 2**31, 2**63, 10**40, 0.5, 1e300, "", "plain",
    "dense", "rice", "gaps8", "n:m", "csr16", "bsr", "bitmask", "fp32", "int8", "float16", "int64",
    "U8", "F32", "BOOL", [], {}, [0], [2, 3], [2**40, 2**40], [0, 2**62], [[]], {"a": 1}, "\ud800",
]  # fmt: skip


def altered(tree: Any, chance: random.Random) -> None:
    """Change one thing somewhere in JSON."""
    while True:
        keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        key = chance.choice(keys)
        child = tree[key]
        if isinstance(child, dict | list) and child and chance.random() < 0.85:
            tree = child
            continue
        what = chance.randrange(6)
        if what == 0:
            del tree[key]
        elif what == 1 and isinstance(tree, dict):
            tree[chance.choice([*tree, "extra", "a:b", "w:values"])] = tree.pop(key)
        elif what == 2 and type(child) is int:
            tree[key] = child + chance.choice([-8, -1, 1, 8])
        elif what == 3 and type(child) is int:
            tree[key] = child ^ 1 << chance.randrange(6)
        else:
            tree[key] = chance.choice([*VALUES, *(tree.values() if isinstance(tree, dict) else ())])
        return


def resized(header: dict[str, Any], body: bytes, chance: random.Random) -> bytes:
    """One tensor with elements more or fewer, and everything else in its right place."""
    names = [name for name in header if name != "__metadata__" and len(header[name]["shape"]) == 1]
    name = chance.choice(names)
    entry = header[name]
    start, end = entry["data_offsets"]
    itemsize = (end - start) // entry["shape"][0] if entry["shape"][0] else 1
    count = max(0, entry["shape"][0] + chance.choice([-2, -1, 1, 2]))
    grown = body[start:end] + chance.choice([bytes(16), b"\xff" * 16, body[:16]])
    new = grown[: count * itemsize]
    entry["shape"][0] = len(new) // itemsize
    for other in header.values():
        if "data_offsets" in other and other["data_offsets"][0] >= end and other is not entry:
            other["data_offsets"] = [at + len(new) - end + start for at in other["data_offsets"]]
    entry["data_offsets"] = [start, start + len(new)]
    return body[:start] + new + body[end:]


def crafted(data: bytes, chance: random.Random) -> bytes:
    header, descriptor, body = taken_apart(data)
    kind = chance.randrange(5)
    if kind == 0:
        altered(header, chance)
    elif kind == 1:
        altered(descriptor, chance)
    elif kind == 2:
        altered(descriptor["tensors"], chance)
    elif kind == 3:
        body = resized(header, body, chance)
    else:
        new = bytearray(body)
        for _ in range(chance.randint(1, 2)):
            new[chance.randrange(len(new))] = chance.choice([0, 1, 127, 128, 255])
        body = bytes(new)
    return put_together(header, descriptor, body)


def test_a_thousand_signed_lies_are_refused_or_read_as_the_specification_says() -> None:
    data, chance = whole(), random.Random(1)
    errors, read = [], 0
    while len(errors) + read < ATTEMPTS:
        lie = crafted(data, chance)
        if lie == data:
            continue
        try:
            made = bundle.decode(lie, "b").tensors
        except BundleError as error:
            errors.append(str(error))
            continue
        read += 1
        expected = reference.read(lie)
        assert made.keys() == expected.keys()
        for name, tensor in made.items():
            assert tensor.shape == expected[name].shape
            assert bits(tensor) == bits(expected[name]), name
    assert len(errors) > ATTEMPTS / 2
    assert all(text.startswith("b: ") and text.isprintable() for text in errors)
    assert max(map(len, errors)) < 1000
    assert read > ATTEMPTS / 10  # other values, other graphs: nothing is wrong with those


Change = Callable[[dict[str, Any], dict[str, Any]], None]


def bits_of(layout: str = "gaps8") -> bytes:
    weight = torch.tensor([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]])
    return bundle.encode({"fc.weight": pack("w", weight, None, layout, "fp32"), "b": torch.ones(2)})


def lied(change: Change, layout: str = "gaps8") -> bytes:
    header, descriptor, body = taken_apart(bits_of(layout))
    change(header, descriptor)
    return put_together(header, descriptor, body)


def entry(**fields: Any) -> Change:
    return lambda header, descriptor: descriptor["tensors"]["fc.weight"].update(fields)


def described(**fields: Any) -> Change:
    return lambda header, descriptor: descriptor.update(fields)


def stored(**fields: Any) -> Change:
    return lambda header, descriptor: header["b"].update(fields)


LIES: list[tuple[Change, str]] = [
    (entry(shape=[2**31 - 1]), "it unpacks to too many weights"),
    (entry(shape=[2**24, 2]), "it unpacks to too many weights"),
    (entry(shape=[0, 2**30]), "it unpacks to too many weights"),
    (entry(shape=[2**20, 2**20]), r"fc.weight: the shape \[1048576, 1048576\] is too large"),
    (entry(shape=[2**70]), "fc.weight: the shape has a side that is no number from 0 to"),
    (entry(shape=[True, 6]), "fc.weight: the shape has a side that is no number from 0 to"),
    (entry(shape=[1] * 17), "fc.weight: the shape .* is too large"),
    (entry(shape=6), "fc.weight: the shape is no list"),
    (entry(shape=[5]), "fc.weight: the gaps lead to weight 6 of 5"),
    (entry(dtype="int64"), "fc.weight: weights of int64 cannot be packed"),
    (entry(dtype="complex64"), "does not say its format and dtype"),
    (entry(format=["gaps8"]), "does not say its format and dtype"),
    (entry(values="fp16"), "fc.weight: values is no list of torch.float16"),
    (entry(values="int8"), "fc.weight: its part scale is missing"),
    (entry(k=3), "fc.weight: the descriptor has other keys than"),
    (entry(format="rice"), "fc.weight: the descriptor has other keys than"),
    (entry(format="rice", k="1"), "the option k is no whole number and no list of them"),
    (entry(format="rice", k=[1.5]), "the option k is no list of whole numbers"),
    (entry(format="rice", k=True), "the option k is no whole number and no list of them"),
    (entry(format="bitmask"), "fc.weight: its part mask is missing"),
    (entry(format="plain"), "fc.weight: a plain tensor has further keys"),
    (lambda h, d: d["tensors"].pop("fc.weight"), "nothing is said about fc.weight:"),
    (lambda h, d: d["tensors"].pop("b"), "nothing is said about b"),
    (lambda h, d: d["tensors"].update({"\x1b[2J": {}}), r"'\\x1b\[2J' is no name of a tensor"),
    (lambda h, d: d["tensors"].update({"a:b": d["tensors"]["b"]}), "a:b is no name of a tensor"),
    (lambda h, d: d["tensors"].update(c=d["tensors"]["b"]), "c: it is missing"),
    (lambda h, d: d["tensors"]["b"].update(shape=[1, 2]), "b: it is not of the shape and dtype"),
    (lambda h, d: d["tensors"]["b"].update(dtype="int32"), "b: it is not of the shape and dtype"),
    (lambda h, d: d["tensors"].update(b=[]), "b: entry is no JSON object"),
    (described(version=0), "the version is not 1"),
    (described(version=True), "the version is not 1"),
    (described(version="1"), "the version is not 1"),
    (described(more=1), "the descriptor has other keys"),
    (described(choice=None), "choice is no JSON object"),
    (described(graph=[]), "graph is no JSON object"),
    (described(preprocessing=3), "preprocessing is no JSON object"),
    (described(tensors=[]), "tensors is no JSON object"),
    (stored(dtype="F8_E4M3"), "b: F8_E4M3 is no dtype of a bundle"),
    (stored(dtype=None), "b: None is no dtype of a bundle"),
    (stored(dtype="F16"), "b: it takes 8 bytes, which is not its shape"),
    (stored(shape=[3]), "b: it takes 8 bytes, which is not its shape"),
    (stored(data_offsets=[0, 10**30]), "b: its offsets are outside the file"),
    (stored(data_offsets=[12, 4]), "b: its offsets are outside the file"),
    (stored(data_offsets=[0]), "b: its offsets are not two numbers"),
    (stored(data_offsets=[4, 12]), "the tensors overlap or leave holes"),
    (stored(extra=1), "b: the header does not describe it"),
    (stored(dtype="BOOL", shape=[8]), "b: a boolean is neither 0 nor 1"),
    (lambda h, d: h["__metadata__"].update(author="x"), "the metadata are not a bundle's"),
    (lambda h, d: h["__metadata__"].update(format=1), "the metadata are not all text"),
    (lambda h, d: h["__metadata__"].pop("pruneflow"), "the metadata are not a bundle's"),
    (lambda h, d: h.update(c={"sha256": h.pop("__metadata__")["sha256"]}), "the metadata are no"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), LIES, ids=[message for _, message in LIES])
def test_lies_are_called_by_their_names(change: Change, message: str) -> None:
    with pytest.raises(BundleError, match=f"^b: .*{message}"):
        bundle.decode(lied(change), "b")


def test_many_tensors_together_unpack_to_no_more_than_one() -> None:
    def many(header: dict[str, Any], descriptor: dict[str, Any]) -> None:
        lie = {"format": "gaps8", "shape": [2**20], "dtype": "float32", "values": "fp32"}
        for number in range(20):
            descriptor["tensors"][f"zeros{number}"] = lie
            for part, dtype in (("gaps", "U8"), ("values", "F32")):
                nothing = {"dtype": dtype, "shape": [0], "data_offsets": [0, 0]}
                header[f"zeros{number}:{part}"] = nothing

    with pytest.raises(BundleError, match="it unpacks to too many weights"):
        bundle.decode(lied(many), "b")


def test_the_number_of_values_is_told_against_the_mask() -> None:
    header, descriptor, body = taken_apart(bits_of("bitmask"))
    at = header["fc.weight:mask"]["data_offsets"][0]
    changed = body[:at] + bytes([body[at] | 0b01000000]) + body[at + 1 :]
    with pytest.raises(BundleError) as error:
        bundle.decode(put_together(header, descriptor, changed), "bundle.safetensors")
    assert str(error.value) == (
        "bundle.safetensors: fc.weight: popcount of the mask is 4, but there are 3 values; "
        "the file is damaged or no bundle: export it again"
    )


def test_a_later_version_is_told_from_damage() -> None:
    with pytest.raises(BundleError) as error:
        bundle.decode(lied(described(version=2, tensors=None, news=1)), "b")
    assert str(error.value) == (
        "b: made by a newer PruneFlow: its version is 2, and this one reads up to version 1; "
        "upgrade PruneFlow"
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format": "rise"}, "knows no format 'rise', .* Did you mean 'rice'?"),
        ({"values": "fp8"}, "knows no values 'fp8', .* Allowed: bf16, fp16, fp32, int8"),
        ({"values": None}, "knows no values 'None'"),
    ],
)
def test_a_word_that_is_not_known_here(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleError, match=f"^b: fc.weight: .*{message}") as error:
        bundle.decode(lied(entry(**fields)), "b")
    assert "damaged" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"version": 1, "version": 1}', "a key stands twice"),
        ('{"version": NaN}', "NaN is no number"),
        ('{"version": -Infinity}', "-Infinity is no number"),
        ('{"version": 1e999}', "1e999 is no number"),
        ('{"version": ' + "9" * 5000 + "}", "the descriptor is no JSON"),
        ("[" * 100_000, "the descriptor is no JSON"),
        ("[]", "the descriptor is no JSON object"),
        ("", "the descriptor is no JSON"),
    ],
    ids=["twice", "nan", "infinity", "huge float", "huge integer", "deep", "list", "empty"],
)
def test_json_is_read_strictly(text: str, message: str) -> None:
    header, _, body = taken_apart(bits_of())
    with pytest.raises(BundleError, match=message):
        bundle.decode(put_together(header, text, body), "b")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the header does not fit into the file"),
        (b"\xff" * 100, "the header does not fit into the file"),
        (bytes(100), "the header does not fit into the file"),
        ((4).to_bytes(8, "little") + b"[[[[[[", "there is no checksum"),
        ((12).to_bytes(8, "little") + b'{"sha256":"}', "the checksum is wrong"),
        (safetensors.torch.save({"w": torch.ones(2)}), "there is no checksum"),
        (bits_of() + b"\0", "the checksum is wrong"),
        (bytes(sign(bytearray(bits_of() + b"\0"))), "there are bytes after the last tensor"),
    ],
    ids=["empty", "ones", "zeros", "no json", "cut short", "no bundle", "tail", "signed tail"],
)
def test_what_is_no_bundle_at_all(data: bytes, message: str) -> None:
    with pytest.raises(BundleError, match=f"^b: {message}; the file is damaged or no bundle"):
        bundle.decode(data, "b")


def test_a_header_in_another_encoding_is_refused() -> None:
    data = bits_of()
    header, _, body = taken_apart(data)
    text = json.dumps(header, separators=(",", ":")).encode() + b"\xff"
    odd = bytearray(len(text).to_bytes(8, "little") + text + body)
    with pytest.raises(BundleError, match="the header is no JSON: 'utf-8' codec"):
        bundle.decode(bytes(sign(odd)), "b")
