"""A second reader of bundles, after the specification, slow and without a check.

It shares no code with the first: the container is read by the safetensors library, everything
else by plain Python.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
import safetensors.torch
import torch

Parts = dict[str, list[Any]]


def read(data: bytes) -> dict[str, torch.Tensor]:
    """The tensors of a bundle."""
    stored = safetensors.torch.load(data)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    descriptor = json.loads(header["__metadata__"]["pruneflow"])
    made = {}
    for name, entry in descriptor["tensors"].items():
        if entry["format"] == "plain":
            made[name] = stored[name]
            continue
        prefix = f"{name}:"
        parts = {
            key.removeprefix(prefix): value.tolist()
            for key, value in stored.items()
            if key.startswith(prefix)
        }
        shape = entry["shape"]
        columns = prod(shape[1:])
        flat = np.zeros(prod(shape), dtype=np.float32)
        for place, value in zip(
            PLACES[entry["format"]](parts, entry), parts["values"], strict=True
        ):
            scale = parts["scale"][place // columns] if "scale" in parts else 1
            flat[place] = np.float32(value) * np.float32(scale)
        made[name] = torch.from_numpy(flat + np.float32(0)).reshape(shape)
    return made


def bit_list(data: list[int]) -> list[int]:
    return [byte >> 7 - bit & 1 for byte in data for bit in range(8)]


def number(bits: list[int]) -> int:
    return int("".join(map(str, bits)) or "0", 2)


def sides(entry: dict[str, Any]) -> tuple[int, int]:
    shape = entry["shape"] or [1]
    return shape[0], prod(shape[1:])


def dense(parts: Parts, entry: dict[str, Any]) -> Iterator[int]:
    yield from range(prod(entry["shape"]))


def bitmask(parts: Parts, entry: dict[str, Any]) -> Iterator[int]:
    yield from (place for place, bit in enumerate(bit_list(parts["mask"])) if bit)


def gaps8(parts: Parts, entry: dict[str, Any]) -> Iterator[int]:
    place = -1
    for gap in parts["gaps"]:
        place += gap + 1
        yield place


def rice(parts: Parts, entry: dict[str, Any]) -> Iterator[int]:
    place, quotient, k = -1, 0, entry["k"]
    remainders = bit_list(parts["remainders"])
    for bit in bit_list(parts["quotients"]):
        if bit:
            place += (quotient << k | number(remainders[:k])) + 1
            yield place
            quotient, remainders = 0, remainders[k:]
        else:
            quotient += 1


def csr16(parts: Parts, entry: dict[str, Any]) -> Iterator[int]:
    rows, columns = sides(entry)
    for row in range(rows):
        for at in range(parts["offsets"][row], parts["offsets"][row + 1]):
            yield row * columns + parts["columns"][at]


def bsr(parts: Parts, entry: dict[str, Any]) -> Iterator[int]:
    (rows, columns), (tall, wide) = sides(entry), entry["block"]
    for down, start in enumerate(parts["offsets"][:-1]):
        for across in parts["blocks"][start : parts["offsets"][down + 1]]:
            for row in range(down * tall, min(rows, (down + 1) * tall)):
                for column in range(across * wide, min(columns, (across + 1) * wide)):
                    yield row * columns + column


def nm(parts: Parts, entry: dict[str, Any]) -> Iterator[int]:
    rows, columns = sides(entry)
    n, m = entry["n"], entry["m"]
    width = (m - 1).bit_length()
    positions = bit_list(parts["positions"])
    for row in range(rows):
        for start in range(0, columns, m):
            for _ in range(min(n, columns - start)):
                yield row * columns + start + number(positions[:width])
                positions = positions[width:]


PLACES = {
    "dense": dense, "bitmask": bitmask, "gaps8": gaps8, "rice": rice, "csr16": csr16, "bsr": bsr,
    "n:m": nm,
}  # fmt: skip
