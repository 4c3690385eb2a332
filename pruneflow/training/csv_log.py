"""Metrics as one CSV file, which a run that goes on continues."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only

from pruneflow import runfolder

FILE = "metrics.csv"


class CsvLog(Logger):
    """Writes ``metrics.csv``, a row at a time; Lightning's logger begins anew at each start.

    Args:
        folder: Where the file goes.
        first_step: Rows of an earlier life of the run from this step on are dropped: they are
            about to be written again.
    """

    def __init__(self, folder: Path, first_step: int = 0) -> None:
        super().__init__()
        self.path = folder / FILE
        self._rows = [row for row in _read(self.path) if _step(row) < first_step]
        self._columns = sorted({column for row in self._rows for column in row})
        self._begun = False

    @property
    def name(self) -> str:
        """See base class."""
        return ""

    @property
    def version(self) -> str:
        """See base class."""
        return ""

    @property
    def save_dir(self) -> str:
        """See base class."""
        return str(self.path.parent)

    @property
    def log_dir(self) -> str:
        """See base class."""
        return self.save_dir

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: ``run.lock.yaml`` beside it has them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Write a row, at once: a run may be killed at any time."""
        row = {name: _text(value) for name, value in metrics.items()}
        row["step"] = str(step or 0)
        self._rows.append(row)
        fresh = row.keys() - set(self._columns)
        if fresh or not self._begun:
            self._columns = sorted({*self._columns, *fresh})
            text = _lines(self._columns, [dict(zip(self._columns, self._columns, strict=True))])
            runfolder.write_bytes(self.path, (text + _lines(self._columns, self._rows)).encode())
            self._begun = True
        else:
            with self.path.open("a", encoding="utf-8", newline="") as stream:
                stream.write(_lines(self._columns, [row]))


def _text(value: Any) -> str:
    """A number, or a tensor of one."""
    return str(value.item() if hasattr(value, "item") else value)


def _lines(columns: list[str], rows: list[dict[str, str]]) -> str:
    text = io.StringIO()
    csv.DictWriter(text, columns, restval="", lineterminator="\n").writerows(rows)
    return text.getvalue()


def _step(row: dict[str, str]) -> float:
    try:
        return int(row["step"])
    except (KeyError, ValueError):  # somebody has edited the file
        return math.inf


def _read(path: Path) -> list[dict[str, str]]:
    """Its whole rows; a kill may have cut the last one short."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    whole = text[: text.rfind("\n") + 1]
    rows = csv.DictReader(io.StringIO(whole, newline=""))
    return [{name: value for name, value in row.items() if name and value} for row in rows]
