"""What a person may ask of deploy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import inf
from typing import Any

from pruneflow.deploy.aot.architectures import ARCHITECTURES
from pruneflow.deploy.backends import BACKENDS
from pruneflow.deploy.bundles.values import CODECS
from pruneflow.deploy.choices import ACTIVATIONS, AUTO, DEVICES, GOALS, TARGETS
from pruneflow.deploy.place import PRECISIONS, Device, Place
from pruneflow.errors import ConfigError, did_you_mean

C99_VALUES = ("fp32", "fp16", "int8")
"""Codecs that C99 code reads."""

MOST = 65_536
"""The largest batch that is measured."""


@dataclass(frozen=True)
class Settings:
    """How to deploy.

    Attributes:
        goal: ``latency``: layouts that are quick to read; ``size``: the fewest bytes that keep
            the accuracy; ``balanced``: the fewest bytes with the weights as they are.
        values: How weights are written; ``auto`` follows the goal.
        backend: What runs the network; ``auto`` is chosen by measurement.
        candidates: Which backends are measured; None: all.
        batches: Batch sizes that are measured.
        threads: Thread counts that are measured; None: one, and all of torch's.
        max_accuracy_drop: How many points (percent) narrower values may cost.
        seconds: How long each batch size and thread count is timed.
        device: Where it is to run: ``cpu`` or ``cuda``.
        precision: Of weights, inputs and results there; ``fp32`` on a CPU.
        target: ``auto`` measures on the machine at hand; ``cubin`` compiles kernels ahead of time
            for a GPU that need not be there, and measures nothing; ``c99`` writes C for any
            processor, and weighs it where tools for Arm are installed.
        arch: The GPU that ``cubin`` is for.
        activations: What results are in C99 code: ``fp32``, or ``int8`` with calibrated ranges,
            for which weights are ``int8``, too.

    Raises:
        ConfigError: One of them cannot be.
    """

    goal: str = "balanced"
    values: str = AUTO
    backend: str = AUTO
    candidates: tuple[str, ...] | None = None
    batches: tuple[int, ...] = (1, 16, 64)
    threads: tuple[int, ...] | None = None
    max_accuracy_drop: float = 0.5
    seconds: float = 1.0
    device: Device = "cpu"
    precision: str = "fp32"
    target: str = AUTO
    arch: str = "sm_90"
    activations: str = "fp32"

    def __post_init__(self) -> None:
        for key in ("candidates", "batches", "threads"):
            object.__setattr__(self, key, _tuple(getattr(self, key)))
        _one_of("goal", self.goal, GOALS)
        _one_of("values", self.values, (AUTO, *CODECS))
        _one_of("backend", self.backend, (AUTO, *BACKENDS))
        for name in self.candidates or ():
            _one_of("candidates", name, tuple(BACKENDS))
        _whole_numbers("batches", self.batches, MOST)
        if self.threads is not None:
            _whole_numbers("threads", self.threads, max(os.cpu_count() or 1, 1))
        for key in ("max_accuracy_drop", "seconds"):
            _finite(key, getattr(self, key))
        if str(self.device) == "gpu":  # spelling alone would suggest cpu
            raise ConfigError("deploy.device: 'gpu' is unknown. Did you mean 'cuda'?")
        _one_of("device", self.device, DEVICES)
        _one_of("precision", self.precision, tuple(PRECISIONS))
        _one_of("target", self.target, (AUTO, *TARGETS))
        _one_of("arch", self.arch, tuple(ARCHITECTURES))
        _one_of("activations", self.activations, ACTIVATIONS)
        self._check_places()
        if self.activations == "int8":
            self._check_integers()

    def _check_places(self) -> None:
        if self.target == AUTO and self.device == "cpu" and self.precision != "fp32":
            raise ConfigError(
                f"deploy.precision={self.precision}: engines on a CPU compute in fp32; "
                "add deploy.device=cuda"
            )
        if self.threads is not None and self.device == "cuda":
            raise ConfigError("deploy.threads: there are none to choose on a GPU")
        if self.target != AUTO and self.backend != AUTO:
            raise ConfigError(
                f"deploy.backend={self.backend}: nothing runs with deploy.target={self.target}"
            )
        if self.target == "c99":
            self._check_c99()

    def _check_c99(self) -> None:
        if self.device == "cuda" or self.precision != "fp32":
            raise ConfigError(
                "deploy.target=c99 is for processors that compute in fp32: leave out deploy.device "
                "and deploy.precision"
            )
        if self.values not in (AUTO, *C99_VALUES):
            raise ConfigError(
                f"deploy.values={self.values}: C99 code reads {', '.join(C99_VALUES)}"
            )

    def _check_integers(self) -> None:
        if self.target != "c99":
            raise ConfigError(
                "deploy.activations=int8: only C99 code computes in integers; add deploy.target=c99"
            )
        if self.values not in (AUTO, "int8"):
            raise ConfigError(
                f"deploy.values={self.values}: deploy.activations=int8 needs weights in int8; "
                "leave out deploy.values"
            )
        object.__setattr__(self, "values", "int8")

    @property
    def place(self) -> Place:
        """Where it is to run; what is compiled ahead of time is checked on the CPU."""
        return Place("cpu" if self.target != AUTO else self.device, self.precision)

    @property
    def shipped_to(self) -> Place:
        """Where the bundle is meant to run."""
        return Place("cuda", self.precision) if self.target == "cubin" else self.place

    @property
    def asked(self) -> str | None:
        """The backend that is asked for, if one is."""
        return None if self.backend == AUTO else self.backend

    @classmethod
    def from_tree(cls, tree: Mapping[str, Any]) -> Settings:
        """What a configuration says; lists may be single values.

        Raises:
            ConfigError: It says something else.
        """
        known = [field.name for field in fields(cls)]
        if not isinstance(tree, Mapping):
            raise ConfigError(f"deploy: needs {', '.join(known)}, not '{tree}'")
        for key in tree:
            if key not in known:
                raise ConfigError(f"deploy: unknown key '{key}'.{did_you_mean(key, known, True)}")
        return cls(**tree)


def _tuple(value: Any) -> tuple[Any, ...] | None:
    if value is None:
        return None
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _one_of(key: str, value: object, options: tuple[str, ...]) -> None:
    if value not in options:
        raise ConfigError(
            f"deploy.{key}: '{value}' is unknown.{did_you_mean(value, options, True)}"
        )


def _whole_numbers(key: str, values: tuple[int, ...] | None, most: int) -> None:
    wrong = [v for v in values or () if type(v) is not int or not 1 <= v <= most]
    if wrong or not values:
        shown = f"'{wrong[0]}' is no" if wrong else "name at least one"
        cores = ", the cores of this machine" if key == "threads" else ""
        raise ConfigError(f"deploy.{key}: {shown} whole number from 1 to {most}{cores}")
    if len(set(values)) < len(values):
        raise ConfigError(f"deploy.{key}: one of them stands there twice")


def _finite(key: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < inf:
        raise ConfigError(f"deploy.{key}: '{value}' is no number from 0")
