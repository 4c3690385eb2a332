"""Numbers of a configuration that have to be whole, and from where on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pruneflow.errors import ConfigError

SEEDS = 2**32

LEAST = {
    "steps_per_epoch": 1,
    "checkpoint.every_n_steps": 0,
    "checkpoint.keep": 1,
    "trainer.max_epochs": 0,
    "trainer.max_steps": -1,
    "trainer.threads": 1,
    "trainer.accumulate_grad_batches": 1,
}
OPTIONAL = ("steps_per_epoch", "trainer.max_epochs", "trainer.max_steps", "trainer.threads")


def check_numbers(values: Mapping[str, Any]) -> None:
    """Refuse what is no whole number, or too small or too large a one; and no answer to yes or no.

    Raises:
        ConfigError: With the key and what to write.
    """
    _check_seed(values["seed"])
    if not isinstance(values.get("share", True), bool):
        raise ConfigError(f"share={values['share']}: needs true or false")
    for key, least in LEAST.items():
        section, _, name = key.rpartition(".")
        value: Any = (values[section] if section else values).get(name)
        if value is None and key in OPTIONAL:
            continue
        if not (_is_whole(value) and value >= least):
            raise ConfigError(f"{key}={value}: needs a whole number from {least}")


def _check_seed(seed: Any) -> None:
    if isinstance(seed, list | tuple):
        each = ",".join(map(str, seed))
        raise ConfigError(f"seed=[{each}]: a run has one seed; for several runs: seed={each} -m")
    if seed is not None and not (_is_whole(seed) and 0 <= seed < SEEDS):
        raise ConfigError(
            f"seed={seed}: needs a whole number from 0 to {SEEDS - 1}, or null for a random one"
        )


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
