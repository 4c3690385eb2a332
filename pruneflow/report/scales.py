"""Axes whose numbers people can read: decades in 1-2-5 steps, percent, batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

MOST_TICKS = 7


def steps(low: float, high: float, most: int = MOST_TICKS) -> list[float]:
    """Ticks of a logarithmic axis, from at or below ``low`` to at or above ``high``.

    Args:
        low: The smallest value, above 0.
        high: The largest value.
        most: How many ticks at most, if whole decades are few enough.
    """
    bottom, top = math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1
    for within in ((1, 2, 5), (1, 3), (1,)):
        all_steps = [m * 10.0**decade for decade in range(bottom, top + 1) for m in within]
        first = max(i for i, value in enumerate(all_steps) if value <= low * (1 + 1e-9))
        last = min(i for i, value in enumerate(all_steps) if value >= high * (1 - 1e-9))
        chosen = all_steps[first : max(last, first + 1) + 1]
        if len(chosen) <= most:
            return chosen
    return chosen[:: -(-len(chosen) // most)]


def logarithmic(
    axis: XAxis | YAxis, values: Iterable[float], written: Callable[[float], str]
) -> None:
    """A logarithmic axis around values above 0, with a grid.

    Args:
        axis: The x or the y axis.
        values: What will be drawn.
        written: How a tick is written.
    """
    values = list(values)
    low, high = min(values), max(values)
    ticks = steps(low, high)
    (axis.axes.set_xscale if axis.axis_name == "x" else axis.axes.set_yscale)("log")
    room = (high / low) ** 0.05
    inside = [tick for tick in ticks if low / room <= tick <= high * room]
    if len(inside) < 2:
        low, high, room, inside = min(low, ticks[0]), max(high, ticks[-1]), 1.0, ticks
    _limit(axis, low / room, high * room)
    ticked(axis, inside, written)
    axis.grid(True)


def batches(axes: Axes, values: Sequence[float]) -> None:
    """The x axis of a chart against the batch: a tick at every batch, or at some of many."""
    values = sorted(set(values))
    axes.set_xscale("log", base=2)
    axes.set_xlim(values[0] / 1.5, values[-1] * 1.5)
    ticked(axes.xaxis, values[:: -(-len(values) // 8)], lambda value: f"{value:.0f}")


def shares(axis: XAxis | YAxis, values: Iterable[float]) -> None:
    """An axis in percent, with a grid."""
    values = list(values)
    low, high = min(values), max(values)
    margin = max(0.08 * (high - low), 0.005)
    _limit(axis, low - margin, high + margin)
    axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g}%"))
    axis.grid(True)


def few() -> MaxNLocator:
    """Four round numbers or so."""
    return MaxNLocator(4, steps=[1, 2, 2.5, 5, 10])


def _limit(axis: XAxis | YAxis, low: float, high: float) -> None:
    (axis.axes.set_xlim if axis.axis_name == "x" else axis.axes.set_ylim)(low, high)


def ticked(axis: XAxis | YAxis, ticks: Sequence[float], written: Callable[[float], str]) -> None:
    """These ticks and no others.

    Args:
        axis: The x or the y axis.
        ticks: Where they are.
        written: How one is written.
    """
    axis.set_major_locator(FixedLocator(list(ticks)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))
