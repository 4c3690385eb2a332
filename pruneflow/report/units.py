"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Sequence

TIMES = "\N{MULTIPLICATION SIGN}"


def count(value: float) -> str:
    """``13,310``."""
    return f"{value:,.0f}"


def percent(share: float | None) -> str:
    """``97.22%`` of a share; ``-`` of none."""
    return "-" if share is None else f"{share:.2%}"


def points(drop: float) -> str:
    """A loss in percentage points: ``0.56 points lost``."""
    if round(drop, 2) == 0:
        return "nothing lost"
    return f"{abs(drop):.2f} points {'lost' if drop > 0 else 'gained'}"


def size(bytes_: float) -> str:
    """``69.0 kB``, in powers of a thousand; below one, ``640 bytes``."""
    if bytes_ < 1000:
        return f"{bytes_:.0f} bytes"
    return _scaled(bytes_ / 1000, ("kB", "MB", "GB", "TB", "PB"))


def duration(microseconds: float) -> str:
    """``4.90 µs``, ``1.20 ms``, ``3.40 s``."""
    return _scaled(microseconds, ("µs", "ms", "s"))


def size_tick(bytes_: float) -> str:
    """A size without needless digits, for an axis: ``20 kB``."""
    return _plain(bytes_, (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))) or f"{bytes_:g} B"


def duration_tick(microseconds: float) -> str:
    """A duration without needless digits, for an axis: ``20 ms``."""
    return _plain(microseconds, (("s", 1e6), ("ms", 1e3))) or f"{microseconds:g} µs"


def times(ratio: float) -> str:
    """``5.2x``, with the sign; near one with two decimals."""
    decimals = 2 if ratio < 2 else 1 if ratio < 100 else 0
    return f"{ratio:,.{decimals}f}{TIMES}"


def listed(words: Sequence[str]) -> str:
    """``1, 16 and 64``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _plain(value: float, units: Sequence[tuple[str, float]]) -> str:
    return next((f"{value / each:g} {unit}" for unit, each in units if value >= each), "")


def _scaled(value: float, units: Sequence[str]) -> str:
    """Three digits, with the largest unit that leaves some before the point."""
    place = 0
    while abs(value) >= 999.5 and place < len(units) - 1:
        value, place = value / 1000, place + 1
    decimals = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:,.{decimals}f} {units[place]}"
