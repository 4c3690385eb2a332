"""Whether a run can take place on this machine; asked before the first one of a sweep starts."""

from __future__ import annotations

from pruneflow.training.config import RunConfig
from pruneflow.training.devices import require_devices
from pruneflow.training.hardware import require_hardware
from pruneflow.training.logger_settings import require_logger


def require_here(config: RunConfig) -> None:
    """Refuse what this machine does not have.

    Raises:
        ConfigError: A device or a package is not here; with what to do about it.
    """
    require_hardware(config.values["trainer"])
    require_devices(config.values["trainer"])
    require_logger(config.values["logger"])
