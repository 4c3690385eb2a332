"""Time as a value with a unit, and its one rounding to integer steps.

A *step* is one optimizer update. Step ``s`` names the moment right after the ``s``-th update,
so step 0 is the moment before training and the last step of a run of ``n`` updates is ``n``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from typing import Literal, cast

Unit = Literal["ep", "st", "%"]
Edge = Literal["start", "end"]

_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(ep|st|%)")
_ANCHOR = re.compile(r"([A-Za-z_][\w-]*)\.(start|end)")
_DIGITS = Context(prec=60)  # more than anybody writes, so that text reads back exactly
_UNITS = "write 3ep (epochs), 400st (steps) or 30% (of the run)"


@dataclass(frozen=True)
class Time:
    """A moment or a duration: ``3ep``, ``2.5ep``, ``400st`` or ``30%``."""

    value: Fraction
    unit: Unit

    def __str__(self) -> str:
        value = _DIGITS.divide(Decimal(self.value.numerator), Decimal(self.value.denominator))
        return f"{value:f}{self.unit}"


@dataclass(frozen=True)
class Anchor:
    """The moment another modifier starts or ends: ``prune.end``."""

    modifier: str
    edge: Edge

    def __str__(self) -> str:
        return f"{self.modifier}.{self.edge}"


Moment = Time | Anchor


def parse_time(text: object) -> Time:
    """Read a time with its unit.

    Raises:
        ValueError: The text is not a time; the message says what to write.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        raise ValueError(
            f"{text} has no unit: write {text:g}ep (epochs), "
            f"{text:g}st (steps) or {text:g}% (of the run)"
        )
    if not isinstance(text, str):
        raise ValueError(f"needs a time, got {text!r}: {_UNITS}")
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"'{text}' is not a time: {_UNITS}")
    value, unit = Fraction(match[1]), cast(Unit, match[2])
    if unit == "st" and value.denominator != 1:
        raise ValueError(f"'{text}': a step cannot be divided; write a whole number of steps")
    if unit == "%" and value > 100:
        raise ValueError(f"'{text}' is more than the whole run")
    return Time(value, unit)


def parse_moment(text: object) -> Moment:
    """Read a time or another modifier's edge (``prune.end``).

    Raises:
        ValueError: The text is neither; the message says what to write.
    """
    if isinstance(text, str) and (match := _ANCHOR.fullmatch(text.strip())):
        return Anchor(match[1], cast(Edge, match[2]))
    return parse_time(text)


def nearest(value: Fraction) -> int:
    """The nearest whole number, halves to the even one, as Python's ``round`` has it."""
    return round(value)


def exact(number: float) -> Fraction:
    """The decimal a person wrote, so that 0.9 of 10 is 9 and not 9.000000000000000222."""
    return Fraction(str(number))


@dataclass(frozen=True)
class Horizon:
    """What a time is measured against.

    Attributes:
        steps_per_epoch: Optimizer updates in one epoch.
        total: Updates in the whole run, or None while that is not known yet.
    """

    steps_per_epoch: int
    total: int | None = None

    def steps(self, time: Time) -> int:
        """``time`` in steps, rounded to the nearest one.

        Raises:
            ValueError: A share of the run was asked for and the run's length is not known.
        """
        if time.unit == "st":
            return int(time.value)
        if time.unit == "ep":
            return nearest(time.value * self.steps_per_epoch)
        if self.total is None:
            raise ValueError(
                f"{time} is a share of the run, whose length is not given: "
                "add 'length: 20ep' to the recipe"
            )
        return nearest(time.value * self.total / 100)

    def epoch(self, step: int) -> float:
        """The epoch that ``step`` falls in, as a decimal number."""
        return step / self.steps_per_epoch
