"""The descriptor: the JSON in a bundle's metadata that says how its tensors are written.

Version 1 is a closed vocabulary; a reader refuses what it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from pruneflow.deploy.bundles.container import DTYPES, METADATA
from pruneflow.deploy.bundles.damage import Damage, expect, quoted, within
from pruneflow.deploy.bundles.packing import Entry
from pruneflow.deploy.bundles.shapes import parse_shape
from pruneflow.deploy.bundles.strict_json import Json, JsonObject, dumps, loads
from pruneflow.deploy.bundles.values import CODECS
from pruneflow.deploy.formats import FORMATS
from pruneflow.deploy.formats.base import Option, Shape
from pruneflow.errors import BundleError, did_you_mean

VERSION = 1
PLAIN = "plain"
"""The format of a tensor that stands in the container as it is."""

_KEYS = {"version", "tensors", "graph", "preprocessing", "choice"}
_LONGEST_NAME = 500
_NAMES = {str(dtype).removeprefix("torch."): dtype for dtype in DTYPES.values()}


@dataclass(frozen=True)
class Plain:
    """A tensor that is not packed."""

    shape: Shape
    dtype: torch.dtype


@dataclass(frozen=True)
class Descriptor:
    """What a bundle says about itself.

    Attributes:
        tensors: How each tensor is written, in the order of the network's state.
        graph: The network as a graph of operations, if it is one.
        preprocessing: What is done to an input first.
        choice: What was measured to be the best way to run it.
    """

    tensors: Mapping[str, Entry | Plain]
    graph: JsonObject | None = None
    preprocessing: JsonObject | None = None
    choice: JsonObject = field(default_factory=dict)

    def to_text(self) -> str:
        """As JSON.

        Raises:
            ValueError: It holds NaN or an infinity.
            TypeError: It holds what JSON has no words for.
        """
        return dumps(
            {
                "version": VERSION,
                "tensors": {name: _to_json(entry) for name, entry in self.tensors.items()},
                "graph": self.graph,
                "preprocessing": self.preprocessing,
                "choice": self.choice,
            }
        )

    @classmethod
    def from_text(cls, text: str) -> Descriptor:
        """From JSON.

        Raises:
            Damage: It is no descriptor.
            BundleError: It is a later PruneFlow's, or needs a package that is not installed.
        """
        value = loads(text, "the descriptor")
        version = value.get("version")
        if type(version) is int and version > VERSION:
            raise BundleError(
                f"made by a newer PruneFlow: its version is {quoted(version)}, and this one reads "
                f"up to version {VERSION}; upgrade PruneFlow"
            )
        expect(type(version) is int and version == VERSION, "the version is not 1")
        expect(value.keys() == _KEYS, f"the descriptor has other keys than {sorted(_KEYS)}")
        tensors = _object(value["tensors"], "tensors")
        entries: dict[str, Entry | Plain] = {}
        for name, entry in tensors.items():
            expect(is_name(name), f"{quoted(name)} is no name of a tensor")
            with within(name):
                entries[name] = _from_json(entry)
        return cls(
            entries,
            _optional(value["graph"], "graph"),
            _optional(value["preprocessing"], "preprocessing"),
            _object(value["choice"], "choice"),
        )


def is_name(name: str) -> bool:
    """Whether a tensor of a bundle may be called this; parts are told apart by a colon."""
    free = name != METADATA and ":" not in name
    return free and 0 < len(name) <= _LONGEST_NAME and name.isprintable()


def _to_json(entry: Entry | Plain) -> JsonObject:
    shape: list[Json] = list(entry.shape)
    if isinstance(entry, Plain):
        return {"format": PLAIN, "shape": shape, "dtype": str(entry.dtype).removeprefix("torch.")}
    options: JsonObject = {
        name: list(option) if isinstance(option, list) else option
        for name, option in entry.options.items()
    }
    return {
        "format": entry.format,
        "shape": shape,
        "dtype": entry.dtype,
        "values": entry.values,
        **options,
    }


def _from_json(value: Json) -> Entry | Plain:
    entry = _object(value, "entry")
    kind, dtype = entry.get("format"), entry.get("dtype")
    if not isinstance(kind, str) or not isinstance(dtype, str) or dtype not in _NAMES:
        raise Damage("the descriptor does not say its format and dtype")
    shape = parse_shape(entry.get("shape"))
    if kind == PLAIN:
        expect(entry.keys() == {"format", "shape", "dtype"}, "a plain tensor has further keys")
        return Plain(shape, _NAMES[dtype])
    codec = entry.get("values")
    expect(_NAMES[dtype].is_floating_point, f"weights of {dtype} cannot be packed")
    for noun, word, known in (("format", kind, FORMATS), ("values", codec, CODECS)):
        if not isinstance(word, str) or word not in known:
            hint = did_you_mean(quoted(word), known, always=True)
            raise BundleError(
                f"this PruneFlow knows no {noun} '{quoted(word)}', which may come from a package "
                f"that is not installed.{hint}"
            )
    names = FORMATS[kind].options
    keys = {"format", "shape", "dtype", "values", *names}
    expect(entry.keys() == keys, f"the descriptor has other keys than {sorted(keys)}")
    options = {name: _option(name, entry[name]) for name in names}
    return Entry(kind, str(codec), shape, dtype, options)


def _option(name: str, value: Json) -> Option:
    if type(value) is int:
        return value
    if not isinstance(value, list):
        raise Damage(f"the option {name} is no whole number and no list of them")
    numbers = [number for number in value if type(number) is int]
    expect(len(numbers) == len(value), f"the option {name} is no list of whole numbers")
    return numbers


def _object(value: Json, what: str) -> JsonObject:
    if not isinstance(value, dict):
        raise Damage(f"{what} is no JSON object")
    return value


def _optional(value: Json, what: str) -> JsonObject | None:
    return None if value is None else _object(value, what)
