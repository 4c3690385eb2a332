"""Train one configuration into one run folder; start it, resume it, repeat it."""

from __future__ import annotations

import logging
import math
import time
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import yaml
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.loggers import CSVLogger
from rich.console import Console
from safetensors.torch import load_file

from pruneflow import runfolder
from pruneflow.checkpoint import ExactCheckpoint, newest_checkpoint
from pruneflow.errors import ConfigError, ResumeError
from pruneflow.recipe.plan import Plan
from pruneflow.report.pictures import draw_run
from pruneflow.report.tables import plan_summary
from pruneflow.training import artifacts
from pruneflow.training.config import RunConfig
from pruneflow.training.measure import MeasuredRecipe, accuracy
from pruneflow.training.planning import preview
from pruneflow.training.progress import progress

_OURS = ("threads", "max_epochs")


def train(config: RunConfig, folder: Path, console: Console) -> dict[str, Any]:
    """Run a configuration to its end.

    Args:
        config: What to do; ``ckpt_path`` says whether to continue.
        folder: Where everything goes.
        console: Where a person reads along.

    Returns:
        What ``result.json`` holds.

    Raises:
        UserError: Something in the configuration, the data or the folder has to be mended.
        TrainingError: The training broke down.
    """
    began = time.perf_counter()
    checkpoint = _begin(config, folder, console)
    config.import_modules()
    _settle(config)
    foresight = preview(config)
    plan = foresight.plan
    planned = foresight.to_dict()
    runfolder.write_json(folder / runfolder.PLAN, planned)
    console.print(plan_summary(planned))
    data, module = config.data(), config.model()
    _load_weights(module, config.values["model"].get("weights"))
    recipe = MeasuredRecipe(
        config.recipe, steps_per_epoch=plan.horizon.steps_per_epoch, seed=config.values["seed"]
    )
    trainer = _trainer(config, folder, plan, recipe, console)
    trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    final = accuracy(trainer, module)
    metrics = _test(trainer, module, data)
    seconds = time.perf_counter() - began
    result = artifacts.write(folder, config, recipe, module, final, metrics, seconds)
    assert recipe.engine is not None
    journal = recipe.engine.state.journal
    draw_run(planned, journal, recipe.history, result, folder / runfolder.PICTURE)
    return result


def read_lock(folder: Path) -> RunConfig:
    """The configuration of an earlier run.

    Raises:
        ResumeError: The folder holds no run.
    """
    path = folder / runfolder.RUN_LOCK
    try:
        lock = yaml.safe_load(path.read_text(encoding="utf-8"))
        return RunConfig.from_lock(lock)
    except OSError as error:
        raise ResumeError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise ResumeError(f"{path}: is damaged: {error}") from None


def _begin(config: RunConfig, folder: Path, console: Console) -> Path | None:
    """Claim the folder, or find the checkpoint from which to continue in it."""
    wanted = config.values["ckpt_path"]
    if wanted == "last" and (folder / runfolder.RUN_LOCK).is_file():
        found = newest_checkpoint(folder / runfolder.CHECKPOINTS)
        where = f"from {found}" if found else "from the start, for there is no checkpoint yet"
        console.print(f"Continuing {folder} {where}")
        return found
    if wanted == "last":
        raise ResumeError(f"nothing to continue in {folder}: no run began there")
    if wanted is not None and not Path(wanted).is_file():
        raise ResumeError(f"ckpt_path: no file '{wanted}'")
    runfolder.claim(folder)
    lock = config.to_lock()
    text = yaml.safe_dump(lock, sort_keys=False, allow_unicode=True)
    runfolder.write_bytes(folder / runfolder.RUN_LOCK, text.encode())
    text = yaml.safe_dump(lock["recipe"], sort_keys=False, allow_unicode=True)
    runfolder.write_bytes(folder / runfolder.RECIPE_LOCK, text.encode())
    return Path(wanted) if wanted else None


def _settle(config: RunConfig) -> None:
    """Seeds, threads, and quiet."""
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # between Lightning and torch
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    pl.seed_everything(config.values["seed"], workers=True, verbose=False)
    threads = config.values["trainer"]["threads"]
    if threads is not None:
        torch.set_num_threads(threads)


def _trainer(
    config: RunConfig, folder: Path, plan: Plan, recipe: MeasuredRecipe, console: Console
) -> pl.Trainer:
    settings = {k: v for k, v in config.values["trainer"].items() if k not in _OURS}
    steps_per_epoch = plan.horizon.steps_per_epoch
    epochs = plan.total / steps_per_epoch
    keep = config.values["checkpoint"]
    checkpoint = ExactCheckpoint(
        folder / runfolder.CHECKPOINTS, keep["every_n_steps"], keep["keep"]
    )
    try:
        return pl.Trainer(
            max_epochs=int(epochs) if epochs.is_integer() else -1,
            max_steps=-1 if epochs.is_integer() else plan.total,
            default_root_dir=folder,
            logger=_logger(config, folder),
            callbacks=[recipe, checkpoint, progress(recipe, console)],
            enable_model_summary=False,
            log_every_n_steps=max(1, min(50, steps_per_epoch)),
            num_sanity_val_steps=0,
            deterministic="warn",
            **{"enable_progress_bar": console.is_terminal, **settings},
        )
    except (TypeError, ValueError, ImportError, MisconfigurationException) as error:
        raise ConfigError(f"trainer: {error}") from None


def _logger(config: RunConfig, folder: Path) -> Any:
    name = config.values["logger"]["name"]
    if name == "none":
        return False
    if name == "csv":
        return CSVLogger(folder, name="logs")
    raise ConfigError(f"logger.name: '{name}' is unknown. Allowed: csv, none.")


def _load_weights(module: pl.LightningModule, path: str | None) -> None:
    if path is None:
        return
    try:
        module.load_state_dict(load_file(path))
    except Exception as error:
        raise ConfigError(f"model.weights: '{path}' does not fit: {error}") from None


def _test(
    trainer: pl.Trainer, module: pl.LightningModule, data: pl.LightningDataModule
) -> dict[str, float]:
    """What the module's own ``test_step`` logs."""
    overridden = type(module).test_step is not pl.LightningModule.test_step
    has_data = type(data).test_dataloader is not pl.LightningDataModule.test_dataloader
    if not overridden or not has_data:
        return {}
    (metrics,) = trainer.test(module, datamodule=data, verbose=False, weights_only=True)
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
