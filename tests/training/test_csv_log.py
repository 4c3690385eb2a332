"""The CSV log: what a run that was killed and went on wrote is what a whole one writes."""

from __future__ import annotations

import csv
from pathlib import Path

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pruneflow.training.csv_log import FILE, CsvLog

NAMES = ("loss", "val_loss", "recipe/layer_sparsity/fc1.weight", "epoch")

Rows = list[tuple[int, dict[str, float]]]


@st.composite
def logs(draw: st.DrawFn) -> Rows:
    """Rows of ever later steps, several of one step among them."""
    number = st.floats(allow_nan=False) | st.integers(0, 99)
    metrics = st.dictionaries(st.sampled_from(NAMES), number, min_size=1)
    steps = sorted(draw(st.lists(st.integers(0, 20), max_size=12)))
    return [(step, draw(metrics)) for step in steps]


def written(folder: Path, rows: Rows, first_step: int = 0) -> Path:
    log = CsvLog(folder, first_step)
    for step, metrics in rows:
        log.log_metrics(metrics, step)
    return folder / FILE


@settings(max_examples=25)
@given(logs(), st.integers(0, 20), st.integers(0, 30), st.text(max_size=20))
def test_a_killed_log_goes_on_as_if_nothing_had_been(
    rows: Rows, checkpoint: int, torn: int, rubbish: str
) -> None:
    """A life ends somewhere after a checkpoint, in the middle of a line perhaps."""
    Path("whole").mkdir(exist_ok=True)
    before = [row for row in rows if row[0] < checkpoint]
    after = [row for row in rows if row[0] >= checkpoint]
    if not after:
        return
    for name in ("whole", "killed"):
        Path(name, FILE).unlink(missing_ok=True)
    whole = written(Path("whole"), rows)
    killed = written(Path("killed"), before + after[:torn])
    if killed.is_file():
        with killed.open("a") as stream:
            stream.write(rubbish.replace("\n", "").replace("\r", ""))
    written(Path("killed"), after, checkpoint)
    assert killed.read_bytes() == whole.read_bytes()


@settings(max_examples=25)
@given(logs())
def test_every_number_comes_back(rows: Rows) -> None:
    Path("back", FILE).unlink(missing_ok=True)
    path = written(Path("back"), rows)
    if not rows:
        assert not path.exists()
        return
    with path.open(newline="") as stream:
        read = list(csv.DictReader(stream))
    assert [int(row["step"]) for row in read] == [step for step, _ in rows]
    for row, (_, metrics) in zip(read, rows, strict=True):
        assert {k: float(v) for k, v in row.items() if v and k != "step"} == metrics


def test_tensors_are_numbers_and_damage_is_dropped() -> None:
    path = written(Path("log"), [(0, {"loss": torch.tensor(0.5)})])  # type: ignore[dict-item]
    assert path.read_text() == "loss,step\n0.5,0\n"
    path.write_text("loss,step\n0.5,0\nnonsense\n1.5,two\n,\n0.7,1,9,9\n")
    assert written(Path("log"), [(2, {"loss": 1.0})], 2).read_text() == (
        "loss,step\n0.5,0\n0.7,1\n1.0,2\n"
    )
