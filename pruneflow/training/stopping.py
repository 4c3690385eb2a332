"""Ctrl-C and SIGTERM while a run trains: it saves a checkpoint, and stops."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from pruneflow.checkpoint import ExactCheckpoint

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SAVING = b"\nStopping at the next step that can be saved; once more stops at once.\n"


class StopWhenAsked(Callback):
    """The first signal lets the training come to a checkpoint, the second ends it at once.

    Args:
        checkpoint: Saves, and stops.
    """

    def __init__(self, checkpoint: ExactCheckpoint) -> None:
        self.checkpoint = checkpoint

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take over from Lightning, which puts back at the end what was there before it."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self._asked)

    def _asked(self, number: int, frame: Any) -> None:
        if self.checkpoint.stopping:
            raise KeyboardInterrupt
        self.checkpoint.stopping = True
        with suppress(OSError):
            os.write(2, SAVING)  # whatever was interrupted may be printing
