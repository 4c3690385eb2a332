"""What a configuration may say about the Lightning trainer."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl

from pruneflow.errors import ConfigError, did_you_mean
from pruneflow.training.hardware import ACCELERATORS, PRECISIONS, SHORT

OURS = ("threads", "max_epochs", "max_steps")
"""Settings of ``trainer`` that PruneFlow hands on by itself, or keeps."""

_CHOICES: Mapping[str, Sequence[Any]] = {
    "accelerator": ACCELERATORS,
    "precision": PRECISIONS,
    "deterministic": (True, "warn", False),
    "benchmark": (True, False, None),
}
_TAKEN = {
    "callbacks": "callbacks are for programs of your own",
    "default_root_dir": "write hydra.run.dir=FOLDER",
    "logger": "write logger=csv or logger=none, or another of conf/logger",
}


def check_trainer(trainer: Mapping[str, Any]) -> None:
    """Refuse settings that do not exist or are not the person's.

    Raises:
        ConfigError: There is such a setting.
    """
    known = [*inspect.signature(pl.Trainer).parameters, "threads"]
    for key in trainer:
        if key in _TAKEN:
            raise ConfigError(f"trainer.{key}: cannot be set here; {_TAKEN[key]}")
        if key not in known:
            mend = did_you_mean(key, known)
            raise ConfigError(f"trainer.{key}: Lightning's Trainer has no such setting.{mend}")
    for key, choices in _CHOICES.items():
        _require_choice(trainer, key, choices)


def _require_choice(trainer: Mapping[str, Any], key: str, choices: Sequence[Any]) -> None:
    """Refuse a value that is not among the choices; 1 is no True."""
    written, allowed = _written(trainer.get(key, choices[0])), [_written(c) for c in choices]
    if written not in allowed:
        hint = did_you_mean(SHORT.get(written, written), allowed, always=True)
        raise ConfigError(f"trainer.{key}={written}: is unknown.{hint}")


def _written(value: Any) -> str:
    """A value as YAML has it."""
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)
