"""A layer in integers: codes, biases in steps of each row's sums, and what a step is worth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pruneflow.deploy.c99.quantized.quantities import LEAST, LOWEST, Quantity
from pruneflow.deploy.c99.quantized.rescaling import MOST_SUM, Fixed, Integers, Rescale
from pruneflow.deploy.c99.weights import Stored
from pruneflow.errors import DeployError

Reals = npt.NDArray[np.float64]

MOST_BIAS = MOST_SUM >> 2
"""In steps of a row; a row whose bias is larger gets coarser steps."""
COARSEST = 1 / 8
"""Steps of the output; it gets coarser ones if a row had: halves are those of whole steps."""
_FINEST = 2.0**-20
"""Steps of the output; a row has no finer ones."""
_FINEST_ADDED = 2.0**-15
"""Steps of another result that is added; likewise."""
_ADDED_BITS = 16


@dataclass(frozen=True)
class Rows:
    """The rows of a linear layer or a convolution.

    Attributes:
        stored: The weight; its scales are of no further use.
        plain: Biases in steps, (rows,).
        bias: What sums of codes times bytes start from: the same less ``zero`` times each code.
        units: What a step of each row is worth, (rows,).
    """

    stored: Stored
    plain: Integers
    bias: Integers
    units: Reals


@dataclass(frozen=True)
class Finish:
    """How the sums of rows become bytes: all (rows,).

    Attributes:
        offset: What is added first: half a step of the output, and the steps from its least byte
            to that of 0.
        factors: Of 16 bits, and how far their products are shifted besides:
        shifts: Likewise.
        other: Factors of another result's bytes, counted from -128, that are added to the sums; of
            16 bits, or none.
        other_shifts: How far their products are shifted.
        other_zero: What they come to for that result's zero.
    """

    offset: Integers
    factors: Integers
    shifts: Integers
    other: Integers
    other_shifts: Integers
    other_zero: Integers

    @classmethod
    def of(cls, rows: Rows, target: Quantity, low: int, other: Quantity | None) -> Finish:
        """For rows whose output is in a quantity and has a least byte."""
        found = [Rescale.of(unit / target.scale) for unit in rows.units.tolist()]
        offset = [round((target.zero - low + 0.5) / one.real) for one in found]
        added, zeros = [], []
        for unit in rows.units.tolist() if other is not None else ():
            assert other is not None
            added.append(Fixed.of(other.scale / unit, bits=_ADDED_BITS))
            zeros.append((other.zero - LOWEST) * added[-1].factors[0] >> added[-1].shift)
        columns = (
            offset, [one.factor for one in found], [one.shift for one in found],
            [one.factors[0] for one in added], [one.shift for one in added], zeros,
        )  # fmt: skip
        return cls(*(np.array(column, np.int64) for column in columns))


def rows_of(
    stored: Stored, bias: Reals, source: Quantity, target: Quantity | None, other: Quantity | None
) -> Rows:
    """A layer's rows.

    A row that could not hold its bias in its own steps, or whose steps are next to nothing in the
    output's, gets coarser ones: its weights hardly matter beside the bias, or not at all.

    Args:
        stored: Its weight: int8 codes.
        bias: (rows,).
        source: Of its input.
        target: Of its output, as fine as it may be; None: it is written in floats.
        other: Of what is added to its output.
    """
    assert stored.coded.scales is not None
    own = stored.coded.scales.astype(np.float64) * source.scale
    finest = LEAST if target is None else target.scale * _FINEST
    finest = max(finest, 0.0 if other is None else other.scale * _FINEST_ADDED)
    units = np.maximum(np.maximum(own, np.abs(bias) / MOST_BIAS), finest)
    stored = _coarser(stored, own / units)
    plain = np.rint(bias / units).astype(np.int64)
    folded = plain - source.zero * stored.coded.codes.astype(np.int64).sum(1)
    return Rows(stored, plain, folded, units)


def first_sums(rows: Rows, finish: Finish | None) -> Integers:
    """What the sums of rows start from in C code, (rows,)."""
    if finish is None:
        return rows.bias
    return rows.bias + finish.offset - (finish.other_zero if len(finish.other) else 0)


def require_fits(name: str, rows: Rows, finish: Finish | None) -> None:
    """Refuse rows whose sums do not fit 32 bits, whatever the input is.

    Args:
        name: Of the layer.
        rows: Its rows.
        finish: How they become bytes, if they do.

    Raises:
        DeployError: They do not.
    """
    codes = np.abs(rows.stored.coded.codes.astype(np.int64))
    most = np.abs(first_sums(rows, finish)) - LOWEST * codes.sum(1)
    if finish is not None and len(finish.other):
        most = most + (2**8 * finish.other >> finish.other_shifts)
    if most.max() > MOST_SUM:
        raise DeployError(
            f"deploy.activations=int8: the sums of {name} do not fit 32 bits: it has up to "
            f"{int((codes != 0).sum(1).max())} weights in a row; choose deploy.activations=fp32"
        )


def _coarser(stored: Stored, shares: Reals) -> Stored:
    """The same weight in steps that are larger: codes times shares of 1, (rows,), rounded."""
    if (shares == 1).all():
        return stored
    codes = stored.coded.codes
    counts = np.full(len(codes), codes.shape[1]) if stored.counts is None else stored.counts
    of_entries = np.repeat(shares, counts.astype(np.int64))
    entries = np.rint(stored.entries.astype(np.float64) * of_entries).astype(np.int8)
    codes = np.rint(codes.astype(np.float64) * shares[:, None]).astype(np.int8)
    return replace(stored, entries=entries, coded=replace(stored.coded, codes=codes))
