"""The private names of Lightning and torchmetrics that PruneFlow leans on, one by one.

Where this fails after an upgrade, ``exact_resume.py`` or its like has to follow; the other
tests would only tell that something is no longer exact.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torchmetrics import Accuracy

from pruneflow import callback, checkpoint, exact_resume, lightning_calibration
from tests.lightning_side import toy

pytestmark = pytest.mark.filterwarnings(toy.LIGHTNING_NOISE)

PINNED = {
    "trainer": ["fit_loop", "val_check_batch", "enable_validation", "_logger_connector"],
    "trainer.fit_loop": ["restarting", "_restarting", "_data_fetcher", "epoch_loop", "setup_data"],
    "trainer.fit_loop.epoch_loop": ["batch_progress", "_results"],
    "trainer.fit_loop.epoch_loop.batch_progress": ["is_last_batch", "current"],
    "trainer.fit_loop.epoch_loop.batch_progress.current": ["ready"],
    "trainer._logger_connector": ["_callback_metrics"],
    "result": ["value", "cumulated_batch_size", "is_tensor", "meta"],
    "result.meta": ["on_epoch", "reduce_fx", "is_max_reduction", "is_min_reduction"],
    "metric": ["_defaults", "_update_count"],
    "average": ["_average_model"],
    "module": ["_on_before_batch_transfer"],
}


class Look(pl.Callback):
    """Collects the names that are absent in the middle of a fit."""

    def __init__(self) -> None:
        self.missing: list[str] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        (result,) = [
            r for k, r in trainer.fit_loop.epoch_loop._results.items() if k.endswith(".train_loss")
        ]
        average = pl.callbacks.EMAWeightAveraging()
        known = {
            "trainer": trainer,
            "result": result,
            "metric": pl_module.accuracy,
            "module": pl_module,
            "average": average,
        }
        for path, names in PINNED.items():
            first, *rest = path.split(".")
            owner = known[first]
            for part in rest:
                owner = getattr(owner, part)
            self.missing += [f"{path}.{name}" for name in names if not hasattr(owner, name)]


def test_the_names_that_we_use_exist() -> None:
    look = Look()
    toy.fit([look], max_epochs=1)
    assert look.missing == [], (
        f"Lightning {pl.__version__} or torchmetrics renamed {sorted(set(look.missing))}: "
        "adapt pruneflow/exact_resume.py and pruneflow/callback.py"
    )


@pytest.mark.parametrize("module", [exact_resume, checkpoint, callback, lightning_calibration])
def test_every_private_name_in_the_code_is_pinned(module: Any) -> None:
    """Attributes with an underscore that are neither our own nor pinned above."""
    source = inspect.getsource(module)
    used = set(re.findall(r"(?<!self)(?<!exact_resume)\.(_[a-z]\w*)", source))
    quoted = set(re.findall(r'attr\(\w+, "(_[a-z]\w*)"', source))
    pinned = {name for names in PINNED.values() for name in names}
    assert used | quoted <= pinned


def test_a_metric_s_state_is_its_defaults_and_its_count() -> None:
    """What ``exact_resume`` copies is enough to compute the same value."""
    one, two = (Accuracy("multiclass", num_classes=3) for _ in range(2))
    one.update(torch.tensor([0, 1, 2, 2]), torch.tensor([0, 1, 1, 2]))
    for name in one._defaults:
        setattr(two, name, getattr(one, name).clone())
    two._update_count = one._update_count
    assert two.compute() == one.compute() == 0.75
