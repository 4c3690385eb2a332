"""Distilling: a network learns from another one's outputs too (Hinton et al. 2015)."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle

from pruneflow.errors import TrainingError
from pruneflow.network import Network
from pruneflow.operations import teachers
from pruneflow.operations.batches import copied
from pruneflow.snapshots import tensors_of


def soft_loss(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """``T^2 KL(softmax(teacher / T) || softmax(student / T))``, arXiv:1503.02531, section 2.

    Args:
        student: Logits of shape (n, classes, ...).
        teacher: The same.
        temperature: T; its square keeps gradients as large as those of the task's loss.

    Returns:
        The mean over everything but classes, in single precision at least. Classes that the
        teacher rules out, by minus infinity, add nothing.
    """
    dtype = torch.promote_types(student.dtype, torch.float32)
    ours = F.log_softmax(student.to(dtype) / temperature, 1)
    theirs = F.log_softmax(teacher.to(dtype) / temperature, 1)
    divergence = F.kl_div(ours, theirs, reduction="none", log_target=True)
    return divergence.masked_fill(theirs.isneginf(), 0.0).sum(1).mean() * temperature**2


class Distillation:
    """Watches a network's outputs, and adds the teacher's opinion of them to a loss.

    The teacher runs right after the student, on what that was given, under the same autocast.
    Of several forward passes before one loss the last one counts.

    Args:
        network: The student; ``network.state.snapshots[key]`` holds the teacher's tensors.
        key: The modifier's name.
        output: The name of the module whose output are the logits; empty: the whole network.
        hints: Names of modules in it whose outputs are to be alike (arXiv:1412.6550).
        temperature: Of the softened outputs.
        alpha: Their share of the loss.
        hint_weight: Multiplies the mean squared error between the outputs of every hint.
    """

    def __init__(
        self,
        network: Network,
        key: str,
        output: str,
        hints: tuple[str, ...],
        temperature: float,
        alpha: float,
        hint_weight: float,
    ) -> None:
        self._network, self._key = network, key
        self._output, self._hints = output, hints
        self._temperature, self._alpha, self._hint_weight = temperature, alpha, hint_weight
        self._hooks: list[RemovableHandle] = []
        self._teacher: dict[str, torch.Tensor] = {}
        self._is_teaching = False
        self._inputs: list[Any] = []
        self._students: dict[str, Any] = {}
        self._teachers: dict[str, Any] = {}
        self._term: torch.Tensor | None = None
        self._unfit = ""

    def attach(self) -> None:
        """Begin to watch, unless it does."""
        if self._hooks:
            return
        model = self._network.model
        own = tensors_of(model)
        self._teacher = self._network.state.snapshots[self._key]["tensors"]
        self._teacher.update({n: t.to(own[n].device) for n, t in self._teacher.items() if n in own})
        for name in self._hints:
            hook = _Watch(self._see_hint, name)
            self._hooks.append(
                model.get_submodule(name).register_forward_hook(hook, with_kwargs=True)
            )
        part = model.get_submodule(self._output)
        before, after = (_Watch(see, self._output) for see in (self._see_input, self._see_output))
        self._hooks.append(part.register_forward_pre_hook(before, with_kwargs=True))
        self._hooks.append(part.register_forward_hook(after, with_kwargs=True))

    def detach(self) -> None:
        """Let go of the network and of what was seen."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        self._forget()

    def add(self, loss: torch.Tensor, scale: float) -> torch.Tensor:
        """``(1 - alpha) loss + scale (alpha soft_loss + hint_weight sum of hints)``.

        Args:
            loss: The task's loss of the batch that the network has just seen.
            scale: What it was multiplied by already.

        Raises:
            TrainingError: The network gave no logits since the last loss.
        """
        term, unfit = self._term, self._unfit
        self._forget()
        if term is None:
            which = f"'{self._output}'" if self._output else "the network's own forward"
            raise TrainingError(
                f"modifiers.{self._key}: {unfit or f'{which} was not called in this batch'}: "
                "'output:' names the module whose output are the logits, a tensor of shape "
                "(n, classes) or (n, classes, ...)"
            )
        return loss * (1 - self._alpha) + (term * scale).to(loss)

    def _see_hint(self, name: str, args: Any, kwargs: Mapping[str, Any], output: Any) -> None:
        (self._teachers if self._is_teaching else self._students)[name] = output

    def _see_input(self, name: str, args: Any, kwargs: Mapping[str, Any]) -> None:
        if not self._is_teaching and torch.is_grad_enabled():
            self._inputs.append(copied((args, dict(kwargs))))

    def _see_output(self, name: str, args: Any, kwargs: Mapping[str, Any], output: Any) -> None:
        if self._is_teaching or not torch.is_grad_enabled():
            return
        args, kwargs = self._inputs.pop()
        if not _is_like_logits(output):
            self._unfit = "'{}' gives {}".format(name or "forward", _described(output))
            return
        model = self._network.model
        self._is_teaching = True
        try:
            part = model.get_submodule(name)
            theirs = teachers.run(model, part, self._teacher, args, kwargs)
        finally:
            self._is_teaching = False
        self._term = self._alpha * soft_loss(output, theirs, self._temperature)
        for hint in self._hints:
            self._term = self._term + self._hint_weight * self._difference(hint)

    def _difference(self, hint: str) -> torch.Tensor:
        ours, theirs = self._students.pop(hint, None), self._teachers.pop(hint, None)
        if not isinstance(ours, torch.Tensor) or not isinstance(theirs, torch.Tensor):
            what = "was not called" if ours is None or theirs is None else "gives no tensor"
            raise TrainingError(f"modifiers.{self._key}: hints: '{hint}' {what} in this batch")
        dtype = torch.promote_types(ours.dtype, torch.float32)
        return F.mse_loss(ours.to(dtype), theirs.to(dtype))

    def _forget(self) -> None:
        self._term, self._unfit = None, ""
        self._inputs.clear()
        self._students.clear()
        self._teachers.clear()


class _Watch:
    """A forward hook that lets whoever watches die, and that copies of its module do not have."""

    def __init__(self, see: Callable[..., None] | None = None, name: str = "") -> None:
        self._see = None if see is None else weakref.WeakMethod(see)
        self._name = name

    def __call__(self, module: nn.Module, *seen: Any) -> None:
        see = None if self._see is None else self._see()
        if see is not None:
            see(self._name, *seen)

    def __reduce__(self) -> tuple[type[_Watch], tuple[()]]:
        return _Watch, ()


def _is_like_logits(output: Any) -> bool:
    return (
        isinstance(output, torch.Tensor)
        and output.is_floating_point()
        and output.ndim >= 2
        and output.requires_grad
    )


def _described(output: Any) -> str:
    if not isinstance(output, torch.Tensor):
        return f"a {type(output).__name__}"
    kind = "" if output.requires_grad else "gradient-less "
    return f"a {kind}{output.dtype} of shape {list(output.shape)}".replace("torch.", "")
