"""The shape of a configuration: the keys that it has to have, and what they hold."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from pruneflow.errors import ConfigError

NEEDED: Mapping[str, tuple[str, ...]] = {
    "": ("seed", "steps_per_epoch", "imports", "ckpt_path", "checkpoint", "model", "data",
         "optimizer", "trainer", "logger"),
    "checkpoint": ("every_n_steps", "keep"),
    "model": ("name", "module", "args"),
    "data": ("name", "module", "args", "batch_size", "root"),
    "optimizer": ("name",),
    "trainer": ("max_epochs", "accumulate_grad_batches"),
    "logger": ("name",),
}  # fmt: skip
TEXTS = (
    "ckpt_path", "model.name", "model.module", "model.weights", "data.name", "data.module",
    "data.root", "optimizer.name", "optimizer.scheduler", "logger.name",
)  # fmt: skip
MAPPINGS = ("model.args", "data.args")
SHARES = ("trainer.limit_train_batches", "trainer.limit_val_batches", "trainer.limit_test_batches")


def check_sections(values: Mapping[str, Any]) -> None:
    """Refuse a configuration in which something is missing, or of another kind.

    Raises:
        ConfigError: With the key and what it needs.
    """
    for section, keys in NEEDED.items():
        part = values[section] if section else values
        if not isinstance(part, Mapping):
            raise ConfigError(
                f"{section}={part}: needs keys and values, as conf/{section} has them"
            )
        for key in keys:
            if key not in part:
                dotted = f"{section}.{key}".strip(".")
                raise ConfigError(f"{dotted}: is missing, and a run needs it")
    for key in TEXTS:
        value = _at(values, key)
        if value is not None and not isinstance(value, str):
            raise ConfigError(f"{key}={value}: needs text; write it in quotes if it is a name")
    for key in MAPPINGS:
        if not isinstance(_at(values, key), Mapping):
            raise ConfigError(f"{key}={_at(values, key)}: needs names and values, or {{}}")
    for key, value in values["optimizer"].items():
        if isinstance(value, float) and not isfinite(value):
            raise ConfigError(f"optimizer.{key}={value}: needs a finite number")
    for key in SHARES:
        value = _at(values, key)
        if value is not None and not _is_share(value):
            raise ConfigError(
                f"{key}={value}: needs a whole number of batches, or a share from 0.0 to 1.0"
            )


def _at(values: Mapping[str, Any], key: str) -> Any:
    section, _, name = key.rpartition(".")
    return (values[section] if section else values).get(name)


def _is_share(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return value >= 0 if isinstance(value, int) else isfinite(value) and 0 <= value <= 1
