"""Laws of the live table: it fits on any screen, and shows what matters most."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from pruneflow.report.live import (
    FAILED,
    FINISHED,
    FRAME,
    RUNNING,
    WAITING,
    JobState,
    duration,
    live_table,
)

STATES = st.builds(
    JobState,
    state=st.sampled_from([WAITING, RUNNING, FINISHED, FAILED]),
    phase=st.sampled_from(["", "dense", "round 10 of 11", "fine-tune", "\x1b[2J"]),
    epoch=st.none() | st.integers(1, 999),
    epochs=st.integers(1, 999),
    sparsity=st.none() | st.floats(0, 1),
    accuracy=st.none() | st.floats(0, 1),
    left=st.none() | st.floats(0, 1e6),
    resumed=st.booleans(),
    changed=st.floats(0, 1e9),
)
JOBS = st.dictionaries(st.integers(0, 59), STATES, max_size=60)


def shown(count: int, jobs: dict[int, JobState], lines: int, width: int = 80) -> list[str]:
    """The lines of the table on a screen of so many lines."""
    screen = io.StringIO()
    told = [{"sparsity": f"0.{number}", "lr": f"{number}e-30" * 5} for number in range(count)]
    Console(file=screen, width=width).print(live_table(told, jobs, lines))
    return screen.getvalue().splitlines()


@given(jobs=JOBS, lines=st.integers(8, 70), width=st.sampled_from([80, 100, 200]))
def test_it_fits_on_the_screen(jobs: dict[int, JobState], lines: int, width: int) -> None:
    text = shown(60, jobs, lines, width)
    assert len(text) < lines
    assert all(len(line) <= width for line in text)
    assert "\x1b[2J" not in "".join(text)


@given(jobs=JOBS, lines=st.integers(8, 70))
def test_running_jobs_come_first_then_failed_ones(jobs: dict[int, JobState], lines: int) -> None:
    text = shown(60, jobs, lines)
    rows = {int(line[:4]) for line in text[3:] if line[:4].strip().isdigit()}
    order = [n for state in (RUNNING, FAILED) for n in jobs if jobs[n].state == state]
    first = order[: lines - FRAME]
    running = {n for n in first if jobs[n].state == RUNNING}
    assert len(rows) == min(60, lines - FRAME)
    assert running <= rows or len(running) == len(rows)
    assert len(rows & set(order)) == min(len(order), lines - FRAME)


def test_what_is_not_shown_is_counted() -> None:
    jobs = {0: JobState(FINISHED, changed=1), 1: JobState(FAILED), 2: JobState(RUNNING, "dense")}
    text = "\n".join(shown(48, jobs, 12))
    assert "1 finished, 1 failed, 1 running, 45 waiting (42 not shown)" in text


def test_a_job_says_where_it_is() -> None:
    job = JobState(RUNNING, "round 3 of 11", 3, 42, 0.5, 0.975, 3723.4, resumed=True)
    text = shown(1, {0: job}, 24)
    assert text[1].split()[:3] == ["job", "sparsity", "lr"]
    (line,) = [line for line in text if "round" in line]
    assert line.split()[:2] == ["0", "0.0"]
    assert line.rstrip().endswith("↻ round 3 of 11   3/42    50.00%    97.50%  1:02:03")


@given(st.integers(0, 10**6))
def test_a_duration_can_be_read_back(seconds: int) -> None:
    total = 0
    for part in duration(seconds).split(":"):
        total = 60 * total + int(part)
    assert total == seconds
