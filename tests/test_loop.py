"""``pruneflow.prune``: what a hand-written loop makes of a recipe is what Lightning makes of it."""

from __future__ import annotations

import copy
import gc
import inspect
import io
import subprocess
import sys
import textwrap
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn, optim
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import pruneflow
from pruneflow import RecipeCallback
from pruneflow.errors import NonFiniteError, PlanError, RecipeError, ResumeError, TrainingError
from pruneflow.loop.pruning import Pruning
from pruneflow.recipe.schema import build
from tests.lightning_side import toy
from tests.loop import OPTIMIZERS, bits, small_net

RAMP = {"type": "prune", "sparsity": 0.7, "start": "3st", "end": "7st", "every": "2st"}
AT_ONCE = {**RAMP, "start": "0st"}
TICKETS = {"type": "iterative_prune", "rounds": 2, "every": "1ep"}
RATE = {"type": "lr", "schedule": "cosine", "factor": 0.1, "start": "1ep"}
RECIPES = {
    "ramp": {"prune": RAMP, "freeze": {"type": "freeze_mask", "start": "prune.end"}},
    "ramp from the start": {"prune": {**AT_ONCE, "criterion": "random"}},
    "ramp and rate": {"prune": RAMP, "lr": RATE},
    "tickets": {"tickets": {**TICKETS, "every": "3st", "rewind_to": "2st"}},
    "tickets and rate": {"tickets": TICKETS, "lr": {**RATE, "start": "1st"}},
}
EPOCH = 4


def recipe_of(modifiers: Any) -> Any:
    return build({"modifiers": modifiers})


class Run:
    """A network, its optimizer and scheduler, and the loop that a person would write."""

    def __init__(
        self,
        modifiers: Any,
        make: Callable[[Any], optim.Optimizer] = OPTIMIZERS["sgd, momentum"],
        saved: bytes | None = None,
        steps: int | None = 12,
        **options: Any,
    ) -> None:
        self.model = small_net()
        self.optimizer = make(self.model.parameters())
        self.scheduler = lr_scheduler.ExponentialLR(self.optimizer, 0.9)
        self.pruning = pruneflow.prune(
            self.model,
            recipe_of(modifiers),
            optimizer=self.optimizer,
            scheduler=self.scheduler,
            steps_per_epoch=EPOCH,
            steps=steps,
            **options,
        )
        if saved is not None:
            parts = torch.load(io.BytesIO(saved), weights_only=True)
            for name, part in parts.items():
                getattr(self, name).load_state_dict(part)

    def save(self) -> bytes:
        names = ("model", "optimizer", "scheduler", "pruning")
        buffer = io.BytesIO()
        torch.save({name: getattr(self, name).state_dict() for name in names}, buffer)
        return buffer.getvalue()

    def backward(self) -> None:
        self.optimizer.zero_grad()
        generator = torch.Generator().manual_seed(self.pruning.clock)
        self.model(torch.randn(8, 6, generator=generator)).square().mean().backward()

    def batch(self) -> None:
        self.backward()
        self.optimizer.step()
        self.scheduler.step()
        self.pruning.step()

    def run(self) -> Run:
        while not self.pruning.done:
            self.batch()
        return self

    def everything(self) -> Any:
        return bits([torch.load(io.BytesIO(self.save())), self.pruning.journal])

    def revived(self) -> list[str]:
        weights = dict(self.model.named_parameters())
        gone = {n: weights[n][m == 0] for n, m in self.pruning.engine.state.masks.items()}
        return [n for n, w in gone.items() if bool((w != 0).any() or w.signbit().any())]


# -- the same as under Lightning ---------------------------------------------------------------


class Sgd(toy.Toy):
    """The toy with another optimizer."""

    def configure_optimizers(self) -> Any:
        return toy.SCHEDULERS[self.scheduler](optim.SGD(self.parameters(), 0.1, momentum=0.9))


UNDER_LIGHTNING = {
    "gradual": toy.GRADUAL["modifiers"],
    "tickets": toy.TICKETS["modifiers"],
    "rate": {**toy.GRADUAL["modifiers"], "lr": {**RATE, "end": "30st"}},
    "tickets and rate": {**toy.TICKETS["modifiers"], "lr": {**RATE, "start": "3st"}},
}


@pytest.mark.parametrize(
    ("module", "scheduler"),
    [(toy.Toy, "none"), (Sgd, "step"), (toy.Toy, "epoch")],
    ids=["adamw, none", "sgd, step", "adamw, epoch"],
)
@pytest.mark.parametrize("name", UNDER_LIGHTNING)
@pytest.mark.filterwarnings(toy.LIGHTNING_NOISE)
def test_a_loop_ends_with_the_bits_that_lightning_ends_with(
    name: str, module: Any, scheduler: str
) -> None:
    recipe = recipe_of(UNDER_LIGHTNING[name])
    callback = RecipeCallback(recipe)
    run, fitted = toy.fit([callback], lambda: module(scheduler), max_epochs=4)

    torch.manual_seed(1)
    model = module(scheduler)
    made = model.configure_optimizers()
    optimizer = made["optimizer"] if scheduler != "none" else made
    schedule = made["lr_scheduler"] if scheduler != "none" else None
    schedule = schedule["scheduler"] if isinstance(schedule, dict) else schedule
    pruning = pruneflow.prune(
        model, recipe, optimizer=optimizer, scheduler=schedule, steps_per_epoch=12, epochs=4
    )
    batches = toy.Batches()
    for _ in range(pruning.epochs):
        for batch in batches:
            optimizer.zero_grad()
            model.loss(batch).backward()
            optimizer.step()
            if scheduler == "step":
                schedule.step()
            pruning.step()
        if scheduler == "epoch":
            schedule.step()  # later than under Lightning, as everybody writes it
    assert pruning.done
    weights = model.state_dict()
    assert bits(weights) == bits({name: fitted.state_dict()[name] for name in weights})
    assert bits(optimizer.state_dict()["state"]) == bits(run.optimizers[0].state_dict()["state"])
    happened = [pruning.journal, callback.engine.state.journal]
    if scheduler == "epoch":  # at an epoch's end the schedule has not moved yet
        happened = [[{**entry, "lr": 0} for entry in journal] for journal in happened]
    assert happened[0] == happened[1]


# -- laws ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", ["sgd, momentum", "adam"])
@pytest.mark.parametrize("name", RECIPES)
def test_from_every_step_it_goes_on_bit_identical(name: str, make: str) -> None:
    whole = Run(RECIPES[name], OPTIMIZERS[make])
    saves = [whole.save()]
    while not whole.pruning.done:
        whole.batch()
        saves.append(whole.save())
    expected = whole.everything()
    for step, saved in enumerate(saves):
        resumed = Run(RECIPES[name], OPTIMIZERS[make], saved)
        assert resumed.pruning.clock == step
        assert resumed.run().everything() == expected, f"resumed at step {step}"


@pytest.mark.parametrize("make", ["sgd, momentum", "adamw, fused", "muon"])
def test_pruned_stays_positive_zero_after_every_update(make: str) -> None:
    def bare(parameters: Any) -> optim.Optimizer:
        return OPTIMIZERS[make]([p for p in parameters if p.ndim == 2])

    run = Run({"prune": RAMP}, bare)
    while not run.pruning.done:
        run.batch()
        assert not run.revived(), f"step {run.pruning.clock}"
    assert run.pruning.sparsity == pytest.approx(0.7, abs=0.005)


@pytest.mark.parametrize("name", RECIPES)
def test_the_journal_is_the_plan(name: str) -> None:
    run = Run(RECIPES[name]).run()
    planned = run.pruning.plan.to_dict()["events"]
    keys = ("step", "epoch", "modifier", "event", "nonzeros")
    journal = [{key: entry[key] for key in keys} for entry in run.pruning.journal]
    assert journal == [{key: event[key] for key in keys} for event in planned]


def test_step_tells_what_fired() -> None:
    run = Run({"prune": RAMP})
    fired = []
    for _ in range(12):
        run.backward()
        run.optimizer.step()
        fired.append([event.label for event in run.pruning.step()])
    assert [step for step, events in enumerate(fired, 1) if events] == [3, 5, 7]
    assert fired[6] == ["prune 3 of 3"]


def test_whoever_clips_gradients_sees_the_survivors() -> None:
    run = Run({"prune": RAMP}).run()
    for _ in range(2):  # accumulated ones too
        generator = torch.Generator().manual_seed(0)
        run.model(torch.randn(8, 6, generator=generator)).square().mean().backward()
        for name, mask in run.pruning.engine.state.masks.items():
            grad = run.model.get_parameter(name).grad
            assert not grad[mask == 0].count_nonzero()
            assert grad[mask == 1].count_nonzero()


def test_the_order_of_scheduler_and_pruning_does_not_matter() -> None:
    ends = []
    for scheduler_first in (True, False):
        run = Run({"tickets": TICKETS, "lr": {**RATE, "start": "2st"}})
        while not run.pruning.done:
            run.backward()
            run.optimizer.step()
            steps = [run.scheduler.step, run.pruning.step]
            for step in steps if scheduler_first else reversed(steps):
                step()
        ends.append(bits([run.model.state_dict(), run.optimizer.state_dict()["state"]]))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("make", ["sgd, momentum", "adam"])
def test_without_its_optimizer_it_leaves_the_same_weights(make: str) -> None:
    """Where every weight moves by its own gradient alone; nobody guards the memory then."""
    guarded = Run({"prune": RAMP}, OPTIMIZERS[make]).run()
    alone = Run({"prune": RAMP}, OPTIMIZERS[make])
    alone.pruning = pruneflow.prune(alone.model, recipe_of({"prune": RAMP}), steps_per_epoch=12)
    while alone.pruning.clock < 12 and not alone.pruning.done:
        alone.batch()
    assert alone.pruning.total == 7  # as long as the recipe needs
    again = Run({"prune": RAMP}, OPTIMIZERS[make], steps=7).run()
    assert bits(alone.model.state_dict()) == bits(again.model.state_dict())
    assert not alone.revived()
    assert guarded.pruning.sparsity == alone.pruning.sparsity


# -- what counts as a step -----------------------------------------------------------------------


def test_a_batch_without_an_update_does_not_count() -> None:
    run = Run({"prune": RAMP})
    for number in range(1, 13):
        run.backward()
        if number % 3 == 0:
            run.optimizer.step()
        run.pruning.step()
    assert run.pruning.clock == 4


@pytest.mark.parametrize("fused", [False, True])
def test_an_update_that_a_gradient_scaler_skips_does_not_count(fused: bool) -> None:
    """A fused optimizer is stepped even then, and skips by itself."""
    run = Run({"prune": {**AT_ONCE, "end": "6st"}}, lambda p: optim.Adam(p, 0.01, fused=fused))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, growth_interval=100)
    batches = 0
    while not run.pruning.done:
        run.optimizer.zero_grad()
        loss = run.model(torch.randn(8, 6)).square().mean() * 1e3
        scaler.scale(loss).backward()
        scaler.unscale_(run.optimizer)
        nn.utils.clip_grad_norm_(run.model.parameters(), 1.0)
        scaler.step(run.optimizer)
        scaler.update()
        run.pruning.step()
        batches += 1
        assert not run.revived()
    assert batches > 12
    assert all(bool(p.isfinite().all()) for p in run.model.parameters())


def test_several_optimizers_make_one_step_of_a_batch() -> None:
    model = small_net()
    first, second = (optim.SGD(model[index].parameters(), 0.1) for index in (0, 2))
    pruning = pruneflow.prune(
        model, recipe_of({"prune": RAMP}), optimizer=[first, second], steps_per_epoch=4
    )
    for number in range(1, 8):
        model(torch.randn(8, 6)).square().mean().backward()
        for optimizer in (first, second)[number % 2 :]:
            optimizer.step()
        pruning.step()
        assert pruning.clock == number
    assert pruning.done


def test_an_optimizer_that_takes_a_closure() -> None:
    run = Run({"prune": RAMP}, OPTIMIZERS["lbfgs"])
    while not run.pruning.done:
        run.optimizer.step(
            lambda: (run.optimizer.zero_grad(), run.model(torch.ones(2, 6)).sum())[1]
        )
        run.pruning.step()
        assert not run.revived()


def test_a_closure_that_raises_costs_nobody_the_rate() -> None:
    run = Run({"lr": {"type": "lr", "schedule": "linear", "factor": 0.1, "end": "4st"}})
    rate = run.optimizer.param_groups[0]["lr"]
    for number in range(6):
        if number == 2:
            with pytest.raises(MemoryError):
                run.optimizer.step(lambda: (_ for _ in ()).throw(MemoryError))
        run.backward()
        run.optimizer.step()
        run.pruning.step()
    assert run.optimizer.param_groups[0]["lr"] == rate


def test_averages_hold_nothing_at_pruned_places() -> None:
    model = small_net()
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    optimizer = optim.SGD(model.parameters(), 0.1)
    recipe = recipe_of({"prune": RAMP})
    pruning = pruneflow.prune(
        model, recipe, optimizer=optimizer, averages=[average], steps_per_epoch=4
    )
    while not pruning.done:
        model(torch.randn(8, 6)).square().mean().backward()
        optimizer.step()
        average.update_parameters(model)
        pruning.step()
    for name, mask in pruning.engine.state.masks.items():
        assert not average.module.get_parameter(name)[mask == 0].count_nonzero()


# -- the length of a run -------------------------------------------------------------------------


def test_the_length_is_the_callers_or_the_recipes() -> None:
    def pruning(length: dict[str, Any], **options: Any) -> Pruning:
        model = small_net()
        optimizer = optim.SGD(model.parameters(), 0.1)
        recipe = build({**length, "modifiers": {"prune": {**RAMP, "end": "50%"}}})
        return pruneflow.prune(model, recipe, optimizer=optimizer, steps_per_epoch=4, **options)

    assert pruning({"length": "5ep"}).total == 20
    assert pruning({"length": "5ep"}, epochs=3).total == 12
    shorter = pruning({"length": "5ep"}, steps=14)
    assert (shorter.total, shorter.epochs, shorter.epoch) == (14, 4, 0)
    assert [event.step for event in shorter.plan.events] == [3, 5, 7]
    with pytest.raises(PlanError, match="add 'length: 20ep'"):
        pruning({})
    with pytest.raises(ValueError, match="in epochs or in steps, not both"):
        pruning({}, epochs=1, steps=4)
    with pytest.raises(PlanError, match="needs a length of 4ep"):
        Run({"t": {**TICKETS, "rewind_to": "2st"}}, steps=12)


@pytest.mark.filterwarnings(toy.LIGHTNING_NOISE)
def test_in_a_run_of_length_0_a_trained_module_is_pruned_and_that_is_all() -> None:
    recipe = build({"length": "0ep", "modifiers": toy.once("50%")["modifiers"]})
    module, twin = toy.Toy(), toy.Toy()
    twin.load_state_dict(module.state_dict())
    pruning = pruneflow.prune(module, recipe, steps_per_epoch=toy.STEPS)
    toy.fit([RecipeCallback(recipe)], twin, max_epochs=0)
    assert bits(module.state_dict()) == bits(twin.state_dict())
    assert (pruning.done, pruning.epochs, pruning.sparsity) == (True, 0, 0.5)
    with pytest.raises(PlanError, match="needs a length of 2ep"):
        pruneflow.prune(twin, build(toy.once("2ep")), steps_per_epoch=9, epochs=0)
    with pytest.raises(PlanError, match="no run has -9 steps"):
        pruneflow.prune(twin, recipe, steps_per_epoch=9, epochs=-1)


def test_training_on_keeps_the_zeros_and_is_told_after_an_epoch() -> None:
    run = Run({"prune": RAMP}).run()
    end, journal = run.pruning.sparsity, run.pruning.journal
    for _ in range(EPOCH - 1):  # the epoch in which the end came may end
        run.batch()
    with pytest.warns(UserWarning, match=r"ended at step 12, an epoch ago: .* pass epochs="):
        run.batch()
    run.batch()
    assert not run.revived()
    assert (run.pruning.sparsity, run.pruning.journal, run.pruning.clock) == (end, journal, 12)


# -- the end -------------------------------------------------------------------------------------


def test_closing_leaves_nothing_behind() -> None:
    run = Run({"prune": RAMP}).run()
    run.pruning.close()
    fresh = optim.SGD(run.model.parameters(), 0.1)
    run.model(torch.randn(8, 6)).square().mean().backward()
    fresh.step()
    assert run.revived()
    run.pruning.close()
    with pytest.raises(TrainingError, match="closed"):
        run.pruning.step()


def test_a_run_that_is_closed_before_its_end_says_so() -> None:
    run = Run({"prune": RAMP})
    run.batch()
    with pytest.warns(UserWarning, match="ended at step 1, but recipe .* runs until step 12"):
        run.pruning.close()
    with Run({"prune": RAMP}).run().pruning as pruning:
        pass
    with pytest.raises(TrainingError, match="closed"):
        pruning.step()
    with pytest.raises(KeyError), Run({"prune": RAMP}).pruning:
        raise KeyError


def test_one_that_cannot_begin_leaves_nothing_behind() -> None:
    model = small_net()
    nn.init.constant_(model.fc1.weight, float("nan"))
    optimizer = optim.SGD(model.parameters(), 0.1)
    with pytest.raises(NonFiniteError):
        pruneflow.prune(
            model, recipe_of({"prune": AT_ONCE}), optimizer=optimizer, steps_per_epoch=4, steps=12
        )
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks


def test_pruning_a_module_again_takes_over() -> None:
    """As where a cell of a notebook is run twice."""
    run = Run({"prune": RAMP, "lr": RATE})
    for _ in range(4):
        run.batch()
    first = run.pruning
    run.pruning = pruneflow.prune(
        run.model, recipe_of({"prune": RAMP}), optimizer=run.optimizer, steps_per_epoch=4
    )
    with pytest.raises(TrainingError, match="another prune"):
        first.step()
    rate = run.optimizer.param_groups[0]["lr"]
    run.optimizer.register_step_post_hook(lambda o, *_: seen.append(o.param_groups[0]["lr"]))
    seen: list[float] = []
    run.run()
    assert seen[0] == rate
    assert run.pruning.clock == 7
    assert not run.revived()


def test_it_is_forgotten_with_its_module() -> None:
    run = Run({"prune": RAMP}).run()
    gone = weakref.ref(run.pruning)
    del run
    gc.collect()
    assert gone() is None


def test_a_copy_of_the_module_is_an_ordinary_module() -> None:
    run = Run({"prune": RAMP}).run()
    twin = copy.deepcopy(run.model)
    assert list(twin.state_dict()) == list(small_net().state_dict())
    twin(torch.randn(8, 6)).square().mean().backward()
    optim.SGD(twin.parameters(), 0.1).step()
    masks = run.pruning.engine.state.masks
    assert all(bool(twin.get_parameter(n)[m == 0].count_nonzero()) for n, m in masks.items())


# -- mistakes ------------------------------------------------------------------------------------


def test_an_optimizer_that_was_not_passed_is_noticed_at_once() -> None:
    run = Run({"prune": RAMP})
    run.backward()
    other = optim.Adam(run.model.parameters())
    with pytest.raises(TrainingError, match=r"Adam trains weights .* not given it: .*optimizer="):
        other.step()
    elsewhere = small_net()
    elsewhere(torch.randn(8, 6)).mean().backward()
    optim.Adam(elsewhere.parameters()).step()


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"steps_per_epoch": 0}, ValueError, "steps_per_epoch: needs 1 or more whole steps"),
        ({"steps_per_epoch": 2.5}, ValueError, "steps_per_epoch: needs 1 or more whole steps"),
        ({"optimizer": "adam"}, ValueError, "optimizer: needs a torch.optim.Optimizer, not 'adam'"),
        ({"optimizer": None}, PlanError, r"modifiers\.t: rewinds training: .*optimizer="),
        ({"scheduler": None}, PlanError, r"modifiers\.t: rewinds the schedule too: .*scheduler="),
        ({"sparsity": 0.5}, ValueError, "a Recipe is complete"),
        ({"recipe": "gradul"}, RecipeError, "Did you mean 'gradual'"),
        (
            {"recipe": "gradual", "optimizer": None},
            PlanError,
            r"decay.yaml:1: modifiers\.finetune: sets the rate: .*optimizer=",
        ),
        ({"module": nn.Linear(6, 3)}, ValueError, "SGD trains none of this module's parameters"),
    ],
    ids=str,
)
def test_mistakes_are_told_with_their_mend(
    options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    model = small_net()
    optimizer = optim.SGD(model.parameters(), 0.1)
    right = {
        "module": model,
        "recipe": recipe_of({"t": TICKETS}),
        "optimizer": optimizer,
        "scheduler": lr_scheduler.ExponentialLR(optimizer, 0.9),
        "steps_per_epoch": 4,
    }
    with pytest.raises(kind, match=message):
        pruneflow.prune(**{**right, **options})


def test_another_recipes_state_is_refused_and_changes_nothing() -> None:
    run = Run({"prune": RAMP})
    other = Run({"prune": {**RAMP, "sparsity": 0.4}}).run()
    with pytest.raises(ResumeError, match="another recipe or another length"):
        run.pruning.load_state_dict(other.pruning.state_dict())
    assert run.run().everything() == Run({"prune": RAMP}).run().everything()


def test_weights_that_were_pruned_by_a_new_start_are_not_taken_for_resumed_ones() -> None:
    run = Run({"prune": AT_ONCE})
    for _ in range(5):
        run.batch()
    parts = torch.load(io.BytesIO(run.save()), weights_only=True)
    model = small_net()
    model.load_state_dict(parts["model"])
    optimizer = optim.SGD(model.parameters(), 0.1, momentum=0.9)
    recipe = recipe_of({"prune": AT_ONCE})
    pruning = pruneflow.prune(model, recipe, optimizer=optimizer, steps_per_epoch=4, steps=12)
    with pytest.raises(ResumeError, match="between prune"):
        pruning.load_state_dict(parts["pruning"])
    model.load_state_dict(parts["model"])
    pruning.load_state_dict(parts["pruning"])
    assert pruning.clock == 5


# -- as a person meets it ------------------------------------------------------------------------


def test_the_example_of_its_docstring_runs_without_lightning() -> None:
    example = inspect.getdoc(pruneflow.prune).partition("Example::\n\n")[2].partition("\n\n")[0]
    assert len(example.splitlines()) <= 10
    code = f"import sys, torch, pruneflow\n{textwrap.dedent(example)}\n"
    code += "print([name for name in sys.modules if 'lightning' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "90.0% sparse\n[]\n", done.stderr


def test_a_compiled_module_is_pruned_by_its_own_names() -> None:
    model = small_net()
    compiled = torch.compile(model, backend="eager")
    optimizer = optim.SGD(compiled.parameters(), 0.1)
    tree = {"prune": {**RAMP, "targets": ["fc1"]}}
    pruning = pruneflow.prune(compiled, recipe_of(tree), optimizer=optimizer, steps_per_epoch=4)
    while not pruning.done:
        compiled(torch.randn(8, 6)).square().mean().backward()
        optimizer.step()
        pruning.step()
    assert list(pruning.layer_sparsity) == ["fc1.weight"]
    assert int((model.fc1.weight == 0).sum()) == round(0.7 * 48)


def test_a_plan_reads_as_one_line_an_event() -> None:
    lines = str(Run({"prune": RAMP, "lr": RATE}).pruning.plan).splitlines()
    assert lines[0].endswith("12 steps (3 epochs), 103 weights")
    assert [line.split()[1] for line in lines[1:]] == ["3", "4", "5", "7"]
    assert lines[-1].endswith("69.90% sparse  prune: prune 3 of 3")
