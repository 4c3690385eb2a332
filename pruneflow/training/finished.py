"""What a finished run left behind, made whole again: its network, its data, its result."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import LightningDataModule, LightningModule
from safetensors import SafetensorError

from pruneflow import runfolder, weights_file
from pruneflow.errors import DataError, ResumeError, did_you_mean
from pruneflow.module_tensors import load_tensors
from pruneflow.structure import resize
from pruneflow.training.resume import read_lock
from pruneflow.untrusted import require_confined

SOURCE = ("recipe", "model", "data", "seed")
"""What a run's result says of where it comes from."""

Batch = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Finished:
    """A finished run.

    Attributes:
        folder: Where it is.
        module: The pruned network, in evaluation mode.
        data: Its data module, set up for validation.
        result: What ``result.json`` says.
    """

    folder: Path
    module: LightningModule
    data: LightningDataModule
    result: dict[str, Any]

    def validation(self) -> list[Batch] | None:
        """Batches of inputs and class labels; None where the data or the network are others."""
        return self._labelled(list(_batches(self.data.val_dataloader)))

    def test(self) -> list[Batch] | None:
        """The same of the data that nothing was chosen by."""
        self.data.setup("test")
        return self._labelled(list(_batches(self.data.test_dataloader)))

    def _labelled(self, batches: list[Any]) -> list[Batch] | None:
        labelled = bool(batches) and all(_is_labelled(batch) for batch in batches)
        return batches if labelled and _classifies(self.module, batches[0][0]) else None

    def example(self) -> torch.Tensor:
        """A batch of inputs.

        Raises:
            DataError: Neither the data nor the module have one.
        """
        given = getattr(self.module, "example_input_array", None)
        if isinstance(given, torch.Tensor):
            return given
        first = next(_batches(self.data.val_dataloader), None)
        inputs = first[0] if isinstance(first, list | tuple) and first else first
        if not isinstance(inputs, torch.Tensor):
            raise DataError(
                f"{self.folder}: its data yields no batches of tensors; give the LightningModule "
                "an example_input_array"
            )
        return inputs


def open_run(folder: Path, trusted: bool = False) -> Finished:
    """Open a finished run.

    Args:
        folder: Where it is.
        trusted: Whether its lock may ask for anything, whoever has written it.

    Raises:
        ResumeError: There is no run, it is not finished, or its files are damaged.
        UserError: Its network or its data cannot be made here.
    """
    if not runfolder.has_begun(folder):
        raise ResumeError(f"{runfolder.shown(folder)}: there is no run in this folder")
    if not runfolder.is_finished(folder):
        again = shlex.quote(f"run={runfolder.shown(folder)}")
        raise ResumeError(
            f"{runfolder.shown(folder)}: this run is not finished; "
            f"go on with: pruneflow train {again} ckpt_path=last"
        )
    require_confined(folder)
    result = _result(folder)
    config = read_lock(folder, None if trusted else ())
    config.import_modules()
    module = config.model()
    module.configure_model()
    _load(module, folder / runfolder.WEIGHTS)
    data = config.data()
    data.prepare_data()
    data.setup("validate")
    return Finished(folder, module.eval(), data, result)


def finished_runs(folder: Path) -> list[Path]:
    """The finished runs of a folder: itself, or those of the sweep it holds.

    Raises:
        ResumeError: There are none.
    """
    shown = runfolder.shown(folder)
    if not folder.is_dir():
        kind = "is a file, give the folder of a run" if folder.exists() else "no such folder"
        near = [path.name for path in folder.absolute().parent.glob("*/")]
        raise ResumeError(f"{shown}: {kind}{_nearest(folder.name, near)}")
    if runfolder.has_begun(folder):
        return [folder]
    jobs = runfolder.jobs(folder)
    found = [job for job in jobs if runfolder.is_finished(job)]
    if not found:
        what = f"none of its {len(jobs)} runs is finished" if jobs else "there is no run in it"
        raise ResumeError(f"{shown}: {what}")
    return found


def _nearest(name: str, names: list[str]) -> str:
    near = did_you_mean(name, names)
    return "." + near if "Did you mean" in near else ""


def _result(folder: Path) -> dict[str, Any]:
    path = folder / runfolder.RESULT
    result = runfolder.read_json(path)
    if absent := [key for key in SOURCE if key not in result]:
        raise ResumeError(f"{path}: is damaged: it does not say '{absent[0]}'")
    return result


def _load(module: LightningModule, path: Path) -> None:
    shown = runfolder.shown(path)
    try:
        tensors = weights_file.load(path)
    except OSError as error:
        raise ResumeError(f"{shown}: cannot be read: {error.strerror or error}") from None
    except (SafetensorError, ValueError) as error:
        why = str(error).removeprefix("is damaged: ")
        raise ResumeError(f"{shown}: is damaged: {why}; {_again(path.parent)}") from None
    try:
        resize(module, tensors)
        load_tensors(module, tensors)
    except (RuntimeError, ValueError) as error:
        first = str(error).splitlines()[-1].strip()
        raise ResumeError(f"{shown}: is another network's: {first}") from None


def _again(folder: Path) -> str:
    word = shlex.quote(f"run={runfolder.shown(folder)}")
    return f"to train it again: pruneflow train {word}"


def _batches(loaders: Callable[[], Any]) -> Iterator[Any]:
    try:
        loader: Any = loaders()
    except (NotImplementedError, AttributeError, MisconfigurationException):
        return  # there is none
    yield from loader[0] if isinstance(loader, list | tuple) and loader else loader or ()


def _is_labelled(batch: Any) -> bool:
    pair = isinstance(batch, list | tuple) and len(batch) == 2
    return (
        pair
        and all(isinstance(part, torch.Tensor) for part in batch)
        and batch[1].dim() == 1
        and not batch[1].is_floating_point()
    )


def _classifies(module: LightningModule, inputs: torch.Tensor) -> bool:
    """Whether a network gives scores of classes for inputs (n, ...)."""
    try:
        with torch.no_grad():
            scores = module(inputs.clone())
    except Exception:  # whoever needs its outputs will say so
        return True
    return isinstance(scores, torch.Tensor) and scores.dim() == 2 and scores.shape[1] > 1
