"""``distill``: the network learns from its dense self too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from os.path import isfile
from pathlib import Path
from typing import TYPE_CHECKING

from pruneflow.errors import did_you_mean
from pruneflow.modifiers.base import modifier
from pruneflow.modifiers.duties import Duty, LossSpan, LossTerm
from pruneflow.modifiers.events import Event
from pruneflow.modifiers.fields import (
    Instant,
    ModuleName,
    Number,
    Patterns,
    TensorFile,
    option,
)
from pruneflow.modifiers.site import FieldError, Site
from pruneflow.modifiers.spanning import SpanModifier
from pruneflow.timeline import Moment

if TYPE_CHECKING:
    from torch import nn

    from pruneflow.network import Network

SNAPSHOT = "snapshot"


@modifier("distill")
@dataclass(frozen=True, kw_only=True)
class Distill(SpanModifier):
    """Learn from a teacher too: the network as it was at 'start', or one from a file.

    The loss becomes (1 - alpha) x task + alpha x T^2 x KL(teacher || student), both softened by
    the temperature T; with 'hints', plus 'hint_weight' x the mean squared error between what
    each hinted module gives in the two. The teacher runs in eval mode and is never pruned.
    """

    paper = "Hinton et al. 2015, arXiv:1503.02531; Romero et al. 2015, arXiv:1412.6550"
    example = {"start": "1ep", "end": "3ep", "alpha": 0.7, "hints": ["fc*"], "hint_weight": 0.1}

    start: Moment = option(Instant(), "when the teacher is kept and begins to teach")
    teacher: str = option(
        TensorFile((SNAPSHOT,)),
        "the network at 'start', or a file with the parameters and buffers of one like it",
        SNAPSHOT,
    )
    temperature: float = option(Number(0, above=True), "softens both outputs", 2.0)
    alpha: float = option(Number(0, 1), "the teacher's share of the loss", 0.5)
    hints: tuple[str, ...] = option(
        Patterns("[module name pattern, ...]"), "modules that are to give what the teacher's do", ()
    )
    hint_weight: float | None = option(
        Number(0, above=True), "multiplies the squared error of every hint", None
    )
    output: str | None = option(
        ModuleName(), "the module whose output are the logits; default: the whole network", None
    )

    def check(self) -> Sequence[tuple[str, str]]:
        """See base class."""
        if bool(self.hints) != (self.hint_weight is not None):
            return [("hint_weight", "'hint_weight' and 'hints' go together")]
        return ()

    def needed_steps(self, site: Site) -> int:
        """See base class: a teacher is kept for one update at least."""
        return self.span(site)[1]

    def events(self, site: Site) -> Sequence[Event]:
        """See base class."""
        start, end = self.span(site)
        if self._file is not None and not isfile(self._file):
            raise FieldError("teacher", f"no file '{self._file}' here")
        label = "keep the teacher" if self._file is None else f"load the teacher, {self._file}"
        events = [Event(start, self.name, "snapshot", label=label)]
        if self.end is not None:
            events.append(Event(end, self.name, "mark", label="let the teacher go", last=True))
        return events

    def duties(self, site: Site) -> Sequence[Duty]:
        """See base class."""
        return [LossSpan(self.name, *self.span(site), self._term)]

    def require_module(self, module: nn.Module) -> None:
        """See base class."""
        self._hinted(module)
        if self._file is not None:
            from pruneflow.operations.teachers import read

            try:
                read(self._file, module)
            except ValueError as error:
                raise FieldError("teacher", str(error)) from None

    def fire(self, event: Event, network: Network) -> None:
        """See base class."""
        if event.action == "snapshot":
            from pruneflow.operations.teachers import keep

            keep(network, self.name, self._file)
        else:
            del network.state.snapshots[self.name]

    @property
    def files(self) -> tuple[str, ...]:
        """See base class."""
        return () if self.teacher == SNAPSHOT else (self.teacher,)

    @property
    def _file(self) -> Path | None:
        return next(map(Path, self.files), None)

    def _term(self, network: Network) -> LossTerm:
        from pruneflow.operations.distilling import Distillation

        return Distillation(
            network,
            self.name,
            self.output or "",
            self._hinted(network.model),
            self.temperature,
            self.alpha,
            self.hint_weight or 0.0,
        )

    def _hinted(self, module: nn.Module) -> tuple[str, ...]:
        """Names of the modules that hints mean.

        Raises:
            FieldError: A name means no module, or one that the output does not depend on.
        """
        names = [name for name, _ in module.named_modules() if name]
        if self.output is not None and self.output not in names:
            hint = did_you_mean(self.output, names, always=True)
            raise FieldError("output", f"the network has no module '{self.output}'.{hint}")
        inside = [name for name in names if self.output is None or _is_in(name, self.output)]
        for pattern in self.hints:
            if not any(_matching([pattern], inside)):
                hint = did_you_mean(pattern, inside, always=True)
                raise FieldError("hints", f"'{pattern}' matches no module of the output's.{hint}")
        return tuple(_matching(self.hints, inside))


def _is_in(name: str, outer: str) -> bool:
    return name == outer or name.startswith(f"{outer}.")


def _matching(patterns: Sequence[str], names: Sequence[str]) -> Iterator[str]:
    """Those that a pattern means, or a dotted tail of which it means."""
    forms = [form for pattern in patterns for form in (pattern, f"*.{pattern}")]
    return (name for name in names if any(map(partial(fnmatchcase, name), forms)))
