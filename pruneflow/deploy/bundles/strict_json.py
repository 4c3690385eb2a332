"""JSON of strangers: no key twice, no NaN, no end of the stack."""

from __future__ import annotations

import json
from math import isfinite
from typing import NoReturn

from pruneflow.deploy.bundles.damage import Damage, quoted

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
JsonObject = dict[str, Json]


def dumps(value: Json) -> str:
    """One line without spaces, in ASCII.

    Raises:
        ValueError: It holds NaN or an infinity.
    """
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def loads(text: bytes | str, what: str) -> JsonObject:
    """Read a JSON object.

    Raises:
        Damage: It is not one; ``what`` names it.
    """
    try:
        value = json.loads(
            text.decode() if isinstance(text, bytes) else text,
            object_pairs_hook=_unique,
            parse_constant=_no_number,
            parse_float=_finite,
        )
    except (ValueError, RecursionError) as error:
        raise Damage(f"{what} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise Damage(f"{what} is no JSON object")
    return value


def _unique(pairs: list[tuple[str, Json]]) -> JsonObject:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key stands twice")
    return made


def _finite(word: str) -> float:
    number = float(word)
    return number if isfinite(number) else _no_number(word)


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{quoted(word)} is no number")
