"""A training loop of a few lines: what an ``Engine`` needs, and no framework."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import nn, optim
from torch.nn.functional import smooth_l1_loss
from torch.optim import SGD, Optimizer

from pruneflow.engine import Engine
from pruneflow.recipe import schema
from pruneflow.recipe.compiler import compile_for
from pruneflow.recipe.plan import Plan
from pruneflow.state import PruneState
from pruneflow.structure import resize
from pruneflow.timeline import Horizon

EPOCH = 3
"""Steps in one epoch."""

Make = Callable[[Any], Any]


def small_net(bias: bool = True) -> nn.Module:
    """6-8-5-3: ``fc1`` is the input, ``output`` the output."""
    torch.manual_seed(0)
    return nn.Sequential(
        OrderedDict(
            fc1=nn.Linear(6, 8, bias),
            tanh1=nn.Tanh(),
            fc2=nn.Linear(8, 5, bias),
            tanh2=nn.Tanh(),
            output=nn.Linear(5, 3, bias),
        )
    )


def normed_net() -> nn.Module:
    """6-8-3 with a batch norm between."""
    torch.manual_seed(0)
    return nn.Sequential(
        OrderedDict(
            fc1=nn.Linear(6, 8),
            norm=nn.BatchNorm1d(8),
            relu=nn.ReLU(),
            output=nn.Linear(8, 3),
        )
    )


def lenet() -> nn.Module:
    """LeNet-300-100."""
    torch.manual_seed(0)
    return nn.Sequential(
        OrderedDict(
            fc1=nn.Linear(784, 300),
            relu1=nn.ReLU(),
            fc2=nn.Linear(300, 100),
            relu2=nn.ReLU(),
            output=nn.Linear(100, 10),
        )
    )


def momentum(model: nn.Module) -> Optimizer:
    """An optimizer with a memory and weight decay."""
    return SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)


def muon(parameters: Any) -> Optimizer:
    """Muon, which the oldest torch that is supported has not yet."""
    if not hasattr(optim, "Muon"):
        pytest.skip("this torch has no Muon")
    return optim.Muon(parameters, lr=0.05)


OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "sgd, momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "sgd, nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: optim.Adam(p, lr=0.01, weight_decay=0.01),
    "adam, amsgrad": lambda p: optim.Adam(p, lr=0.01, amsgrad=True, foreach=True),
    "adamw": lambda p: optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "adamw, fused": lambda p: optim.AdamW(p, lr=0.01, weight_decay=0.1, fused=True),
    "nadam": lambda p: optim.NAdam(p, lr=0.01, weight_decay=0.01),
    "radam": lambda p: optim.RAdam(p, lr=0.01, weight_decay=0.01),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.01, momentum=0.9, centered=True),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.1, weight_decay=0.01),
    "adadelta": lambda p: optim.Adadelta(p, lr=1.0, weight_decay=0.01),
    "adamax": lambda p: optim.Adamax(p, lr=0.01, weight_decay=0.01),
    "asgd": lambda p: optim.ASGD(p, lr=0.1, t0=1, weight_decay=0.01),
    "rprop": lambda p: optim.Rprop(p, lr=0.01),
    "adafactor": lambda p: optim.Adafactor(p, lr=0.01, weight_decay=0.01),
    "muon": muon,
    "lbfgs": lambda p: optim.LBFGS(p, lr=0.1, max_iter=3, history_size=3),
}


def plan_of(
    modifiers: Mapping[str, Any],
    model: nn.Module | None = None,
    total: int | None = None,
    **top: Any,
) -> Plan:
    """Compile a recipe given as plain values."""
    recipe = schema.build({"modifiers": modifiers, **top})
    model = small_net() if model is None else model
    example = torch.zeros(2, next(model.parameters()).shape[1])
    return compile_for(recipe, model, Horizon(EPOCH, total), example)


class Watched:
    """Five calibration batches of random inputs, wanted as they come."""

    def __init__(self, features: int) -> None:
        generator = torch.Generator().manual_seed(7)
        self.inputs = [torch.randn(4, features, generator=generator) for _ in range(5)]

    @property
    def example(self) -> torch.Tensor:
        return self.inputs[0]

    def batches(self) -> Iterator[torch.Tensor]:
        return iter(self.inputs)

    def forward(self, model: nn.Module, batch: torch.Tensor) -> Any:
        return model(batch)

    def loss(self, model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        output = model(batch)
        return smooth_l1_loss(output, batch[:, : output.shape[1]])


class Loop:
    """A run that can be taken step by step, saved and continued.

    Args:
        modifiers: The recipe's ``modifiers``, as plain values.
        total: Steps of the run, or None where the recipe decides.
        net: Makes the network.
        optimizer: Makes one optimizer or several from the network.
        scheduler: Makes a learning-rate scheduler from an optimizer.
        saved: What ``save`` gave, to continue from.
        accumulate: Backward passes for one update.
        closure: Hand the optimizer a closure instead of gradients.
    """

    def __init__(
        self,
        modifiers: Mapping[str, Any],
        total: int | None = None,
        net: Callable[[], nn.Module] = small_net,
        optimizer: Make = momentum,
        scheduler: Make | None = None,
        saved: bytes | None = None,
        accumulate: int = 1,
        closure: bool = False,
        seed: int = 0,
    ) -> None:
        self.model, self.accumulate, self.closure = net(), accumulate, closure
        self.plan = plan_of(modifiers, self.model, total)
        parts = None if saved is None else torch.load(io.BytesIO(saved), weights_only=True)
        if parts is not None:
            resize(self.model, parts["model"])
        made = optimizer(self.model)
        self.optimizers: list[Optimizer] = list(made) if isinstance(made, Sequence) else [made]
        self.schedulers = [] if scheduler is None else [scheduler(o) for o in self.optimizers]
        state = None if parts is None else self._load(parts)
        self.rates: list[float] = []
        self.optimizers[0].register_step_post_hook(self._note_rate)  # before the engine's own
        self.engine = Engine(self.plan, self.model, self.optimizers, self.schedulers, seed, state)
        self.engine.network.calibration = Watched(next(self.model.parameters()).shape[1])
        if state is None:
            self.engine.advance(0)

    @property
    def clock(self) -> int:
        """Steps done."""
        return self.engine.state.clock

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """Copies of all parameters."""
        return {n: p.detach().clone() for n, p in self.model.named_parameters()}

    @property
    def masks(self) -> dict[str, torch.Tensor]:
        """Copies of all masks, True where a weight is kept."""
        return {name: mask.ne(0) for name, mask in self.engine.state.masks.items()}

    def step(self) -> None:
        """One update, and whatever the recipe does after it."""
        step = self.clock + 1
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        if self.closure:
            for optimizer in self.optimizers:
                optimizer.step(lambda o=optimizer: (o.zero_grad(), self._backward(step))[1])
        else:
            self._backward(step)
            for optimizer in self.optimizers:
                optimizer.step()
        for scheduler in self.schedulers:
            scheduler.step()
        self.engine.advance(step)

    def run(self, until: int | None = None) -> Loop:
        """Steps until the end, or until a step."""
        while self.clock < (self.plan.total if until is None else until):
            self.step()
        return self

    def save(self) -> bytes:
        """A checkpoint."""
        buffer = io.BytesIO()
        torch.save(
            {
                "model": self.model.state_dict(),
                "optimizers": [o.state_dict() for o in self.optimizers],
                "schedulers": [s.state_dict() for s in self.schedulers],
                "pruneflow": self.engine.state.state_dict(),
            },
            buffer,
        )
        return buffer.getvalue()

    def everything(self) -> Any:
        """Whatever a run leaves behind, down to the bit."""
        return bits(
            {
                "model": self.model.state_dict(),
                "optimizers": [o.state_dict() for o in self.optimizers],
                "schedulers": [s.state_dict() for s in self.schedulers],
                "masks": self.masks,
                "journal": self.engine.state.journal,
                "removed": self.engine.state.removed,
                "rate": self.engine.rate,
            }
        )

    def batch_seed(self, step: int, part: int) -> int:
        """What a batch is drawn from."""
        return 1000 * step + part

    def _load(self, parts: dict[str, Any]) -> PruneState:
        self.model.load_state_dict(parts["model"])
        for optimizer, part in zip(self.optimizers, parts["optimizers"], strict=True):
            optimizer.load_state_dict(part)
        for scheduler, part in zip(self.schedulers, parts["schedulers"], strict=True):
            scheduler.load_state_dict(part)
        return PruneState.from_state_dict(parts["pruneflow"])

    def _backward(self, step: int) -> torch.Tensor:
        loss = torch.zeros(())
        for part in range(self.accumulate):
            generator = torch.Generator().manual_seed(self.batch_seed(step, part))
            size = next(self.model.parameters()).shape[1]
            batch = torch.randn(4, size, generator=generator)
            output = self.model(batch)
            wanted = batch[:, : output.shape[1]]
            loss = self.engine.loss(smooth_l1_loss(output, wanted)) / self.accumulate
            loss.backward()
        return loss

    def _note_rate(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        self.rates.append(float(optimizer.param_groups[0]["lr"]))


def revived(loop: Loop) -> list[str]:
    """Layers in which a masked weight is anything but +0.0."""
    found = []
    for name, mask in loop.masks.items():
        gone = loop.model.get_parameter(name)[~mask]
        if bool((gone != 0).any()) or bool(gone.signbit().any()):
            found.append(name)
    return found


def resumed_anywhere(make: Callable[[bytes | None], Loop]) -> Loop:
    """A run to its end; what is pruned stays so, and from every step it goes on to the same bits.

    Args:
        make: The run at its beginning, or from what was saved.
    """
    whole = make(None)
    saves = [whole.save()]
    while whole.clock < whole.plan.total:
        whole.step()
        assert not revived(whole), f"step {whole.clock}"
        saves.append(whole.save())
    expected = whole.everything()
    for step, saved in enumerate(saves):
        resumed = make(saved)
        assert resumed.clock == step
        assert resumed.run().everything() == expected, f"resumed at step {step}"
    return whole


def bits(value: Any) -> Any:
    """Nested containers with every tensor as its bytes, so that -0.0 differs from 0.0."""
    if isinstance(value, torch.Tensor):
        flat = value.detach().contiguous().reshape(-1)
        return str(value.dtype), tuple(value.shape), flat.view(torch.uint8).numpy().tobytes()
    if isinstance(value, Mapping):
        return {key: bits(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [bits(part) for part in value]
    return value
