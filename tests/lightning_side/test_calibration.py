"""Calibration in a Lightning training: what it looks at, and that the training does not notice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from pruneflow import RecipeCallback
from pruneflow.errors import PlanError, TrainingError
from pruneflow.recipe.schema import build
from tests.lightning_side import toy
from tests.lightning_side.killing import BEFORE, EVENTS, run

pytestmark = [
    pytest.mark.filterwarnings(toy.LIGHTNING_NOISE),
    pytest.mark.filterwarnings(toy.FEW_WORKERS),
]

AT = "7st"
RECALIBRATE = {"type": "recalibrate_bn", "start": AT}


def prune(criterion: str, **more: Any) -> dict[str, Any]:
    own = {"rounds": 3} if criterion == "synflow" else {}
    return {
        "type": "oneshot_prune", "criterion": criterion, "sparsity": 0.5, "start": AT, **own, **more
    }  # fmt: skip


def callback(it: dict[str, Any], **options: Any) -> RecipeCallback:
    return RecipeCallback(build({"modifiers": {"it": it}}), **options)


class Forward(toy.Toy):
    """Has a ``forward`` of its own, as most modules have."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)  # type: ignore[no-any-return]


class Diary(pl.Callback):
    """Notes every batch, and the random numbers that are next after it."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str]] = []

    def on_train_batch_end(self, trainer: Any, module: Any, out: Any, batch: Any, at: int) -> None:
        self.entries.append((toy.digest(batch), toy.digest(torch.get_rng_state())))


def fitted(it: dict[str, Any] | None, loader: Any = None, **options: Any) -> tuple[Any, Any, Any]:
    diary = Diary()
    recipes = [] if it is None else [callback(it)]
    run, module = toy.fit([*recipes, diary], Forward, loader, max_epochs=2, **options)
    return run, module, diary.entries


LOADERS = {
    "position": toy.Batches,
    "shuffled": toy.shuffled,
    "own generator": lambda: toy.shuffled(generator=torch.Generator().manual_seed(3)),
}
each_loader = pytest.mark.parametrize("loader", LOADERS.values(), ids=LOADERS)


@each_loader
def test_recalibration_changes_running_statistics_and_nothing_else(loader: Any) -> None:
    trained, module, diary = fitted(RECALIBRATE, loader())
    plain, twin, entries = fitted(None, loader())
    assert diary == entries
    assert toy.digest([o.state_dict() for o in trained.optimizers]) == toy.digest(
        [o.state_dict() for o in plain.optimizers]
    )
    for name, value in module.state_dict().items():
        moved = "running" in name or "num_batches" in name
        assert torch.equal(value, twin.state_dict()[name]) is not moved, name
    ours, theirs = trained.callback_metrics, plain.callback_metrics
    assert {n: float(v) for n, v in ours.items() if "train" in n} == {
        n: float(v) for n, v in theirs.items() if "train" in n
    }


@pytest.mark.parametrize(
    ("criterion", "loader"),
    [
        ("wanda", "position"),
        ("sparsegpt", "shuffled"),
        ("snip", "own generator"),
        ("synflow", "shuffled"),
    ],
)
def test_the_training_sees_the_same_batches_and_random_numbers(criterion: str, loader: str) -> None:
    _, module, diary = fitted(prune(criterion), LOADERS[loader]())
    assert diary == fitted(None, LOADERS[loader]())[2]
    zeros = sum(int(zero.sum()) for zero in toy.zeros(module).values())
    assert zeros == (20 * 16 + 16 * 4) // 2
    assert module.training
    assert module.body[3].training


@pytest.mark.parametrize("it", [RECALIBRATE, prune("snip")], ids=["recalibrate", "snip"])
def test_a_resume_is_exact(it: dict[str, Any]) -> None:
    options: dict[str, Any] = {"tree": {"modifiers": {"it": it}}, "every": 3, "max_epochs": 2}
    straight = run(Path("straight"), **options)
    for kill in [(5, BEFORE), (7, EVENTS), (8, BEFORE), (11, BEFORE)]:
        assert run(Path("killed"), kill, **options) is None
    assert straight is not None
    assert run(Path("killed"), **options) == straight


class Metered(toy.Toy):
    """Logs on the way, and counts its steps in a metric."""

    def training_step(self, batch: Any, index: int) -> Any:
        return {"loss": super().training_step(batch, index)}


@pytest.mark.parametrize("kind", [toy.Toy, Metered])
def test_what_calibration_logs_and_measures_is_forgotten(kind: Any) -> None:
    """The last event falls on the last step but one: little is logged after it."""
    trained, module = toy.fit([callback(prune("snip", start="23st"))], kind, max_epochs=2)
    _, twin = toy.fit([callback(prune("wanda", start="24st"))], kind, max_epochs=2)
    assert module.accuracy._update_count == twin.accuracy._update_count
    counted = sum(int(getattr(module.accuracy, n).sum()) for n in ("tp", "fp", "tn", "fn"))
    assert counted == sum(int(getattr(twin.accuracy, n).sum()) for n in ("tp", "fp", "tn", "fn"))
    assert not {"log", "log_dict"} & set(vars(module))
    assert trained.callback_metrics["train_loss_epoch"] > 0


def test_a_module_without_forward_is_run_by_its_training_step() -> None:
    _, module = toy.fit([callback(prune("wanda"))], max_epochs=1)
    assert sum(int(zero.sum()) for zero in toy.zeros(module).values()) == 192


class Mappings(toy.Toy):
    """Batches are mappings, and optimization is manual."""

    asked: list[str]

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.asked = []

    def training_step(self, batch: Any, index: int) -> None:  # type: ignore[override]
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(F.cross_entropy(self.body(batch["x"]), batch["y"]))
        optimizer.step()

    def validation_step(self, batch: Any, index: int) -> None:
        """Nothing to see."""


class Hooked(Mappings):
    """Says how it is to be watched."""

    def calibration_forward(self, batch: Any) -> Any:
        self.asked.append("forward")
        return self.body(batch["x"])

    def calibration_loss(self, batch: Any) -> torch.Tensor:
        self.asked.append("loss")
        return F.cross_entropy(self.body(batch["x"]), batch["y"])


def mappings() -> DataLoader[Any]:
    def collate(samples: Any) -> dict[str, torch.Tensor]:
        x, y = zip(*samples, strict=True)
        return {"x": torch.stack(x), "y": torch.stack(y)}

    return toy.shuffled(collate_fn=collate)


@pytest.mark.parametrize(("criterion", "asked"), [("wanda", "forward"), ("snip", "loss")])
def test_a_module_may_say_how_it_is_watched(criterion: str, asked: str) -> None:
    _, module = toy.fit([callback(prune(criterion))], Hooked, mappings(), max_epochs=1)
    assert set(module.asked) == {asked}
    assert sum(int(zero.sum()) for zero in toy.zeros(module).values()) == 192


def test_what_is_not_known_is_an_error_that_names_the_hook() -> None:
    with pytest.raises(TrainingError, match=r"write Mappings\.calibration_forward\(batch\)"):
        toy.fit([callback(prune("wanda"))], Mappings, mappings(), max_epochs=1)
    with pytest.raises(PlanError, match=r"write Mappings\.calibration_loss\(batch\)"):
        toy.fit([callback(prune("snip"))], Mappings, mappings(), max_epochs=1)


class Plain:
    """Batches that do not know their position."""

    def __len__(self) -> int:
        return toy.STEPS

    def __iter__(self) -> Any:
        return iter(toy.Batches())


def test_a_loader_that_would_be_moved_is_refused_and_other_batches_serve() -> None:
    with pytest.raises(PlanError, match=r"a Plain cannot be read .*RecipeCallback\(\.\.\., cal"):
        toy.fit([callback(RECALIBRATE)], loader=Plain(), max_epochs=1)
    batches = list(toy.Batches())
    recipe = callback(RECALIBRATE, calibration=batches)
    _, module = toy.fit([recipe], loader=Plain(), max_epochs=1)
    assert int(module.body[1].num_batches_tracked) == toy.STEPS + toy.STEPS - 7


def test_batches_handed_over_are_checked_before_the_training() -> None:
    with pytest.raises(PlanError, match=r"modifiers\.it: .* calibration: needs batches that can"):
        toy.fit([callback(RECALIBRATE, calibration=iter([]))], max_epochs=1)


def test_the_datas_own_hooks_are_called() -> None:
    class Moved(Forward):
        def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
            return [batch[0] + 100, batch[1]]

        def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
            return [batch[0] - 100, batch[1]]

    loader = DataLoader(TensorDataset(*toy.samples()), toy.BATCH)
    _, module = toy.fit([callback({**RECALIBRATE, "start": "1ep"})], Moved, loader, max_epochs=1)
    inputs = module.body[0](toy.samples()[0])
    assert torch.allclose(module.body[1].running_mean, inputs.mean(0), atol=1e-4)


def test_a_teacher_does_not_watch_it() -> None:
    distill = {"type": "distill", "start": "2st", "output": "body"}

    def trained(it: dict[str, Any]) -> Any:
        recipe = RecipeCallback(build({"modifiers": {"distill": distill, "it": it}}))
        return toy.fit([recipe], Forward, max_epochs=1)[1]

    one, other = (trained({**RECALIBRATE, "start": start}) for start in ("7st", "12st"))
    assert toy.digest(dict(one.named_parameters())) == toy.digest(dict(other.named_parameters()))
    flowed = trained(prune("synflow"))  # in double precision, for which the teacher is not made
    assert sum(int(zero.sum()) for zero in toy.zeros(flowed).values()) == 192
