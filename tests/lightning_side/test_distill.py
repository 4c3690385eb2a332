"""A teacher's opinion under Lightning: in the gradients, not in what is logged."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import MixedPrecision
from torch.nn import functional as F

from pruneflow import RecipeCallback
from pruneflow.errors import PlanError, TrainingError
from pruneflow.recipe.schema import build
from tests.lightning_side import toy

pytestmark = pytest.mark.filterwarnings(toy.LIGHTNING_NOISE)

START, ALPHA, T = 4, 0.7, 3.0
DISTILL = {"type": "distill", "start": f"{START}st", "alpha": ALPHA, "temperature": T}


class Pupil(toy.Toy):
    """Calls its own forward."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x.to(self.dtype))

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        loss = F.cross_entropy(self(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.1)


class Explicit(Pupil):
    """The same training, written into the module by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.updates = 0
        self.teacher: list[Any] = []  # in a list, so that it is no part of the module

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        if self.trainer.global_step == START and not self.teacher:
            self.teacher.append(copy.deepcopy(self.body).eval())
        scores = self(batch[0])
        loss = F.cross_entropy(scores, batch[1])
        self.log("train_loss", loss)
        if not self.teacher:
            return loss
        with torch.no_grad():
            wanted = self.teacher[0](batch[0].to(self.dtype))
        precise = torch.promote_types(scores.dtype, torch.float32)
        ours, theirs = ((x.to(precise) / T).log_softmax(1) for x in (scores, wanted))
        soft = F.kl_div(ours, theirs, reduction="batchmean", log_target=True)
        return (1 - ALPHA) * loss + ALPHA * T**2 * soft


class Gradients(pl.Callback):
    """Keeps what every update used, and the loss that was logged."""

    def __init__(self) -> None:
        self.kept: list[list[torch.Tensor]] = []
        self.losses: list[float] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.kept.append([p.grad.clone() for p in pl_module.parameters()])

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        self.losses.append(float(trainer.callback_metrics["train_loss"]))


def recipe(**fields: Any) -> RecipeCallback:
    return RecipeCallback(build({"modifiers": {"d": {**DISTILL, **fields}}}))


def compare(rtol: float, atol: float, **options: Any) -> None:
    ours, theirs = Gradients(), Gradients()
    plugins = options.pop("plugins", lambda: None)
    _, pupil = toy.fit([recipe(), ours], module=Pupil, plugins=plugins(), **options)
    _, explicit = toy.fit([theirs], module=Explicit, plugins=plugins(), **options)
    assert explicit.teacher
    assert len(ours.kept) == len(theirs.kept) > START + 2
    for step, (here, there) in enumerate(zip(ours.kept, theirs.kept, strict=True)):
        torch.testing.assert_close(
            here, there, rtol=rtol, atol=atol, msg=lambda text, s=step: f"update {s}: {text}"
        )
    for name, value in pupil.state_dict().items():  # batch norm has seen each batch once
        torch.testing.assert_close(value, explicit.state_dict()[name], rtol=rtol, atol=atol)
    assert ours.losses == pytest.approx(theirs.losses, rel=max(rtol, 1e-9)), "the task's alone"


@pytest.mark.parametrize("accumulate", [1, 2, 5])
def test_gradients_are_those_of_the_explicit_loss(accumulate: int) -> None:
    """Twelve batches an epoch: the last window of five is a partial one."""
    compare(1e-10, 1e-13, precision="64-true", accumulate_grad_batches=accumulate)


def test_mixed_precision_has_the_same_gradients() -> None:
    """The teacher runs under the same autocast."""
    compare(1e-2, 5e-4, precision="bf16-mixed", accumulate_grad_batches=2)


def test_a_scaled_loss_has_the_same_gradients() -> None:
    """A plugin of its own for each trainer: Lightning would not take fp16 on a CPU."""
    compare(
        1e-3,
        1e-5,
        plugins=lambda: MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", 2.0**10)),
        accumulate_grad_batches=2,
    )


def test_a_resumed_run_is_the_run(tmp_path: Any) -> None:
    from pruneflow import ExactCheckpoint

    def run(folder: Any, resume: Any = None, **options: Any) -> dict[str, Any]:
        mine = recipe(output="body", hints=["body.0"], hint_weight=0.1)
        callbacks = [mine, ExactCheckpoint(folder, every_n_steps=5)]
        trained = toy.fit(callbacks, resume=resume, max_epochs=2, **options)
        return toy.fingerprint(*trained, mine)

    whole = run(tmp_path / "a")
    saved = sorted((tmp_path / "a").glob("step*.ckpt"))
    assert len(saved) > 1
    for number, path in enumerate(saved[:-1]):
        assert run(tmp_path / f"b{number}", path) == whole


def test_a_module_that_calls_a_part_of_itself_is_told() -> None:
    with pytest.raises(TrainingError, match="forward was not called in this batch: 'output:'"):
        toy.fit([recipe()])
    toy.fit([recipe(output="body")], max_epochs=1)


def test_manual_optimization_is_refused() -> None:
    def manual() -> toy.Toy:
        module = toy.Toy()
        module.automatic_optimization = False
        return module

    with pytest.raises(PlanError, match=r"modifiers\.d: .* needs automatic optimization"):
        toy.fit([recipe()], module=manual)
