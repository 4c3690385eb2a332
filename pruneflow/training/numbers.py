"""Numbers of a configuration that have to be whole, and from where on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pruneflow.errors import ConfigError

LEAST = {
    "seed": 0,
    "steps_per_epoch": 1,
    "checkpoint.every_n_steps": 0,
    "checkpoint.keep": 1,
    "trainer.max_epochs": 1,
    "trainer.threads": 1,
    "trainer.accumulate_grad_batches": 1,
}
OPTIONAL = ("steps_per_epoch", "trainer.max_epochs", "trainer.threads")


def check_numbers(values: Mapping[str, Any]) -> None:
    """Refuse what is no whole number, or too small a one.

    Raises:
        ConfigError: With the key and what to write.
    """
    for key, least in LEAST.items():
        section, _, name = key.rpartition(".")
        value = (values[section] if section else values).get(name)
        if value is None and key in OPTIONAL:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ConfigError(f"{key}={value}: needs a whole number from {least}")
