"""What a configuration may say about the Lightning trainer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from pruneflow.errors import ConfigError

_ALL = ("auto", "-1", -1)
_TAKEN = {
    "callbacks": "callbacks are for programs of your own",
    "default_root_dir": "write hydra.run.dir=FOLDER",
    "logger": "write logger=csv or logger=none",
}


def check_trainer(trainer: Mapping[str, Any]) -> None:
    """Refuse settings that are not the person's, and several processes.

    Raises:
        ConfigError: There is such a setting.
    """
    for key in trainer:
        if key in _TAKEN:
            raise ConfigError(f"trainer.{key}: cannot be set here; {_TAKEN[key]}")
    require_one_process(trainer)


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
