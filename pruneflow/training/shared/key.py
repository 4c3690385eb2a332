"""Everything but the tail of its recipe that decides what a run does: a key of shared work."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import pruneflow
from pruneflow import runfolder
from pruneflow.recipe.plan import Plan
from pruneflow.training.config import RunConfig
from pruneflow.training.trainer_settings import OURS
from pruneflow.zoo.classifier import MODELS, TIMELESS
from pruneflow.zoo.files import default_root
from pruneflow.zoo.image_data import DATA

PACKAGES = ("torch", "pytorch-lightning", "torchmetrics", "numpy")
OURSELVES = "pruneflow."


def key_of(config: RunConfig, plan: Plan) -> str:
    """A hash of everything that decides what a run does, but for what its plan says.

    Runs with the same key whose plans agree up to some step are the same run up to there.

    Args:
        config: The run's.
        plan: What its recipe makes of its network and data.
    """
    values = {k: v for k, v in config.relevant.items() if k != "recipe"}
    trainer = {k: v for k, v in config.values["trainer"].items() if k not in OURS}
    modifiers = config.recipe.modifiers.values()
    told = {
        **values,
        "trainer": trainer,
        "start": config.start and config.start.sha256,
        "threads": config.threads or config.values["trainer"]["threads"] or torch.get_num_threads(),
        "files": files_of(config),
        "epoch": plan.horizon.steps_per_epoch,
        "whole epochs": plan.total % plan.horizon.steps_per_epoch == 0,  # Lightning counts in them
        "total": None if is_timeless(config) else plan.total,
        "layers": [[layer.name, list(layer.shape)] for layer in plan.layers],
        "looks": [
            any(m.needs_groups for m in modifiers),  # at the network before it begins
            any(m.needs_batches or m.needs_loss for m in modifiers),
        ],
        "code": own_code(),
        "versions": {name: version(name) for name in PACKAGES},
        "machine": machine(str(trainer.get("accelerator", "auto"))),
    }
    text = json.dumps(told, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_timeless(config: RunConfig) -> bool:
    """Whether nothing beside the recipe can ask how long the run is.

    A person's own modules have a trainer that they may ask for anything.
    """
    model, data, optimizer = (config.values[name] for name in ("model", "data", "optimizer"))
    if model["module"] is not None or data["module"] is not None:
        return False
    classes = (MODELS[model["name"]], DATA[data["name"]])
    ours = all(cls.__module__.startswith(OURSELVES) for cls in classes)
    return ours and optimizer.get("scheduler", "none") in TIMELESS


def files_of(config: RunConfig) -> dict[str, Any]:
    """What is in the files that a person's own data may read: those named in its settings.

    Data sets of ours compare their files with published checksums as they read them.
    """
    chosen = config.values["data"]
    if chosen["module"] is None and DATA[chosen["name"]].__module__.startswith(OURSELVES):
        return {}
    named = [*_words(chosen["args"]), str(chosen.get("root") or default_root())]
    here = config.home.resolve()
    paths = {name: (here / name).resolve() for name in named}
    return {n: _content(path) for n, path in paths.items() if not here.is_relative_to(path)}


def _words(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, Mapping):
        for value in tree.values():
            yield from _words(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _words(value)


def _content(path: Path) -> Any:
    """A file's size and time, or those of every file in a folder; None where there is none."""
    try:
        if path.is_file():
            found = path.stat()
            return [found.st_size, found.st_mtime_ns]
        inside = (each for each in sorted(path.rglob("*")) if each.is_file())
        return [[str(each.relative_to(path)), _content(each)] for each in inside] or None
    except (OSError, ValueError):  # a word that is no path
        return None


@cache
def own_code() -> str:
    """A hash of PruneFlow itself, whose version alone does not tell it between two releases."""
    found = hashlib.sha256()
    folder = Path(pruneflow.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        found.update(f"{path.relative_to(folder)} {runfolder.sha256(path)}\n".encode())
    return found.hexdigest()[:16]


@cache
def machine(accelerator: str) -> list[str]:
    """What may change the last bit of a sum: processor, its instructions, and a GPU that is used.

    Args:
        accelerator: What Lightning is asked for.
    """
    told = [platform.system(), platform.machine(), _processor()]
    told.append(torch.backends.cpu.get_cpu_capability())
    if accelerator != "cpu" and torch.cuda.is_available():
        told += [torch.cuda.get_device_name(), str(torch.version.cuda)]
    return told


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith("model name")), platform.processor())
