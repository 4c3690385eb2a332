"""``model.weights``: the weights that a run begins with."""

from __future__ import annotations

from pytorch_lightning import LightningModule
from safetensors import safe_open

from pruneflow import weights_file
from pruneflow.errors import ConfigError
from pruneflow.module_tensors import load_tensors
from pruneflow.structure import resize
from pruneflow.training.config import RunConfig


def fit(module: LightningModule, config: RunConfig) -> None:
    """Give a module the sizes of its weights to come, which channels may have been removed from.

    Raises:
        ConfigError: The file cannot be read, or is of another network.
    """
    path = config.values["model"].get("weights")
    if path is None:
        return
    try:
        with safe_open(config.home / path, "pt") as file:
            resize(module, {name: file.get_slice(name).get_shape() for name in file.keys()})  # noqa: SIM118
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error
        raise ConfigError(f"model.weights: '{path}' cannot be read: {reason}") from None
    except Exception as error:
        raise ConfigError(f"model.weights: '{path}' does not fit: {error}") from None


def load(module: LightningModule, config: RunConfig) -> None:
    """Load a module's weights, if there are any.

    Raises:
        ConfigError: See ``fit``.
    """
    path = config.values["model"].get("weights")
    if path is None:
        return
    module.configure_model()  # layers that are built late have weights too
    fit(module, config)
    try:
        tensors = weights_file.load(config.home / path)
    except ValueError as error:
        raise ConfigError(f"model.weights: '{path}' {error}") from None
    except Exception as error:
        raise ConfigError(f"model.weights: '{path}' does not fit: {error}") from None
    try:
        load_tensors(module, tensors)
    except Exception as error:
        raise ConfigError(f"model.weights: '{path}' does not fit: {error}") from None
