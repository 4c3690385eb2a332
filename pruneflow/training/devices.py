"""``trainer.devices``: how many processes train together, one on each device."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch

from pruneflow.errors import ConfigError
from pruneflow.training.hardware import device

MOST_PER_CORE = 4
"""Processes on a CPU: more can only be a slip."""

_ALL = ("auto", "-1", -1)


def resolved(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a trainer whose ``devices`` is a number, or a list of the numbers of GPUs.

    Raises:
        ConfigError: It is neither, or something else asks for processes.
    """
    for key, only in (("strategy", ("auto", None)), ("num_nodes", (1,))):
        if trainer.get(key, only[0]) not in only:
            raise ConfigError(
                f"trainer.{key}={trainer[key]}: cannot be set; trainer.devices=N trains in N "
                "processes of one machine (DistributedDataParallel)"
            )
    asked = trainer.get("devices", 1)
    where = device(str(trainer.get("accelerator", "auto")))
    found = _resolved(asked, where)
    if where == "mps" and processes({"devices": found}) > 1:
        raise ConfigError(f"trainer.devices={asked}: Apple's GPU is one device; write 1")
    return {**trainer, "devices": found}


def processes(trainer: Mapping[str, Any]) -> int:
    """How many processes that ``devices`` asks for, once it is resolved."""
    devices = trainer["devices"]
    return len(devices) if isinstance(devices, list) else int(devices)


def require_devices(trainer: Mapping[str, Any]) -> None:
    """Refuse more devices than this machine has.

    Raises:
        ConfigError: With how many there are.
    """
    devices, where = trainer["devices"], device(str(trainer.get("accelerator", "auto")))
    if where == "cuda":
        there = torch.cuda.device_count()
        if (max(devices) + 1 if isinstance(devices, list) else devices) > there:
            raise ConfigError(f"trainer.devices={_written(devices)}: there are {there} GPUs here")
    elif (count := processes(trainer)) > MOST_PER_CORE * (cores := os.cpu_count() or 1):
        raise ConfigError(
            f"trainer.devices={count}: as many processes on {cores} cores of this machine; "
            f"{MOST_PER_CORE * cores} are the most"
        )


def _resolved(asked: Any, where: str | None) -> int | list[int]:
    if asked in _ALL and not isinstance(asked, bool):
        return max(1, torch.cuda.device_count()) if where == "cuda" else 1
    parts = asked.split(",") if isinstance(asked, str) and "," in asked else asked
    if isinstance(parts, list | tuple):
        numbers = [_number(part) for part in parts if str(part).strip()]
        if where == "cpu":
            raise ConfigError(
                f"trainer.devices={_written(asked)}: a CPU has no numbered devices; write how "
                "many processes, e.g. 2"
            )
        if numbers and None not in numbers and len({*numbers}) == len(numbers):
            return [number for number in numbers if number is not None]
    elif number := _number(asked):
        return number
    raise ConfigError(
        f"trainer.devices={_written(asked)}: needs a whole number from 1, one process for each; "
        "or auto; or a list of different GPUs, e.g. [0,2]"
    )


def _number(value: Any) -> int | None:
    """A whole number from 0, or one as text."""
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return value if type(value) is int and value >= 0 else None


def _written(devices: Any) -> str:
    is_list = isinstance(devices, list | tuple)
    return f"[{','.join(map(str, devices))}]" if is_list else str(devices)
