"""Train one configuration into one run folder."""

from __future__ import annotations

import logging
import math
import time
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from rich.console import Console

from pruneflow import runfolder
from pruneflow.checkpoint import ExactCheckpoint
from pruneflow.errors import ConfigError
from pruneflow.holding import held
from pruneflow.recipe.plan import Plan
from pruneflow.report.pictures import draw_run
from pruneflow.report.tables import plan_summary
from pruneflow.training import artifacts, loggers, resume, weights
from pruneflow.training.config import RunConfig
from pruneflow.training.measure import MeasuredRecipe, accuracy
from pruneflow.training.planning import preview
from pruneflow.training.preflight import require_here
from pruneflow.training.progress import NOBODY, Watch, progress
from pruneflow.training.trainer_settings import OURS

_ACCURACIES = ("test_accuracy", "test_acc")


def train(
    config: RunConfig, folder: Path, console: Console, watch: Watch = NOBODY
) -> dict[str, Any]:
    """Run a configuration to its end.

    Args:
        config: What to do; ``ckpt_path`` says whether to continue.
        folder: Where everything goes.
        console: Where a person reads along.
        watch: Who else looks on.

    Returns:
        What ``result.json`` holds.

    Raises:
        HeldError: Another process trains in this folder.
        UserError: Something in the configuration, the data or the folder has to be mended.
        TrainingError: The training broke down.
    """
    with held(folder):
        return _train(config, folder, console, watch)


def _train(config: RunConfig, folder: Path, console: Console, watch: Watch) -> dict[str, Any]:
    began = time.perf_counter()
    require_here(config)
    config, checkpoint = resume.begin(config, folder, console)
    config.import_modules()
    _settle(config)
    foresight = preview(config)
    plan = foresight.plan
    planned = foresight.to_dict()
    runfolder.write_json(folder / runfolder.PLAN, planned)
    console.print(plan_summary(planned))
    data, module = config.data(), config.model()
    weights.load(module, config)
    recipe = MeasuredRecipe(
        config.recipe, steps_per_epoch=plan.horizon.steps_per_epoch, seed=config.values["seed"]
    )
    recipe.comes_trained = config.values["model"].get("weights") is not None
    with loggers.opened(config, folder, checkpoint) as logger:
        trainer = _trainer(config, folder, plan, recipe, console, watch, logger)
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        final = accuracy(trainer, module)
        metrics = _test(trainer, module, data)
        if final is None:
            final = next((metrics[name] for name in _ACCURACIES if name in metrics), None)
        recipe.note_round(recipe.clock, final)
        seconds = time.perf_counter() - began
        result = artifacts.write(folder, config, recipe, module, final, metrics, seconds)
        loggers.conclude(logger, config, result)
    assert recipe.engine is not None
    journal = recipe.engine.state.journal
    draw_run(planned, journal, recipe.history, result, folder / runfolder.PICTURE)
    return result


def _settle(config: RunConfig) -> None:
    """Seeds, threads, and quiet."""
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # between Lightning and torch
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    pl.seed_everything(config.values["seed"], workers=True, verbose=False)
    if config.threads not in (None, torch.get_num_threads()):
        torch.set_num_threads(config.threads)


def _trainer(
    config: RunConfig,
    folder: Path,
    plan: Plan,
    recipe: MeasuredRecipe,
    console: Console,
    watch: Watch,
    logger: Any,
) -> pl.Trainer:
    settings = {k: v for k, v in config.values["trainer"].items() if k not in OURS}
    defaults = {
        "enable_model_summary": False,
        "log_every_n_steps": max(1, min(50, plan.horizon.steps_per_epoch)),
        "num_sanity_val_steps": 0,
        "enable_progress_bar": console.is_terminal,
    }
    epochs = plan.total / plan.horizon.steps_per_epoch
    keep = config.values["checkpoint"]
    checkpoint = ExactCheckpoint(
        folder / runfolder.CHECKPOINTS, keep["every_n_steps"], keep["keep"]
    )
    try:
        return pl.Trainer(
            max_epochs=int(epochs) if epochs.is_integer() else -1,
            max_steps=-1 if epochs.is_integer() else plan.total,
            default_root_dir=folder,
            logger=logger,
            callbacks=[recipe, checkpoint, *progress(recipe, console, watch)],
            **{**defaults, **settings},
        )
    except (TypeError, ValueError, ImportError, MisconfigurationException) as error:
        raise ConfigError(f"trainer: {error}") from None


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
