"""One run of ``pruneflow train`` for a benchmark, which keeps numbers and no folder."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from pruneflow import runfolder
from pruneflow.cli.arguments import parse
from pruneflow.cli.jobs import Composer
from pruneflow.training.config import RunConfig
from pruneflow.training.job import train


def config_of(overrides: Sequence[str]) -> RunConfig:
    """What the command line would train."""
    parsed = parse(overrides)
    return Composer("train", parsed).job(parsed.overrides).config


def trained(
    overrides: Sequence[str], console: Console | None = None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Train one network.

    Args:
        overrides: What the command line would say.
        console: Shows how it goes; by default the terminal.

    Returns:
        The run's result, and its history.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run"
        result = train(config_of(overrides), folder, console or Console())
        history = (folder / runfolder.HISTORY).read_text().splitlines()
    return result, [json.loads(line) for line in history]
