"""A run's configuration: plain data, and what it stands for."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from pytorch_lightning import LightningDataModule, LightningModule

from pruneflow.errors import ConfigError, PruneFlowError, did_you_mean
from pruneflow.namespaces import kinds
from pruneflow.recipe import schema
from pruneflow.recipe.declaration import Recipe
from pruneflow.registry import Registry
from pruneflow.training.budget import Budget
from pruneflow.training.devices import processes, resolved
from pruneflow.training.logger_settings import check_logger
from pruneflow.training.numbers import check_numbers
from pruneflow.training.own_files import contents
from pruneflow.training.sections import check_sections
from pruneflow.training.starting_point import StartingPoint
from pruneflow.training.trainer_settings import check_trainer
from pruneflow.user_code import import_modules, import_named
from pruneflow.zoo.augment import Augment
from pruneflow.zoo.data import DATA, ImageData
from pruneflow.zoo.files import default_root
from pruneflow.zoo.models import MODELS, OPTIMIZERS, SCHEDULERS, make_optimizer

KEYS = (
    "seed", "steps_per_epoch", "imports", "ckpt_path", "fresh", "share", "budget", "checkpoint",
    "model", "data", "optimizer", "trainer", "logger",
)  # fmt: skip
T = TypeVar("T")

_IRRELEVANT = ("ckpt_path", "fresh", "share", "budget", "checkpoint", "logger")


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides what a run does.

    Attributes:
        values: The configuration without its recipe: ``model``, ``data``, ``optimizer``, ...
        recipe: What to prune, and when.
        start: The checkpoint it began from, once it began.
        threads: Torch threads that each of its processes runs on, once it began.
        home: The folder that relative paths are meant from.
        own_files: Hashes of the person's own modules, and of the weights it begins with.
    """

    values: Mapping[str, Any]
    recipe: Recipe
    start: StartingPoint | None = None
    threads: int | None = None
    home: Path = Path()
    own_files: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_tree(cls, tree: Mapping[str, Any], recipe: Recipe, home: Path = Path()) -> RunConfig:
        """Check a composed configuration.

        Raises:
            ConfigError: It has keys that mean nothing, or a value that cannot be.
        """
        values = {key: value for key, value in tree.items() if key != "recipe"}
        for key in values:
            if key not in KEYS:
                raise ConfigError(f"conf: unknown key '{key}'.{did_you_mean(key, KEYS, True)}")
        check_sections(values)
        check_numbers(values)
        check_trainer(values["trainer"])
        values["trainer"] = resolved(values["trainer"])
        check_logger(values["logger"])
        Budget.of(values.get("budget"))
        return cls(values, recipe, home=home, own_files=contents(values, home, recipe.files))

    @classmethod
    def from_lock(cls, lock: Mapping[str, Any], home: Path = Path()) -> RunConfig:
        """What ``to_lock`` wrote."""
        values = lock["config"]
        import_modules(values["imports"])  # the recipe may be written in their words
        recipe = schema.build(lock["recipe"], str(lock["name"]))
        start = StartingPoint.from_lock(lock.get("start"))
        return replace(
            cls.from_tree(values, recipe, home),
            start=start,
            threads=lock.get("threads"),
            own_files=lock.get("sha256", {}),
        )

    def to_lock(self) -> dict[str, Any]:
        """Everything, as plain data."""
        return {
            "name": self.recipe.name,
            "config_hash": self.digest,
            "config": dict(self.values),
            "recipe": self.recipe.to_dict(),
            "start": self.start and self.start.to_lock(),
            "threads": self.threads,
            "processes": self.processes,
            "sha256": dict(self.own_files),
        }

    @property
    def processes(self) -> int:
        """How many processes train together."""
        return processes(self.values["trainer"])

    @property
    def seed(self) -> int:
        """Its seed; 0 in place of one that is still to be drawn."""
        return int(self.values["seed"] or 0)

    def with_files_now(self) -> RunConfig:
        """The same with the person's own files as they are."""
        return replace(self, own_files=contents(self.values, self.home, self.recipe.files))

    def with_seed(self, seed: int) -> RunConfig:
        """The same with another seed."""
        return replace(self, values={**self.values, "seed": seed})

    @property
    def relevant(self) -> dict[str, Any]:
        """Everything that can change the trained network, the recipe and own code included."""
        settings = {k: v for k, v in sorted(self.values.items()) if k not in _IRRELEVANT}
        own = {"sha256": dict(self.own_files)} if self.own_files else {}
        return {**settings, "recipe": self.recipe.to_dict(), **own}

    @property
    def digest(self) -> str:
        """A hash of everything that can change the trained network."""
        start = self.start and self.start.sha256
        text = json.dumps([self.relevant, start], default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def import_modules(self) -> None:
        """Import what the person's configuration names, so that it can register words."""
        import_modules(self.values["imports"])

    def model(self) -> LightningModule:
        """The module, freshly initialized.

        A registered model is built for the images of a registered data set, unless its own
        arguments say otherwise.

        Raises:
            ConfigError: There is no such model or optimizer, or it does not take its arguments.
        """
        chosen = self.values["model"]
        if chosen["module"] is not None:
            return _construct(chosen["module"], LightningModule, chosen["args"], "model")
        optimizer = self.values["optimizer"]
        _choose(OPTIMIZERS, optimizer["name"], "optimizer.name")
        _choose(SCHEDULERS, optimizer.get("scheduler", "none"), "optimizer.scheduler")
        try:
            make_optimizer(optimizer, [torch.zeros(1)])
        except (TypeError, ValueError) as error:
            raise ConfigError(f"optimizer: {error}") from None
        cls = _registered(MODELS, chosen["name"], "model")
        arguments = {"optimizer": optimizer, **self._image_arguments(cls), **chosen["args"]}
        return _call(cls, arguments, "model")

    def data(self) -> LightningDataModule:
        """The data module; nothing is loaded yet.

        Raises:
            ConfigError: There is no such data set, or it does not take its arguments.
        """
        chosen = self.values["data"]
        cls = self._data_set()
        augment = Augment.from_tree(chosen.get("augment"))
        if cls is None:
            if augment:
                raise ConfigError("data.augment: a data module of your own augments by itself")
            return _construct(chosen["module"], LightningDataModule, chosen["args"], "data")
        arguments = {
            "batch_size": chosen["batch_size"],
            "root": str(self.home / (chosen["root"] or default_root())),
            "augment": augment,
            "seed": self.seed,
        }
        return _call(cls, {**arguments, **chosen["args"]}, "data")

    def meta_model(self) -> LightningModule:
        """The module with all its layers, without memory for weights where it can be built so."""
        try:
            with torch.device("meta"):
                return self.built_model()
        except PruneFlowError:
            raise
        except Exception:  # a person's own code may need real tensors
            return self.built_model()

    def _data_set(self) -> type[ImageData] | None:
        """The registered data set, or None where the data is a module of the person's own."""
        chosen = self.values["data"]
        return None if chosen["module"] is not None else _registered(DATA, chosen["name"], "data")

    def _image_arguments(self, model: type[LightningModule]) -> dict[str, int]:
        """What a model has to know of a registered data set's images, as far as it takes it."""
        data = self._data_set()
        takes = inspect.signature(model).parameters
        names = [name for name in ("classes", "channels", "size") if name in takes]
        return {} if data is None else {name: getattr(data, name) for name in names}

    def built_model(self) -> LightningModule:
        """``model`` with the layers that it builds late."""
        model = self.model()
        model.configure_model()
        return model


def _construct(path: str, base: type[T], arguments: Mapping[str, Any], key: str) -> T:
    module, _, name = path.partition(":")
    cls = getattr(import_named(module, f"{key}.module"), name, None)
    if not isinstance(cls, type):
        raise ConfigError(f"{key}.module: '{path}' names no class; write pkg.mod:Class")
    if base.__name__ not in kinds(cls):
        raise ConfigError(f"{key}.module: '{path}' is no {base.__name__}")
    return _call(cls, arguments, key)


def _call(cls: type[T], arguments: Mapping[str, Any], key: str) -> T:
    try:
        inspect.signature(cls).bind(**arguments)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{key}: {cls.__name__} does not take these arguments: {error}") from None
    try:
        return cls(**arguments)
    except ValueError as error:
        raise ConfigError(f"{key}: {error}") from None


def _registered(registry: Registry[type[T]], name: str, key: str) -> type[T]:
    try:
        return registry[name]
    except KeyError as error:
        raise ConfigError(f"{key}.name: {error.args[0]}") from None


def _choose(options: Any, name: str, key: str) -> None:
    if name not in options:
        raise ConfigError(f"{key}: '{name}' is unknown.{did_you_mean(name, options, True)}")
