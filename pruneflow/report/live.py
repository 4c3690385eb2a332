"""The table of a sweep that is running: a line a job, and never more lines than a screen has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pruneflow.report.printable import printable

WAITING, RUNNING, FINISHED, FAILED = "waiting", "running", "finished", "failed"
RESUMED = "\N{CLOCKWISE OPEN CIRCLE ARROW}"
STYLES = {WAITING: "dim", FINISHED: "green", FAILED: "bold red"}
FRAME = 6
"""Lines of a screen that hold no job: the table's head and foot, and a free one for the cursor."""


@dataclass(frozen=True)
class JobState:
    """Where a job is.

    Attributes:
        state: ``waiting``, ``running``, ``finished`` or ``failed``.
        phase: What the recipe is doing, or a word about the state.
        epoch: The one it is in, from 1.
        epochs: How many there will be.
        sparsity: Of the network now.
        accuracy: Of the last validation, or on test data once it is finished.
        left: Seconds until its end, about.
        resumed: Whether it goes on from a checkpoint.
        changed: When this was told, in seconds since 1970.
        message: What went wrong, in full.
    """

    state: str = WAITING
    phase: str = ""
    epoch: int | None = None
    epochs: int | None = None
    sparsity: float | None = None
    accuracy: float | None = None
    left: float | None = None
    resumed: bool = False
    changed: float = 0.0
    message: str = ""


def live_table(
    jobs: Sequence[Mapping[str, str]], states: Mapping[int, JobState], lines: int
) -> RenderableType:
    """The jobs of a sweep now.

    Args:
        jobs: For each, by its number, its values of the keys that tell jobs apart.
        states: Where each is, as far as known.
        lines: How many the screen has.
    """
    all_states = [states.get(number, JobState()) for number in range(len(jobs))]
    shown = _chosen(all_states, max(1, lines - FRAME))
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("job", justify="right", no_wrap=True)
    keys = _keys(jobs)
    table.add_column(_yielding(keys))
    table.add_column("phase", no_wrap=True, overflow="ellipsis", min_width=10, max_width=18)
    for name in ("epoch", "sparsity", "accuracy", "left"):
        table.add_column(name, justify="right", no_wrap=True, min_width=5)
    for number in shown:
        table.add_row(
            *_row(number, [jobs[number].get(key, "") for key in keys], all_states[number])
        )
    return Group(table, _counts(all_states, len(jobs) - len(shown)))


def ending(job: JobState) -> str:
    """A line about a finished job."""
    found = {"sparsity": job.sparsity, "accuracy": job.accuracy}
    return "  ".join(
        [job.phase, *(f"{k} {_percent(v)}" for k, v in found.items() if v is not None)]
    )


def duration(seconds: float) -> str:
    """``1:05``, or ``2:03:04``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _chosen(states: Sequence[JobState], room: int) -> list[int]:
    """The jobs to show: running, failed, last finished, next waiting; then all in their order."""
    if len(states) <= room:
        return list(range(len(states)))
    numbers = range(len(states))
    running = [n for n in numbers if states[n].state == RUNNING]
    failed = [n for n in numbers if states[n].state == FAILED]
    ended = sorted(
        (n for n in numbers if states[n].state == FINISHED), key=lambda n: -states[n].changed
    )
    waiting = [n for n in numbers if states[n].state == WAITING]
    first = [*running, *failed, *ended[:1], *waiting[:1], *ended[1:], *waiting[1:]]
    return sorted(first[:room])


def _keys(jobs: Sequence[Mapping[str, str]]) -> list[str]:
    """What jobs differ in, the shortest values first: the longest may be cut."""
    longest: dict[str, int] = {}
    for job in jobs:
        for key, value in job.items():
            longest[key] = max(longest.get(key, 0), len(value))
    return sorted(longest, key=lambda key: longest[key])


def _yielding(words: Sequence[str]) -> Text:
    """Text in the one column that gives way where the screen is narrow."""
    return Text(printable(" ".join(words)), no_wrap=True, overflow="ellipsis")


def _row(number: int, values: Sequence[str], job: JobState) -> list[Text]:
    phase = job.phase or job.state
    if job.resumed and job.state == RUNNING:
        phase = f"{RESUMED} {phase}"
    epoch = "" if job.epoch is None else f"{job.epoch}/{job.epochs}"
    return [
        Text(str(number)),
        _yielding(values),
        Text(printable(phase), STYLES.get(job.state, "")),
        Text(epoch),
        Text(_percent(job.sparsity)),
        Text(_percent(job.accuracy)),
        Text("" if job.left is None or job.state != RUNNING else duration(job.left)),
    ]


def _counts(states: Sequence[JobState], hidden: int) -> Text:
    counts = {
        state: sum(job.state == state for job in states)
        for state in (FINISHED, FAILED, RUNNING, WAITING)
    }
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    more = f" ({hidden} not shown)" if hidden else ""
    resumed = any(job.resumed and job.state == RUNNING for job in states)
    return Text(f"{told}{more}{f'   {RESUMED} resumed' if resumed else ''}", "dim")


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.2%}"
