"""The files of a network's code, whether its results are floats or bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pruneflow.deploy.c99.header import header_of
from pruneflow.deploy.c99.quantized.header import integer_header_of
from pruneflow.deploy.c99.quantized.source import integer_source_of
from pruneflow.deploy.c99.quantized.unit import QuantizedUnit
from pruneflow.deploy.c99.source import source_of
from pruneflow.deploy.c99.unit import Unit


def code_of(unit: Unit, preprocessing: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Texts by file name: a source and its header.

    Args:
        unit: The network.
        preprocessing: What has to be done to an input first.
    """
    if isinstance(unit, QuantizedUnit):
        texts = integer_source_of(unit), integer_header_of(unit, preprocessing)
    else:
        texts = source_of(unit), header_of(unit, preprocessing)
    return dict(zip((f"{unit.name}.c", f"{unit.name}.h"), texts, strict=True))
