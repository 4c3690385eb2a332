"""Train one configuration into one run folder."""

from __future__ import annotations

import logging
import math
import time
import warnings
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from rich.console import Console

from pruneflow import runfolder
from pruneflow.checkpoint import ExactCheckpoint, require_finite
from pruneflow.errors import ConfigError
from pruneflow.holding import held
from pruneflow.recipe.plan import Plan
from pruneflow.report.pictures import draw_run
from pruneflow.report.tables import plan_summary
from pruneflow.training import artifacts, loggers, resume, weights
from pruneflow.training.config import RunConfig
from pruneflow.training.csv_log import Record
from pruneflow.training.divided import divide
from pruneflow.training.launching import launch
from pruneflow.training.measure import MeasuredRecipe, accuracy, has_test_data
from pruneflow.training.parallel import LONE, Parallel, Seat
from pruneflow.training.planning import preview
from pruneflow.training.preflight import require_here
from pruneflow.training.progress import NOBODY, Watch, progress
from pruneflow.training.shared.joining import joined
from pruneflow.training.shared.points import SharingCheckpoint
from pruneflow.training.shared.work import ALONE, Common, Work
from pruneflow.training.stopping import StopWhenAsked
from pruneflow.training.trainer_settings import OURS

_ACCURACIES = ("test_accuracy", "test_acc")


def train(
    config: RunConfig,
    folder: Path,
    console: Console,
    watch: Watch = NOBODY,
    common: Common = ALONE,
) -> dict[str, Any]:
    """Run a configuration to its end.

    Args:
        config: What to do; ``ckpt_path`` says whether to continue.
        folder: Where everything goes.
        console: Where a person reads along.
        watch: Who else looks on.
        common: What it has in common with other runs.

    Returns:
        What ``result.json`` holds.

    Raises:
        HeldError: Another process trains in this folder.
        UserError: Something in the configuration, the data or the folder has to be mended.
        TrainingError: The training broke down.
    """
    with held(folder):
        require_here(config)
        config, checkpoint = resume.begin(config, folder, console)
        if config.processes > 1:
            return launch(config, folder, checkpoint, console, watch)
        return run_here(config, folder, checkpoint, console, watch, common)


def run_here(
    config: RunConfig,
    folder: Path,
    checkpoint: Path | None,
    console: Console,
    watch: Watch,
    common: Common = ALONE,
    seat: Seat = LONE,
) -> dict[str, Any]:
    """Train in this process, alone or as one of several.

    Args:
        config: What to do, as locked.
        folder: See ``train``.
        checkpoint: What to begin from, if anything.
        console: See ``train``.
        watch: See ``train``.
        common: See ``train``.
        seat: This process's place among several.

    Returns:
        What ``result.json`` holds; nothing in a process that does not write it.
    """
    began = time.perf_counter()
    config.import_modules()
    _settle(config)
    foresight = preview(config)
    plan = foresight.plan
    planned = foresight.to_dict()
    if seat.is_first:
        for place in (folder, folder / loggers.FOLDER):
            runfolder.sweep_temporaries(place)
        runfolder.write_json(folder / runfolder.PLAN, planned)
    console.print(plan_summary(planned))
    data, module = config.data(), config.model()
    divide(data, config, seat.rank)
    weights.load(module, config)
    recipe = MeasuredRecipe(
        config.recipe, steps_per_epoch=plan.horizon.steps_per_epoch, seed=config.values["seed"]
    )
    recipe.comes_trained = config.values["model"].get("weights") is not None
    with (
        joined(config, plan, folder, checkpoint, common, partial(_say, console)) as work,
        loggers.opened(config, folder, work.checkpoint, work.rows)
        if seat.is_first
        else nullcontext(False) as logger,
    ):
        trainer = _trainer(config, folder, plan, recipe, console, watch, logger, work, seat)
        seat.draw_apart(config.seed)
        trainer.fit(module, datamodule=data, ckpt_path=work.checkpoint, weights_only=True)
        require_finite(recipe)
        final = accuracy(trainer, module)
        metrics = _test(trainer, module, data)
        if final is None:
            final = next((metrics[name] for name in _ACCURACIES if name in metrics), None)
        recipe.note_round(recipe.clock, final)
        if not seat.is_first:
            return {}
        if not runfolder.has_begun(folder):
            raise ConfigError(f"{runfolder.shown(folder)}: was deleted while the run trained")
        seconds = time.perf_counter() - began
        result = artifacts.write(
            folder, config, recipe, module, final, metrics, seconds, work.taken
        )
        loggers.conclude(logger, config, result)
    assert recipe.engine is not None
    journal = recipe.engine.state.journal
    draw_run(planned, journal, recipe.history, result, folder / runfolder.PICTURE)
    runfolder.write_json(folder / runfolder.RESULT, result)  # now the run is finished
    return result


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


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
    work: Work,
    seat: Seat,
) -> pl.Trainer:
    settings = {k: v for k, v in config.values["trainer"].items() if k not in OURS}
    defaults = {
        "enable_model_summary": False,
        "log_every_n_steps": max(1, min(50, plan.horizon.steps_per_epoch)),
        "num_sanity_val_steps": 0,
        "enable_progress_bar": console.is_terminal,
    }
    if seat.on_end is not None:
        settings["strategy"] = Parallel(seat.on_end)
    epochs = plan.total / plan.horizon.steps_per_epoch
    keep = config.values["checkpoint"]
    where = (folder / runfolder.CHECKPOINTS, keep["every_n_steps"], keep["keep"])
    checkpoint = ExactCheckpoint(*where)
    if work.places:
        record = logger if isinstance(logger, Record) else Record(work.rows)
        checkpoint = SharingCheckpoint(*where, work, record)
        logger = [*([logger] if logger else []), *([] if record is logger else [record])]
    stops = [StopWhenAsked(checkpoint)] if seat.on_end is None else []  # else all have to agree
    try:
        return pl.Trainer(
            max_epochs=int(epochs) if epochs.is_integer() else -1,
            max_steps=-1 if epochs.is_integer() else plan.total,
            default_root_dir=folder,
            logger=logger,
            callbacks=[recipe, checkpoint, *stops, *progress(recipe, console, watch)],
            **{**defaults, **settings},
        )
    except (TypeError, ValueError, ImportError, MisconfigurationException) as error:
        raise ConfigError(f"trainer: {error}") from None


def _test(
    trainer: pl.Trainer, module: pl.LightningModule, data: pl.LightningDataModule
) -> dict[str, float]:
    """What the module's own ``test_step`` logs."""
    overridden = type(module).test_step is not pl.LightningModule.test_step
    if not overridden or not has_test_data(data):
        return {}
    (metrics,) = trainer.test(module, datamodule=data, verbose=False, weights_only=True)
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
