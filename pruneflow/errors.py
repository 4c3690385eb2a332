"""Everything that can go wrong, as one tree.

PruneFlowError
├── UserError               the person can mend it; exit code 2, never a traceback
│   ├── RecipeError         the recipe's text: file, line, what to write instead
│   │   └── PlanError       the recipe does not fit this network or this run's length
│   ├── ConfigError         the command line or a file of conf/
│   ├── DataError           data that is absent or damaged
│   ├── ResumeError         a run folder or checkpoint that cannot be continued
│   │   └── HeldError       a folder that another process works in
│   ├── DeployError         a network that cannot be deployed as asked
│   └── BundleError         a bundle that is damaged, or fits another network
└── TrainingError           a law broke while training (exit code 1)
    ├── NonFiniteError      a weight became NaN or infinite
    └── FrozenMaskError     a frozen mask was about to change
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class PruneFlowError(Exception):
    """Base of every error PruneFlow raises on purpose."""

    exit_code = 1


class UserError(PruneFlowError):
    """A mistake that the person at the keyboard can mend."""

    exit_code = 2


MOST_TOLD = 20
"""Problems of a recipe that are told at once."""

MOST_LETTERS = 2000
"""Of a problem's message."""


@dataclass(frozen=True)
class Problem:
    """One mistake and where it stands, e.g. ``my.yaml:5: modifiers.prune: ...``."""

    where: str
    message: str

    def __str__(self) -> str:
        text = self.message
        if len(text) > MOST_LETTERS:  # it quotes a value that long; the mend comes last
            text = f"{text[: MOST_LETTERS // 2]} ... {text[-MOST_LETTERS // 2 :]}"
        return f"{self.where}: {text}" if self.where else text


class RecipeError(UserError):
    """A recipe that cannot be read, with every problem found in it."""

    def __init__(self, problems: Sequence[Problem] | Problem) -> None:
        self.problems = [problems] if isinstance(problems, Problem) else list(problems)
        told = [str(problem) for problem in self.problems[:MOST_TOLD]]
        if more := len(self.problems) - len(told):
            told.append(f"... and {more} more")
        super().__init__("\n".join(told))

    def __reduce__(self) -> tuple[type[RecipeError], tuple[list[Problem]]]:
        return type(self), (self.problems,)


class PlanError(RecipeError):
    """A well-formed recipe that does not fit the network or the length of the run."""


class ConfigError(UserError):
    """A mistake on the command line or in a file of ``conf/``."""


class DataError(UserError):
    """Data that is absent, damaged or unlike what was declared."""


class ResumeError(UserError):
    """A run folder or checkpoint that cannot be continued exactly."""


class HeldError(ResumeError):
    """A run folder that a living process works in."""


class DeployError(UserError):
    """A network that cannot be deployed as it was asked."""


class BundleError(UserError):
    """A bundle that is damaged, unreadable, or made for another network."""


class TrainingError(PruneFlowError):
    """A law of the engine broke while training."""


class NonFiniteError(TrainingError):
    """A weight was NaN or infinite when a mask was to be made from it."""


class FrozenMaskError(TrainingError):
    """A mask was about to change after ``freeze_mask`` fixed it."""


def did_you_mean(word: object, options: Iterable[str], always: bool = False) -> str:
    """A closing sentence that suggests the nearest of ``options``, or lists them.

    Args:
        word: What was written.
        options: What would have been understood.
        always: List the options even where one of them is near.
    """
    names = sorted(set(options))
    near = difflib.get_close_matches(str(word), names, 1, cutoff=0.6)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    if names and (always or not near):
        hint += f" Allowed: {', '.join(names)}."
    return hint
