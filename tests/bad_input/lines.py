"""Judges bad command lines in this process; whatever would train or measure only begins."""

from __future__ import annotations

import io
import logging
import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from tests.bad_input.judging import REFUSED, WRONG, Begins, Verdict, answer, own_folder
from tests.bad_input.line_mutants import Words, mutant

WORK = (
    "pruneflow.training.job.train",
    "pruneflow.cli.sweeping.execute",
    "pruneflow.cli.budget._Search.run",
    "pruneflow.cli.deploy._deploy",
)
"""What a command line that is accepted comes to."""

RECIPE = "length: 4ep\nsparsity: 0.9\nmodifiers:\n  p: {type: prune, sparsity: '${sparsity}'}\n"
FILES = {
    "my.yaml": RECIPE,
    "recipes/my.yaml": RECIPE,
    "broken.yaml": RECIPE.replace("type", "tipe"),
    "conf/model/mine.yaml": "name: lenet5\nmodule: null\nargs: {}\n",
    "done/run.lock.yaml": "name: [\n",
}


def mutants(count: int, seed: int) -> Iterator[Words]:
    """So many bad command lines."""
    chance = random.Random(seed)
    return (mutant(chance) for _ in range(count))


def judged(words: Words) -> Verdict:
    """What the command says to a line, in a folder with a few files."""
    with own_folder() as folder, _quiet():
        for name, text in FILES.items():
            path = Path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        before = sorted(folder.rglob("*"))
        verdict = answer(words).verdict()
        if verdict.kind == REFUSED and (more := set(folder.rglob("*")).difference(before)):
            return Verdict(WRONG, f"it is refused and leaves {sorted(more)[0]}: {verdict.said}")
    return verdict


@contextmanager
def _quiet() -> Iterator[None]:
    """Context: nothing trains, and what Hydra sets up for the whole process is taken back."""

    def begins(*given: Any, **more: Any) -> None:
        raise Begins

    root = logging.getLogger()
    handlers, level, disabled = list(root.handlers), root.level, logging.root.manager.disable
    with ExitStack() as stack:
        for name in WORK:
            stack.enter_context(mock.patch(name, begins))
        stack.enter_context(mock.patch("pruneflow.report.pictures.draw_plan"))
        stack.enter_context(mock.patch("sys.stdin", io.StringIO()))
        try:
            yield
        finally:
            for handler in set(root.handlers).difference(handlers):
                handler.close()
            root.handlers[:] = handlers
            root.setLevel(level)
            logging.disable(disabled)
