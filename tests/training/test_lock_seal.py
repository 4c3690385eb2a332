"""A lock that is not what it was is refused, wherever it was damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.errors import ResumeError
from pruneflow.training.resume import read_lock
from tests.e2e.command import trained


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    return trained(tmp_path_factory.mktemp("seal"))


@given(st.data())
def test_a_damaged_lock_says_the_same_or_is_refused(run: Path, data: st.DataObject) -> None:
    whole = (run / "run.lock.yaml").read_bytes()
    before = read_lock(run).to_lock()
    at = data.draw(st.integers(0, len(whole) - 1))
    bad = bytearray(whole)
    bad[at] ^= 1 << data.draw(st.integers(0, 7))
    told = bytes(bad) if data.draw(st.booleans()) else whole[:at]
    folder = Path("damaged")
    folder.mkdir(exist_ok=True)
    (folder / "run.lock.yaml").write_bytes(told)
    try:
        found = read_lock(folder).to_lock()
    except ResumeError as error:
        found = str(error)
    assert found == before or str(found).startswith("damaged/run.lock.yaml: is damaged")


def test_who_changes_a_lock_deletes_the_line_with_its_checksum(run: Path) -> None:
    first, _, rest = (run / "run.lock.yaml").read_text().partition("\n")
    Path("mine").mkdir()
    lock = Path("mine/run.lock.yaml")
    lock.write_text(f"{first}\n{rest.replace('seed: 0', 'seed: 1')}")
    with pytest.raises(ResumeError, match="whoever has changed it on purpose deletes its first"):
        read_lock(Path("mine"))
    lock.write_text(rest.replace("seed: 0", "seed: 1"))
    assert read_lock(Path("mine")).seed == 1
