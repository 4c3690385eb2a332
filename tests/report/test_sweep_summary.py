"""The end of a sweep, over results that others may have spoiled."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from pruneflow import runfolder
from pruneflow.errors import ResumeError
from pruneflow.report.sweep import TOLD, summarize


@pytest.mark.parametrize("absent", TOLD)
def test_a_result_that_does_not_say_all_is_damaged(absent: str) -> None:
    job = Path("sweep/0")
    runfolder.mark_job(job)
    runfolder.write_json(job / runfolder.RESULT, {key: 0 for key in TOLD if key != absent})
    with pytest.raises(ResumeError, match=rf"result.json: is damaged: it does not say '{absent}'"):
        summarize(Path("sweep"), Console())
