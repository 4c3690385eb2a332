"""What Lightning leaves out of a checkpoint and an exact resume needs.

Random number generators, the position in the data, the accumulators of metrics, and the metric
of schedulers that wait for one. Private names of Lightning are used here and nowhere else;
``tests/lightning_side/test_private_names.py`` pins them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.trainer.connectors.logger_connector.result import (
    _Metadata,
    _ResultMetric,
    _Sync,
)
from pytorch_lightning.utilities import rank_zero_warn
from torchmetrics import Metric

from pruneflow.errors import ResumeError
from pruneflow.private_generators import PrivateGenerators, put_back

_META = ("fx", "name", "prog_bar", "logger", "on_step", "on_epoch")


def capture(
    trainer: Trainer, module: LightningModule, generators: PrivateGenerators
) -> dict[str, Any]:
    """The state of everything that Lightning forgets in this process, as plain containers."""
    state: dict[str, Any] = {
        "rng": _rng(),
        "loader": _loader_state(trainer),
        "generators": generators.capture(trainer),
        "callback_metrics": {k: v.detach().clone() for k, v in trainer.callback_metrics.items()},
        "threads": torch.get_num_threads(),
    }
    if _mid_epoch(trainer):
        state["results"] = {
            key: _result_state(result)
            for key, result in _results(trainer).items()
            if result.is_tensor and result.meta.on_epoch
        }
        state["metrics"] = {
            name: [
                {key: _copy(getattr(metric, key)) for key in metric._defaults},
                metric._update_count,
            ]
            for name, metric in _metrics(module)
        }
    else:
        state["plateau"] = [
            float(trainer.callback_metrics[config.monitor])
            if config.reduce_on_plateau and config.monitor in trainer.callback_metrics
            else None
            for config in trainer.lr_scheduler_configs
        ]
    return state


def restore(trainer: Trainer, module: LightningModule, state: dict[str, Any]) -> None:
    """Put ``capture``'s state back; call it in ``on_train_start``, as the last one.

    Raises:
        ResumeError: It is the state of other loaders, or of other random generators.
    """
    if state["threads"] != torch.get_num_threads():
        rank_zero_warn(
            f"the checkpoint was written with {state['threads']} threads, this process "
            f"has {torch.get_num_threads()}: sums may differ in their last bits"
        )
    loop = trainer.fit_loop
    loader: Any = trainer.train_dataloader
    if (state["loader"] is None) == hasattr(loader, "state_dict"):
        tells = "does not tell" if state["loader"] is None else "tells"
        raise ResumeError(
            f"the checkpoint was written with a training loader that {tells} its position, which "
            f"this {type(loader).__name__} is not: go on with the same"
        )
    if state["loader"] is not None:
        loader.load_state_dict(state["loader"])
    put_back(trainer, state["generators"])
    metrics = dict(_metrics(module))
    for name, (values, updates) in state.get("metrics", {}).items():
        for key, value in values.items():
            setattr(metrics[name], key, _copy(value))
        metrics[name]._update_count = updates
    for config, metric in zip(trainer.lr_scheduler_configs, state.get("plateau", ()), strict=False):
        if metric is not None and config.interval == "epoch":
            config.scheduler.step(metric)
    trainer._logger_connector._callback_metrics.update(state["callback_metrics"])
    _set_rng(state["rng"])
    if not loop.restarting:  # at an epoch's start: draw its order now that the generators are back
        iter(loop._data_fetcher)  # type: ignore[arg-type]


def merge_results(trainer: Trainer, pending: dict[str, Any]) -> None:
    """After a batch: add the epoch's logged sums so far to what it logged; drop them there."""
    logged = _results(trainer)
    for key in pending.keys() & logged.keys():
        _merge(logged[key], pending.pop(key))


def add_results(trainer: Trainer, pending: dict[str, Any]) -> None:
    """At the end of an epoch: what was logged in it before the kill, and not again after it."""
    device = trainer.lightning_module.device
    for key, kept in pending.items():
        meta = _Metadata(**kept["meta"])
        meta.sync = _Sync(trainer.strategy.reduce, kept["sync"])
        result = _ResultMetric(meta, is_tensor=True).to(device)
        result._update_count = 1
        _merge(result, kept)
        _results(trainer)[key] = result
    pending.clear()


def end_restart(trainer: Trainer) -> None:
    """After the first batch; else Lightning skips this epoch's plateau step."""
    if trainer.fit_loop.restarting:
        trainer.fit_loop._restarting = False


def is_followed_by_a_batch(trainer: Trainer) -> bool:
    """Whether the batch at hand is neither the last of its epoch nor followed by a validation."""
    progress = trainer.fit_loop.epoch_loop.batch_progress
    across = trainer.check_val_every_n_epoch is None
    batches = progress.total.ready if across else progress.current.ready
    return not progress.is_last_batch and not _validates_after(trainer, batches)


def validates_at(trainer: Trainer, epoch: int, batches: int) -> bool:
    """Whether Lightning validates after so many batches of an epoch, counted from 0."""
    in_epoch = trainer.num_training_batches
    if trainer.check_val_every_n_epoch is None and math.isfinite(in_epoch):
        batches += epoch * int(in_epoch)  # it counts them across epochs
    return _validates_after(trainer, batches)


def _rng() -> dict[str, Any]:
    kind, keys, position, has_gauss, gauss = np.random.get_state()
    version, internal, cached = random.getstate()
    state = {
        "torch": torch.get_rng_state(),
        "numpy": [
            kind,
            torch.from_numpy(np.asarray(keys).astype(np.int64)),
            position,
            has_gauss,
            gauss,
        ],
        "python": [version, list(internal), cached],
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def _set_rng(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    kind, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, gauss))
    version, internal, cached = state["python"]
    random.setstate((version, tuple(internal), cached))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


def _validates_after(trainer: Trainer, batches: int) -> bool:
    every = trainer.val_check_batch
    return bool(trainer.enable_validation and every and batches % every == 0)


def _loader_state(trainer: Trainer) -> Any:
    loader: Any = trainer.train_dataloader
    return loader.state_dict() if hasattr(loader, "state_dict") else None


def _mid_epoch(trainer: Trainer) -> bool:
    progress = trainer.fit_loop.epoch_loop.batch_progress
    return not progress.is_last_batch and progress.current.ready > 0


def _results(trainer: Trainer) -> Any:
    return trainer.fit_loop.epoch_loop._results


def _metrics(module: LightningModule) -> Iterator[tuple[str, Metric]]:
    return ((name, part) for name, part in module.named_modules() if isinstance(part, Metric))


def _result_state(result: Any) -> dict[str, Any]:
    """What an epoch has logged under one name so far, and how it was logged."""
    meta = {name: getattr(result.meta, name) for name in _META}
    count = getattr(result, "cumulated_batch_size", None)
    return {
        "value": result.value.clone(),
        "count": None if count is None else count.clone(),
        "meta": {**meta, "reduce_fx": result.meta.reduce_fx.__name__},
        "sync": result.meta.sync.should,
    }


def _merge(result: Any, kept: dict[str, Any]) -> None:
    value = kept["value"].to(result.value)
    if result.meta.is_max_reduction or result.meta.is_min_reduction:
        result.value = result.meta.reduce_fx(value, result.value)
    else:
        result.value = value + result.value
    if kept["count"] is not None:
        result.cumulated_batch_size = kept["count"].to(result.value) + result.cumulated_batch_size


def _copy(value: Any) -> Any:
    return [part.clone() for part in value] if isinstance(value, list) else value.clone()
