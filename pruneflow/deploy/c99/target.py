"""What deploying to C99 is: write the code, prove it on this machine, weigh it on others."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pruneflow import runfolder
from pruneflow.deploy.accuracy import Classification
from pruneflow.deploy.backends.base import Run
from pruneflow.deploy.bundles.packing import pack
from pruneflow.deploy.bundles.strict_json import JsonObject
from pruneflow.deploy.c99.boards.building import Source
from pruneflow.deploy.c99.boards.survey import survey
from pruneflow.deploy.c99.choosing import unit_of
from pruneflow.deploy.c99.code import code_of
from pruneflow.deploy.c99.host import FLAGS, STRICT, Compiled, compiled
from pruneflow.deploy.c99.identifiers import identifier
from pruneflow.deploy.c99.parity import Parity, compare
from pruneflow.deploy.c99.quantized.exporting import in_bytes, integer_reference
from pruneflow.deploy.c99.quantized.quantities import quantities_json
from pruneflow.deploy.c99.quantized.unit import QuantizedUnit
from pruneflow.deploy.c99.self_test import self_test_of
from pruneflow.deploy.c99.unit import Unit
from pruneflow.deploy.choice import DEFAULT, Cell
from pruneflow.deploy.engines import build
from pruneflow.deploy.measure.candidates import Candidates, Tell
from pruneflow.deploy.measure.gate import Reference
from pruneflow.deploy.measure.grid import Outcome
from pruneflow.deploy.network import Network
from pruneflow.deploy.settings import Settings
from pruneflow.deploy.trials import Trials
from pruneflow.deploy.writing import Written
from pruneflow.errors import DeployError

FOLDER = ENGINE = "c99"
SAMPLES = 20
"""Inputs that microcontrollers are given."""


@dataclass(frozen=True)
class Original:
    """What the code is compared with.

    Attributes:
        network: As it was trained.
        run: Runs it.
        data: Inputs and labels nobody chose by; None if there are none.
        seen: Those that may be chosen by; None if there are none.
    """

    network: Network
    run: Run
    data: Classification | None
    seen: Classification | None


def exported(
    name: str,
    original: Original,
    written: Written,
    preprocessing: JsonObject | None,
    folder: Path,
    settings: Settings,
    right: Reference,
    tell: Tell,
) -> Trials:
    """Write a network as C99 into a folder, if it is right.

    Args:
        name: What to call it.
        original: The network as it was trained.
        written: As it is in the bundle.
        preprocessing: What has to be done to an input first.
        folder: Where the folder ``c99/`` goes.
        settings: How to deploy.
        right: The right outputs of the bundle's network.
        tell: Is told what goes on.

    Raises:
        DeployError: It cannot be written in C, is not the same network there, or loses more
            accuracy than allowed; then no file is written.
    """
    unit = unit_of(identifier(name), written.network, written.bundle.packed, settings.goal)
    wanted = right
    if settings.activations == "int8":
        assert original.seen is not None, "weights are not narrowed without data"
        tell("calibrating the ranges of all results")
        unit = in_bytes(unit, written.network, original.seen)
        wanted = integer_reference(unit, right)
    files = _files(unit, preprocessing, wanted)
    found = Candidates(1)
    tell("comparing the C code with torch")
    with compiled(unit.name, files, unit.outputs, -(-unit.workspace_bytes // 4)) as code:
        run = _shaped(code, right)
        torch_run = build(written.network, DEFAULT, 1)
        found.add(DEFAULT, torch_run, right, settings.batches)
        found.add(ENGINE, run, wanted, settings.batches)
        if (wrong := found.absent.get(ENGINE)) is not None:
            raise DeployError(f"deploy.target=c99: the C code gives {wrong}; nothing was written")
        parity = compare(
            code, original.run, torch_run, original.data, right.inputs,
            settings.max_accuracy_drop,
        )  # fmt: skip
        version = code.compiler
    _require(parity)
    report = _report(unit, parity, version)
    report |= _surveyed(unit, files, original.network, wanted, tell)
    _write(folder / FOLDER, files)
    by = {layer.name: ENGINE for layer in written.network.layers}
    cell = Cell(1, settings.batches[0], DEFAULT, by)
    layers: dict[str, dict[str, float]] = {layer.name: {} for layer in written.network.layers}
    verdict = {"runs": "sparse", "why": _why(unit, parity), "wins_from": None}
    return Trials([found], [Outcome({}, DEFAULT, cell, layers)], verdict, extra={"c99": report})


def _files(unit: Unit, preprocessing: JsonObject | None, right: Reference) -> dict[str, str]:
    tolerance = float(right.bound[:4].max())
    return {
        **code_of(unit, preprocessing),
        f"{unit.name}_test.c": self_test_of(unit, right.inputs, right.outputs, tolerance),
    }


def _shaped(code: Compiled, right: Reference) -> Run:
    return lambda x: code(x).reshape(len(x), *right.outputs.shape[1:])


def _require(parity: Parity) -> None:
    accuracy = parity.accuracy
    if accuracy is not None and not accuracy.holds:
        raise DeployError(
            f"deploy.target=c99: on the {parity.split} data the accuracy would fall from "
            f"{accuracy.before:.2%} to {accuracy.after:.2%}, by more than "
            f"deploy.max_accuracy_drop={accuracy.allowed:g} points; nothing was written"
        )


def _report(unit: Unit, parity: Parity, compiler: str) -> dict[str, Any]:
    memory, size = unit.memory, unit.number_bytes
    layers = [
        {
            "name": name, "layout": weight.layout, "values": weight.coded.values,
            "rows": weight.coded.codes.shape[0], "columns": weight.coded.codes.shape[1],
            "stored": weight.entries.size, "bytes": unit.bytes_of(name),
        }
        for name, weight in unit.weights.items()
    ]  # fmt: skip
    planes = {f"{name}, one plane": one for name, one in memory.planes.items()}
    buffers = [
        {"name": name, "offset": size * one.offset, "bytes": size * one.size, "first": one.first,
         "last": one.last}
        for name, one in (*memory.results.items(), *planes.items())
        if one.kind == "workspace"
    ]  # fmt: skip
    return {
        "name": unit.name,
        "files": {
            "source": f"{FOLDER}/{unit.name}.c", "header": f"{FOLDER}/{unit.name}.h",
            "self_test": f"{FOLDER}/{unit.name}_test.c",
        },
        "values": next((one.coded.values for one in unit.weights.values()), "fp32"),
        "activations": unit.activations,
        "layers": layers,
        "memory": {
            "workspace_bytes": unit.workspace_bytes, "input_bytes": 4 * unit.inputs,
            "output_bytes": 4 * unit.outputs, "buffers": buffers,
        },
        **({"quantities": quantities_json(unit.shown)} if isinstance(unit, QuantizedUnit) else {}),
        "parity": parity.to_json() | {"compiler": compiler, "flags": " ".join((*STRICT, *FLAGS))},
    }  # fmt: skip


def _surveyed(
    unit: Unit, files: Mapping[str, str], network: Network, right: Reference, tell: Tell
) -> dict[str, Any]:
    """What the code takes on microcontrollers, beside the same network with every weight."""
    tell("counting bytes and instructions on microcontrollers")
    weights = {name: pack(name, network.tensors[name], None, "dense", "fp32")
               for name in network.weights}  # fmt: skip
    dense = unit_of(unit.name, network, weights, "latency", layout="dense")
    twin = code_of(dense)
    with tempfile.TemporaryDirectory(prefix="pruneflow-c99-") as folder:
        sources = []
        for kind, texts in (("sparse", files), ("dense", twin)):
            _write(Path(folder) / kind, texts)
            sources.append(Source(Path(folder) / kind / f"{unit.name}.c", unit.name))
        inputs, expected = (
            each[:SAMPLES].reshape(min(len(each), SAMPLES), -1).float().numpy()
            for each in (right.inputs, right.outputs)
        )
        return survey(sources[0], inputs, expected, unit.workspace_bytes, sources[1]).to_json()


def _why(unit: Unit, parity: Parity) -> str:
    layouts = Counter(weight.layout for weight in unit.weights.values())
    used = ", ".join(f"{count} as {layout}" for layout, count in layouts.items())
    return (
        f"written as C99 ({len(unit.weights)} layers: {used}) and compared with torch on "
        f"{parity.samples} inputs; nothing was timed here"
    )


def _write(folder: Path, files: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    runfolder.sweep_temporaries(folder)
    for file, text in files.items():
        runfolder.write_bytes(folder / file, text.encode("ascii"))
