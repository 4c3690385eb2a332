"""Where a run's metrics go: into its own folder, and nowhere else unless that is asked for."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

from pytorch_lightning.utilities.seed import isolate_rng

from pruneflow import runfolder
from pruneflow.checkpoint import step_of
from pruneflow.environment import environment
from pruneflow.errors import ConfigError
from pruneflow.training.config import RunConfig
from pruneflow.training.csv_log import CsvLog, Row, numbers

FOLDER = "logs"
_IDS = "loggers.json"


@dataclass(frozen=True)
class Log:
    """What a logger is opened for.

    Attributes:
        folder: The run's.
        title: What the run is called among others.
        settings: Those of ``conf/logger``.
        goes_on: Whether an earlier life of the run may have logged.
        step: Updates done; what was logged after them is about to be logged again.
    """

    folder: Path
    title: str
    settings: Mapping[str, Any]
    goes_on: bool
    step: int

    def kept_id(self) -> str | None:
        """The name by which this kind of logger knows the run from its earlier life."""
        path = self.folder / _IDS
        ids = runfolder.read_json(path) if self.goes_on and path.is_file() else {}
        return ids.get(self.settings["name"])

    def keep_id(self, identity: str | None) -> None:
        """Keep that name for a next life."""
        path = self.folder / _IDS
        ids = runfolder.read_json(path) if path.is_file() else {}
        runfolder.write_json(path, {**ids, self.settings["name"]: identity})


@contextmanager
def opened(
    config: RunConfig, folder: Path, checkpoint: Path | None, rows: Sequence[Row] = ()
) -> Iterator[Any]:
    """Context: the logger of a run; False where there is none.

    Args:
        config: The run's, as locked.
        folder: Where it writes.
        checkpoint: What the run begins from, if anything.
        rows: What was logged up to there, where it has not logged that itself.

    Raises:
        ConfigError: The logger cannot be opened.
    """
    settings = config.values["logger"]
    if settings["name"] == "none":
        yield False
        return
    goes_on = config.values["ckpt_path"] == "last"
    ours = checkpoint is not None and checkpoint.parent == folder / runfolder.CHECKPOINTS
    step = step_of(checkpoint) if ours and checkpoint else 0
    log = Log(folder, f"{config.recipe.name} {folder.name}", settings, goes_on, step)
    with ExitStack() as stack:
        try:
            with isolate_rng():  # a logger may draw a name for the run
                logger = stack.enter_context(_OPENERS[settings["name"]](log))
                logger.log_hyperparams(hyperparameters(config))
                for row in rows if settings["name"] != "csv" else ():
                    logger.log_metrics(numbers(row), int(row["step"]))
        except Exception as error:
            raise ConfigError(f"logger={settings['name']}: {error}") from None
        yield logger


def conclude(logger: Any, config: RunConfig, result: Mapping[str, Any]) -> None:
    """Log what came out, as the table of a sweep's runs wants it."""
    if not logger:
        return
    found = {"accuracy": result["accuracy"]["final"], "sparsity": result["sparsity"]}
    metrics = {f"result/{name}": value for name, value in found.items() if value is not None}
    if config.values["logger"]["name"] == "tensorboard":
        logger.log_hyperparams(hyperparameters(config), metrics, result["steps"])
    else:
        logger.log_metrics(metrics, result["steps"])
    logger.finalize("success")


def hyperparameters(config: RunConfig) -> dict[str, Any]:
    """Everything that can change the trained network, under one name of its own."""
    return {"pruneflow": _plain({"name": config.recipe.name, **config.relevant})}


def _plain(tree: Any) -> Any:
    """A tree whose keys every logger takes; what is deeper goes on as JSON."""
    if not isinstance(tree, Mapping):
        return json.dumps(tree, default=str) if isinstance(tree, list | tuple) else tree
    if not all(re.fullmatch(r"[\w.-]+", str(key), re.ASCII) for key in tree):
        return json.dumps(tree, default=str)
    return {str(key): _plain(value) for key, value in tree.items()}


@contextmanager
def _csv(log: Log) -> Iterator[Any]:
    yield CsvLog(log.folder / FOLDER, log.step)


@contextmanager
def _tensorboard(log: Log) -> Iterator[Any]:
    from pytorch_lightning.loggers import TensorBoardLogger

    purge: Any = {"purge_step": log.step} if log.goes_on else {}
    logger = TensorBoardLogger(log.folder, "tensorboard", "", default_hp_metric=False, **purge)
    try:
        yield logger
    finally:
        logger.experiment.close()


@contextmanager
def _wandb(log: Log) -> Iterator[Any]:
    offline, own = log.settings["offline"], log.folder.absolute() / "wandb"
    variables = {
        "WANDB_CACHE_DIR": str(own / "cache"),
        "WANDB_DATA_DIR": str(own / "data"),
        "WANDB_ERROR_REPORTING": "false",
    }
    if offline:
        variables |= {"WANDB_MODE": "offline", "WANDB_CONFIG_DIR": str(own / "config")}
    with environment(variables):
        import wandb
        from pytorch_lightning.loggers import WandbLogger

        settings = wandb.Settings(
            console="off", disable_code=True, disable_git=True, disable_job_creation=True,
            save_code=False, silent=offline, x_disable_machine_info=offline,
            x_disable_meta=offline, x_disable_stats=offline,
        )  # fmt: skip
        identity = log.kept_id() or token_hex(4)
        log.keep_id(identity)
        run = wandb.init(
            project=log.settings["project"], name=log.title, id=identity, dir=log.folder,
            mode="offline" if offline else "online", settings=settings,
            resume=None if offline else "allow",
        )  # fmt: skip
        code = 1
        try:
            run.define_metric("trainer/global_step")
            run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
            yield WandbLogger(experiment=run, project=run.project, save_dir=log.folder)
            code = 0
        finally:
            run.finish(exit_code=code)
            wandb.teardown()


@contextmanager
def _mlflow(log: Log) -> Iterator[Any]:
    own = (log.folder.absolute() / "mlflow").as_uri()
    uri = log.settings["tracking_uri"] or own
    variables = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_TRACKING_URI": uri}
    if uri == own:  # files need no data base beside mlflow-skinny
        variables["MLFLOW_ALLOW_FILE_STORE"] = "true"
    with environment(variables):
        from pytorch_lightning.loggers import MLFlowLogger

        logging.getLogger("pytorch_lightning.loggers.mlflow").setLevel(logging.ERROR)
        logger = MLFlowLogger(
            log.settings["experiment"], log.title, uri, run_id=log.kept_id(), synchronous=True
        )
        log.keep_id(logger.run_id)
        yield logger


_OPENERS: Mapping[str, Callable[[Log], AbstractContextManager[Any]]] = {
    "csv": _csv,
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
}
