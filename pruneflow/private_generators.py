"""Random generators that the data, the module and callbacks hold beside the global ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.utilities import rank_zero_warn

from pruneflow.errors import ResumeError
from pruneflow.lightning_trainer import callbacks, undeclared
from pruneflow.namespaces import NAMESPACES
from pruneflow.operations import own_generators

_DATA = "train_dataloader"
_KEPT_OTHERWISE = ("pruneflow.", *NAMESPACES)


class PrivateGenerators:
    """Those that a training begins with: only they are there again when a resume restores them.

    Args:
        trainer: It.

    Attributes:
        late: Where others came to be since; a checkpoint does not bring them back.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.late: set[str] = set()
        self._first = set(_places(trainer))

    def capture(self, trainer: Trainer) -> dict[str, Any]:
        """Where each of them is, as plain values; tells of those that are late."""
        here = _places(trainer)
        late = here.keys() - self._first - self.late
        if late:
            rank_zero_warn(
                f"a resume will not be exact: {', '.join(sorted(late))} came to be while it "
                "trained; make random generators before the training begins"
            )
        self.late |= late
        kept = here.keys() & self._first
        return {place: own_generators.state_of(here[place]) for place in sorted(kept)}


def put_back(trainer: Trainer, kept: dict[str, Any]) -> None:
    """Put generators to where ``PrivateGenerators.capture`` found them.

    Raises:
        ResumeError: One is not there or of another kind, or the training data have one more.
    """
    here = _places(trainer)
    missing, added = sorted(kept.keys() - here.keys()), sorted(here.keys() - kept.keys())
    if missing or any(place.startswith(_DATA) for place in added):
        differs = [f"{place} is missing" for place in missing]
        differs += [f"{place} is new" for place in added]
        raise ResumeError(
            "the checkpoint was written by a training with other random generators: "
            f"{', '.join(differs)}; go on with the same loaders, module and callbacks"
        )
    for place in added:
        rank_zero_warn(f"{place} was not there when the checkpoint was written, and begins anew")
    for place, state in kept.items():
        try:
            own_generators.set_state(here[place], state)
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise ResumeError(
                f"{place} is not the generator that the checkpoint was written with: {error}"
            ) from None


def _places(trainer: Trainer) -> dict[str, Any]:
    """The generators by where they are held, as ``train_dataloader.dataset.rng``."""
    ours = [c for c in callbacks(trainer) if type(c).__module__.startswith(_KEPT_OTHERWISE)]
    return own_generators.found(dict(_holders(trainer)), outside=[trainer, *ours])


def _holders(trainer: Trainer) -> Iterator[tuple[str, Any]]:
    yield _DATA, trainer.train_dataloader
    yield "val_dataloaders", trainer.val_dataloaders
    yield "datamodule", undeclared(trainer).datamodule
    for name, part in trainer.lightning_module.named_modules():
        yield f"module.{name}".rstrip("."), part
    alike: dict[str, int] = {}
    for callback in callbacks(trainer):
        if not type(callback).__module__.startswith(_KEPT_OTHERWISE):
            name = type(callback).__name__
            alike[name] = alike.get(name, 0) + 1
            yield f"{name} {alike[name]}" if alike[name] > 1 else name, callback
