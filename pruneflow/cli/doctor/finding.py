"""What the doctor finds: one line of its report."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

State = Literal["good", "absent", "bad"]


@dataclass(frozen=True)
class Finding:
    """One thing, and how it is.

    Attributes:
        name: What it is.
        found: The version, the place or the device; empty where there is none.
        state: ``absent`` is no fault; ``bad`` is one.
        note: What it is for, or what to do about it.
    """

    name: str
    found: str = ""
    state: State = "good"
    note: str = ""


def examined(title: str, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Everything a look finds; where it breaks off, that is a finding too."""
    found: list[Finding] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found.extend(look())
        except Exception as error:  # whatever is wrong here is what a doctor is asked for
            found.append(Finding(title, "", "bad", gist(error)))
    return found


def gist(error: BaseException) -> str:
    """The first line of an error."""
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
