"""Metrics as one CSV file, which a run that goes on continues."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only

from pruneflow import runfolder

FILE = "metrics.csv"

Row = dict[str, str]


class Record(Logger):
    """Keeps rows of metrics, of which each is a step's.

    Args:
        rows: Those of an earlier life of the run.
    """

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        super().__init__()
        self.rows = list(rows)

    @property
    def name(self) -> str:
        """See base class."""
        return ""

    @property
    def version(self) -> str:
        """See base class."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: ``run.lock.yaml`` beside it has them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Keep a row."""
        row = {name: _text(value) for name, value in metrics.items()}
        row["step"] = str(step or 0)
        self.rows.append(row)


class CsvLog(Record):
    """Writes ``metrics.csv``, a row at a time; Lightning's logger begins anew at each start.

    Args:
        folder: Where the file goes.
        first_step: Rows of an earlier life of the run from this step on are dropped: they are
            about to be written again.
    """

    def __init__(self, folder: Path, first_step: int = 0) -> None:
        self.path = folder / FILE
        super().__init__(before(read_rows(self.path), first_step))
        self._columns = columns_of(self.rows)
        self._begun = False

    @property
    def save_dir(self) -> str:
        """See base class."""
        return str(self.path.parent)

    @property
    def log_dir(self) -> str:
        """See base class."""
        return self.save_dir

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Write a row, at once: a run may be killed at any time."""
        super().log_metrics(metrics, step)
        row = self.rows[-1]
        fresh = row.keys() - set(self._columns)
        if fresh or not self._begun:
            self._columns = sorted({*self._columns, *fresh})
            runfolder.write_bytes(self.path, table(self.rows).encode())
            self._begun = True
        else:
            with self.path.open("a", encoding="utf-8", newline="") as stream:
                stream.write(_lines(self._columns, [row]))


def read_rows(path: Path) -> list[Row]:
    """A file's whole rows; a kill may have cut the last one short."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    whole = text[: text.rfind("\n") + 1]
    rows = csv.DictReader(io.StringIO(whole, newline=""))
    return [{name: value for name, value in row.items() if name and value} for row in rows]


def before(rows: Iterable[Row], step: int) -> list[Row]:
    """The rows of earlier steps."""
    return [row for row in rows if _step(row) < step]


def columns_of(rows: Iterable[Row]) -> list[str]:
    """Every column that a row has."""
    return sorted({column for row in rows for column in row})


def table(rows: Sequence[Row]) -> str:
    """Rows as a CSV file has them, below the names of their columns."""
    columns = columns_of(rows)
    return _lines(columns, [dict(zip(columns, columns, strict=True))]) + _lines(columns, rows)


def numbers(row: Row) -> dict[str, float]:
    """A row's metrics as they were logged; what is no number is left out."""
    found = {}
    for name, value in row.items():
        with suppress(ValueError):
            if name != "step":
                found[name] = float(value)
    return found


def _text(value: Any) -> str:
    """A number, or a tensor of one."""
    return str(value.item() if hasattr(value, "item") else value)


def _lines(columns: Sequence[str], rows: Iterable[Row]) -> str:
    text = io.StringIO()
    csv.DictWriter(text, columns, restval="", lineterminator="\n").writerows(rows)
    return text.getvalue()


def _step(row: Row) -> float:
    try:
        return int(row["step"])
    except (KeyError, ValueError):  # somebody has edited the file
        return math.inf
