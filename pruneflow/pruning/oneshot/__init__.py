"""Pruning at one stroke, without training: from calibration batches, or from no data at all.

Importing a criterion needs no torch; the modules beside it that it works with do.
"""

from __future__ import annotations

from importlib import import_module

from pruneflow.pruning.oneshot.base import ONESHOT, Change, OneShot, Task
from pruneflow.pruning.oneshot.calibration import Calibration

for _criterion in ("snip", "sparsegpt", "synflow", "wanda"):
    import_module(f"{__name__}.{_criterion}")

__all__ = ["ONESHOT", "Calibration", "Change", "OneShot", "Task"]
