"""What a configuration may say about the Lightning trainer."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch

from pruneflow.errors import ConfigError, did_you_mean
from pruneflow.training.hardware import ACCELERATORS, PRECISIONS, SHORT

OURS = ("threads", "max_epochs", "max_steps")
"""Settings of ``trainer`` that PruneFlow hands on by itself, or keeps."""

_ALL = ("auto", "-1", -1)
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
    """Refuse settings that do not exist or are not the person's, and several processes.

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
    require_one_process(trainer)


def _require_choice(trainer: Mapping[str, Any], key: str, choices: Sequence[Any]) -> None:
    """Refuse a value that is not among the choices; 1 is no True."""
    written, allowed = _written(trainer.get(key, choices[0])), [_written(c) for c in choices]
    if written not in allowed:
        hint = did_you_mean(SHORT.get(written, written), allowed, always=True)
        raise ConfigError(f"trainer.{key}={written}: is unknown.{hint}")


def _written(value: Any) -> str:
    """A value as YAML has it."""
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def require_one_process(trainer: Mapping[str, Any]) -> None:
    """Refuse trainer settings that would start several processes.

    Raises:
        ConfigError: They would.
    """
    devices, nodes = trainer.get("devices", 1), trainer.get("num_nodes", 1)
    if trainer.get("strategy", "auto") not in ("auto", None):
        raise ConfigError(f"trainer.strategy={trainer['strategy']}: one process only, for now")
    if nodes != 1:
        raise ConfigError(f"trainer.num_nodes={nodes}: one process only, for now")
    count = _count(devices, str(trainer.get("accelerator", "auto")))
    if count is not None and count != 1:
        found = f" ({count} devices)" if devices in _ALL else ""
        raise ConfigError(f"trainer.devices={devices}{found}: one process only, for now; write 1")


def _count(devices: Any, accelerator: str) -> int | None:
    """How many devices that asks for, or None where only Lightning can say."""
    if devices in _ALL:
        on_gpu = accelerator in ("auto", "gpu", "cuda")
        return max(1, torch.cuda.device_count()) if on_gpu else 1
    if isinstance(devices, list | tuple):
        return len(devices)
    text = str(devices).strip()
    if "," in text:
        return len([part for part in text.split(",") if part.strip()])
    return int(text) if text.isdigit() else None
