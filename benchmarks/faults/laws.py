"""What has to hold after a fault, whatever it was."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file

from benchmarks.faults.nursery import End
from pruneflow import runfolder

FILES = ("pruned.safetensors", "masks.safetensors", "journal.jsonl", "history.jsonl",
         "plan.json", "logs/metrics.csv")  # fmt: skip
APART = ("seconds", "shared")
"""What a result may say differently."""

CODES = (0, 1, 2, 130)
"""What the README promises."""

NOT_OURS = (".hydra",)
"""Written by Hydra, and read by nobody."""

PNG = (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82")


def broken(folder: Path) -> list[str]:
    """The files that are not whole although they have their final names."""
    found = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and ".part" not in path.name and not set(parts) & set(NOT_OURS):
            try:
                _require_whole(path)
            except Exception as error:
                found.append(f"{path.relative_to(folder)}: {type(error).__name__}: {error}")
    return found


def _require_whole(path: Path) -> None:
    if path.suffix == ".json" or path.name == ".job":
        json.loads(path.read_text())
    elif path.suffix == ".jsonl":
        [json.loads(line) for line in path.read_text().splitlines()]
    elif path.suffix == ".yaml":
        assert isinstance(yaml.safe_load(path.read_text()), dict)
    elif path.suffix in (".ckpt", ".checkpoint"):
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
        torch.load(path, map_location="cpu", weights_only=True)
    elif path.suffix == ".safetensors":
        load_file(path)
    elif path.suffix == ".png":
        data = path.read_bytes()
        assert data.startswith(PNG[0])
        assert data.endswith(PNG[1])
    elif path.suffix == ".csv":
        rows = list(csv.reader(path.read_text().splitlines()))
        assert {len(row) for row in rows} == {len(rows[0])}
    if path.parent.parent.parent.name == ".shared" and path.suffix in (".checkpoint", ".metrics"):
        assert runfolder.sha256(path) == path.stem


def left(run: Path) -> dict[str, Any]:
    """Everything that a finished run leaves, but for what says how long it took."""
    result = json.loads((run / "result.json").read_text())
    found: dict[str, Any] = {name: (run / name).read_bytes() for name in FILES}
    found["run.png"] = (run / "run.png").is_file()
    return found | {"result": {key: value for key, value in result.items() if key not in APART}}


def unlike(run: Path, reference: dict[str, Any]) -> list[str]:
    """What a finished run left that is not as it should be."""
    try:
        found = left(run)
    except (OSError, ValueError) as error:
        return [str(error)]
    return [name for name in reference if found[name] != reference[name]]


def unclear(end: End, begun: bool, own: bool = False) -> list[str]:
    """What is wrong about how a command ended and what it said.

    Args:
        end: How it ended.
        begun: Whether its run has begun and is not finished: then it says how to go on.
        own: Whether the fault was in a person's own code, whose traceback they need.
    """
    if end.code is None:
        return ["it hung"]
    found = [] if end.code in CODES or end.code < 0 else [f"exit code {end.code}"]
    if end.code <= 0:
        return found
    if "Traceback" in end.said and not own:
        found.append("a traceback")
    if "pruneflow: " not in end.said and not own:
        found.append("no message")
    if begun and "ckpt_path=last" not in end.said:
        found.append("it does not say how to go on")
    if ".part:" in end.said:
        found.append("it names a temporary file")
    return found
