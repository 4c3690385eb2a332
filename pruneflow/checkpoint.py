"""``ExactCheckpoint``: checkpoints from which a run ends bit-identical, in files that are whole."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn

from pruneflow import exact_resume, tensor_file
from pruneflow.callback import RecipeCallback
from pruneflow.errors import ResumeError
from pruneflow.lightning_trainer import callbacks, undeclared
from pruneflow.obstacles import obstacles
from pruneflow.operations import ranks
from pruneflow.private_generators import PrivateGenerators
from pruneflow.runfolder import publish, sweep_temporaries, temporary

STATE_KEY = "pruneflow.exact_resume"


class ExactCheckpoint(Checkpoint):
    """Saves where a resume can be exact: between batches, and at the ends of epochs.

    A step at which Lightning validates, or an epoch's last, cannot be continued exactly; the
    save moves to the next step that can. Where the loader cannot tell its position, only ends
    of epochs are saved; where nothing could be exact, nothing is saved. It says which.

    Args:
        folder: Where ``step########.ckpt`` files go.
        every_n_steps: Optimizer updates between saves inside an epoch; 0 saves at its end only.
        keep: How many of this run's newest files stay.

    Attributes:
        generators: What it knows of private random generators, once ``fit`` has started.
        stopping: Set it, and the training ends with ``KeyboardInterrupt`` as soon as a checkpoint
            is saved; at the next batch where none can be exact inside an epoch.

    Raises:
        ResumeError: The folder holds another run's checkpoints; when ``fit`` starts.
    """

    def __init__(self, folder: str | Path, every_n_steps: int = 0, keep: int = 2) -> None:
        if keep < 1:
            raise ValueError(f"keep has to be 1 or more, not {keep}")
        self.folder = Path(folder)
        self.every_n_steps = every_n_steps
        self.keep = keep
        self.stopping = False
        self._restored: dict[str, Any] | None = None
        self._pending: dict[str, Any] = {}
        self._saved: list[Path] = []
        self._part: tuple[Path, Path] | None = None
        self._saved_at = -1
        self._seen = 0
        self._due = False
        self._allowed = (False, False)
        self._trainer: Trainer | None = None
        self.generators: PrivateGenerators | None = None

    @property
    def state_key(self) -> str:
        """Independent of where the class lives."""
        return STATE_KEY

    def state_dict(self) -> dict[str, Any]:
        """See base class."""
        trainer, generators = self._trainer, self.generators
        if trainer is None or generators is None:
            return {}
        state = exact_resume.capture(trainer, trainer.lightning_module, generators)
        if "results" in state:
            state["results"] |= self._pending
        return {"ranks": ranks.gathered(state)}

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Make sure that as many processes train on, before anything else is compared."""
        state = checkpoint["callbacks"].get(self.state_key)
        if state and len(state["ranks"]) != trainer.world_size:
            raise ResumeError(
                f"the checkpoint was written by {len(state['ranks'])} processes, and "
                f"{trainer.world_size} cannot continue it exactly: train on as many devices"
            )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See base class."""
        self._restored = state_dict or None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Come last; ``lightning`` moves only its own checkpoint callbacks there."""
        others = [c for c in callbacks(trainer) if c is not self]
        undeclared(trainer).callbacks = [*others, self]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the end of a run of no update: Lightning does not begin to train."""
        plan = recipe_of(trainer).plan
        if plan is not None and not plan.total:
            self._open(trainer)
            self._saved_at = -1
            if self._allowed[1]:
                self.save(trainer)
                self._publish(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find out what can be exact here, and restore what a checkpoint brought."""
        self._open(trainer)
        restored, self._restored = self._restored, None
        if restored is not None:
            state = restored["ranks"][trainer.global_rank]
            self._pending = dict(state.get("results", {}))
            exact_resume.restore(trainer, pl_module, state)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Merge what the last batch logged after our turn in it; all else is logged by now."""
        exact_resume.merge_results(trainer, self._pending)
        self._publish(trainer)
        if self.stopping and (self._saved_at == recipe_of(trainer).clock or not self._allowed[0]):
            raise KeyboardInterrupt

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save, if it is time and the place allows it."""
        exact_resume.merge_results(trainer, self._pending)
        exact_resume.end_restart(trainer)
        clock = recipe_of(trainer).clock
        stepped, self._seen = clock != self._seen, clock
        if not stepped:
            return
        is_time = self.every_n_steps and clock % self.every_n_steps == 0
        self._due = self._due or self.stopping or bool(is_time)
        if self._due and self._allowed[0] and exact_resume.is_followed_by_a_batch(trainer):
            self.save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the end of the epoch."""
        exact_resume.merge_results(trainer, self._pending)
        exact_resume.add_results(trainer, self._pending)
        if self._allowed[1]:
            self.save(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the last one its name."""
        self._publish(trainer)
        if self.stopping:
            raise KeyboardInterrupt

    def _open(self, trainer: Trainer) -> None:
        """Find out what can be exact here, and what is in the folder."""
        self._trainer, self.generators = trainer, PrivateGenerators(trainer)
        self._saved_at = self._seen = recipe_of(trainer).clock
        mid_epoch, always = obstacles(trainer)
        self._allowed = (not mid_epoch and not always, not always)
        if always:
            rank_zero_warn(f"no exact checkpoint can be written: {'; '.join(always)}")
        elif mid_epoch and self.every_n_steps:
            rank_zero_info(f"checkpoints at ends of epochs only: {'; '.join(mid_epoch)}")
        if trainer.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
            sweep_temporaries(self.folder)
            self._saved = self._own_files()

    def _own_files(self) -> list[Path]:
        """This run's files up to now: none for a run that begins."""
        found = sorted(self.folder.glob("step*.ckpt"))
        if found and self._restored is None and not self._saved_at:
            raise ResumeError(
                f"{self.folder} holds checkpoints of another run, up to {found[-1].name}: go on "
                "from the newest of them, or choose another folder"
            )
        return [path for path in found if path.name <= name_of(self._saved_at)]

    def save(self, trainer: Trainer) -> None:
        """Write a checkpoint of this very moment, unless there is one.

        It gets its name once what belongs to its step is logged: a resume would not log it again.

        Raises:
            NonFiniteError: The weights are beyond use; the checkpoints before them stay.
        """
        recipe = recipe_of(trainer)
        clock = recipe.clock
        if clock == self._saved_at:
            return
        require_finite(recipe)
        path = self.folder / name_of(clock)
        part = temporary(path)
        trainer.save_checkpoint(part, False)  # not the weights alone; Lightning asks each time
        self._saved_at, self._due = clock, False
        self._part = (part, path)

    def _publish(self, trainer: Trainer) -> None:
        """Give what ``save`` has written its name, and drop what is older than is to be kept."""
        if self._part is None:
            return
        (part, path), self._part = self._part, None
        if trainer.is_global_zero:
            for logger in trainer.loggers:
                logger.save()  # what was logged before a checkpoint outlives a kill after it
            publish(part, path)
            self._saved = [*(old for old in self._saved if old != path), path]
            for old in self._saved[: -self.keep]:
                old.unlink(missing_ok=True)
            self._saved = self._saved[-self.keep :]


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint in a folder that is undamaged and ours, or None."""
    for path in sorted(folder.glob("step*.ckpt"), reverse=True):
        try:
            content = tensor_file.load(path, mapped=True)
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()  # torch.load does not compare checksums
            if damaged is None and content["callbacks"][STATE_KEY]:
                return path
        except Exception:  # noqa: S112  (torch names no common base for damaged files)
            continue
    return None


def step_of(checkpoint: Path) -> int:
    """The step after which one of our checkpoints was saved, by its name."""
    return int(checkpoint.stem.removeprefix("step"))


def name_of(clock: int) -> str:
    """What a checkpoint after so many updates is called."""
    return f"step{clock:08d}.ckpt"


def recipe_of(trainer: Trainer) -> RecipeCallback:
    """The recipe that a trainer follows.

    Raises:
        ResumeError: It follows none.
    """
    for callback in callbacks(trainer):
        if isinstance(callback, RecipeCallback):
            return callback
    raise ResumeError("ExactCheckpoint counts a recipe's steps: add a RecipeCallback")


def require_finite(recipe: RecipeCallback) -> None:
    """Make sure that a training has not diverged.

    Raises:
        NonFiniteError: A weight that is trained is NaN or infinite.
    """
    assert recipe.engine is not None
    network = recipe.engine.network
    network.require_finite(name for name, w in network.weights.items() if w.requires_grad)
