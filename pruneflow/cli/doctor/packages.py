"""The packages that PruneFlow needs, and those that more of it needs."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from pruneflow.cli.doctor.finding import Finding, gist
from pruneflow.environment import environment

MALWARE = dict.fromkeys(("lightning", "pytorch-lightning"), ("2.6.2", "2.6.3"))
"""Versions that were malware (GHSA-w37p-236h-pfx3): they are never imported here."""

MODULES = {
    "hydra-core": "hydra",
    "hydra-joblib-launcher": "hydra_plugins.hydra_joblib_launcher",
    "hydra-ray-launcher": "hydra_plugins.hydra_ray_launcher",
    "hydra-submitit-launcher": "hydra_plugins.hydra_submitit_launcher",
    "mlflow-skinny": "mlflow",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
}
"""What is imported of a package, where that is not its name."""

FEATURES = {
    "tensorboard": "logger=tensorboard",
    "wandb": "logger=wandb",
    "mlflow": "logger=mlflow",
    "sweep": "hydra/launcher=joblib, submitit_slurm",
    "ray": "hydra/launcher=ray",
    "deploy": "deploy by ONNX Runtime",
    "structured": "granularity channel, shrink",
}
"""What a person gets by an extra."""

QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "WANDB_ERROR_REPORTING": "false"}


def core() -> Iterator[Finding]:
    """What PruneFlow cannot do without."""
    for requirement in _requirements():
        yield _examine(requirement, "")


def optional() -> Iterator[Finding]:
    """What more of PruneFlow needs: its extras, Triton, and the other name of Lightning."""
    for extra, feature in FEATURES.items():
        for requirement in _requirements(extra):
            install = f"pip install 'pruneflow[{extra}]'"
            yield _examine(requirement, feature, install)
    yield _examine(Requirement("triton"), "deploy.device=cuda", "pip install triton")
    if _version("lightning"):
        yield _examine(Requirement("lightning"), "lightning.pytorch in projects of your own")


def is_malware(name: str) -> bool:
    """Whether the installed version of a package is one of those."""
    return _version(name) in MALWARE.get(name, ())


def _requirements(extra: str = "") -> list[Requirement]:
    """Those that an extra adds; of none, those that are always there."""
    found = [Requirement(text) for text in requires("pruneflow") or ()]
    always = [r for r in found if r.marker is None or r.marker.evaluate({"extra": ""})]
    if not extra:
        return always
    return [
        r for r in found if r.marker and r.marker.evaluate({"extra": extra}) and r not in always
    ]


def _examine(requirement: Requirement, feature: str, install: str = "") -> Finding:
    name, found = requirement.name, _version(requirement.name)
    again = f"pip install '{name}{requirement.specifier}'"
    if found is None:
        note = f"{feature}: {install}" if install else again
        return Finding(name, "", "absent" if install else "bad", note)
    if is_malware(name):
        note = (
            f"MALWARE: pip uninstall {name}, and change the passwords and tokens that this "
            "machine knows"
        )
        return Finding(name, found, "bad", note)
    if not requirement.specifier.contains(found, prereleases=True):
        return Finding(name, found, "bad", f"needs {requirement.specifier}: {again}")
    if why := _broken(MODULES.get(name, name.replace("-", "_"))):
        return Finding(name, found, "bad", f"cannot be imported: {why}")
    return Finding(name, found, "good", feature)


def _broken(module: str) -> str | None:
    """Why a module cannot be imported; None if it can."""
    with (
        environment(QUIET),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        try:
            import_module(module)
        except (Exception, SystemExit) as error:
            return gist(error)
    return None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
