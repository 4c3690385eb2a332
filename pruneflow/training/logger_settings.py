"""What a configuration may say about the logger, and whether its package is here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from pruneflow.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Kind:
    """A logger that can be asked for.

    Attributes:
        package: What has to be installed; the extra that brings it has the same name.
        keys: Its settings beside its name, and what they have to be.
    """

    package: str | None = None
    keys: Mapping[str, type] = field(default_factory=dict)


KINDS = {
    "csv": Kind(),
    "tensorboard": Kind("tensorboard"),
    "wandb": Kind("wandb", {"project": str, "offline": bool}),
    "mlflow": Kind("mlflow", {"experiment": str, "tracking_uri": str}),
    "none": Kind(),
}

OPTIONAL = ("tracking_uri",)

_WORDS = {str: "text", bool: "true or false"}


def check_logger(settings: Mapping[str, Any]) -> None:
    """Refuse loggers and settings that do not exist.

    Raises:
        ConfigError: With what to write instead.
    """
    name = settings["name"]
    if name not in KINDS:
        raise ConfigError(f"logger.name: '{name}' is unknown.{did_you_mean(name, KINDS, True)}")
    keys = KINDS[name].keys
    for key in settings:
        if key not in ("name", *keys):
            hint = did_you_mean(key, keys) or " It has no settings."
            raise ConfigError(f"logger.{key}: logger={name} has no such setting.{hint}")
    for key, kind in keys.items():
        if key not in settings:
            raise ConfigError(f"logger.{key}: is missing; write logger={name}, which brings it")
        value = settings[key]
        if not isinstance(value, kind) and not (value is None and key in OPTIONAL):
            raise ConfigError(f"logger.{key}={value}: needs {_WORDS[kind]}")


def require_logger(settings: Mapping[str, Any]) -> None:
    """Refuse a logger whose package is not installed.

    Raises:
        ConfigError: With what to install.
    """
    package = KINDS[settings["name"]].package
    if package is not None and find_spec(package) is None:
        raise ConfigError(f"logger={package} needs: pip install 'pruneflow[{package}]'")
