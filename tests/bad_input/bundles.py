"""Judges bad bundles: refused in plain words, or read and run as their specification says."""

from __future__ import annotations

import json
import random
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from math import inf, prod
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from pruneflow import load
from pruneflow.deploy.backends.base import BACKENDS
from pruneflow.deploy.bundles import bundle
from pruneflow.deploy.deployed import Deployed
from pruneflow.errors import BundleError, ConfigError, DeployError
from tests.bad_input.bundle_mutants import Mutant, mutant
from tests.bad_input.judging import ACCEPTED, REFUSED, WRONG, Hangs, Verdict, at_most, own_folder
from tests.deploy.formats import reference
from tests.deploy.formats.drawing import bits

FILE = "b.safetensors"
MOST_TEXT = 1500
MOST_NUMBERS = 2**20
"""In the results of a network that is run here; larger ones are read only."""

SAMPLES = 3
SECONDS = 20


def mutants(count: int, seed: int) -> Iterator[Mutant]:
    """So many bad bundles."""
    chance = random.Random(seed)
    return (mutant(chance) for _ in range(count))


def judged(bad: Mutant) -> Verdict:
    """Load a bundle as a program would, and run what comes out by every backend."""
    with own_folder(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it was measured elsewhere
        try:
            with at_most(SECONDS):
                return _judged(bad.data)
        except (Exception, Hangs) as error:
            return Verdict(WRONG, "".join(traceback.format_exception(error)))


def _judged(data: bytes) -> Verdict:
    path = Path(FILE)
    path.write_bytes(data)
    try:
        read = bundle.read(path)
    except BundleError as error:
        return _refused(error)
    if not _same(read.tensors, reference.read(data)):
        return Verdict(WRONG, "its tensors are not those of the specification")
    try:
        deployed = load(path)
    except (BundleError, DeployError) as error:
        return _refused(error)
    return _run(path, deployed, json.loads(json.dumps(read.graph)), read.tensors)


def _refused(error: Exception) -> Verdict:
    said = str(error)
    if not said.startswith((FILE, "this bundle")) and not isinstance(error, DeployError):
        return Verdict(WRONG, f"it does not name the file: {said}")
    if len(said) > MOST_TEXT or not said.isprintable():
        return Verdict(WRONG, f"no clear message: {said[:300]!a}")
    return Verdict(REFUSED, said)


def _same(made: Mapping[str, torch.Tensor], right: Mapping[str, torch.Tensor]) -> bool:
    return made.keys() == right.keys() and all(
        tensor.shape == right[name].shape
        and tensor.dtype == right[name].dtype
        and bits(tensor) == bits(right[name])
        for name, tensor in made.items()
    )


def _run(
    path: Path, deployed: Deployed, graph: Any, tensors: Mapping[str, torch.Tensor]
) -> Verdict:
    numbers = graph["input_shape"]
    if sum(map(prod, shapes(deployed).values())) > MOST_NUMBERS:
        return Verdict(ACCEPTED, "too large to be run here")
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(SAMPLES, *numbers, generator=generator)
    right, largest = interpreted(graph, tensors, x.double())
    for name in (None, *NAMES):
        try:
            y = (deployed if name is None else load(path, backend=name))(x)
        except (ConfigError, DeployError) as error:
            if not str(error):
                return Verdict(WRONG, f"{name} refuses without a word")
            continue
        if why := _differs(y, right, largest):
            return Verdict(WRONG, f"{name or deployed.backend_for(SAMPLES)}: {why}")
    return Verdict(ACCEPTED)


NAMES = tuple(name for name in ("torch", "torch_csr", "c") if name in BACKENDS)


def shapes(deployed: Deployed) -> dict[str, tuple[int, ...]]:
    """The shapes of all results of a network."""
    network = deployed._network
    assert network.graph is not None
    return network.graph.shapes({name: tuple(t.shape) for name, t in network.tensors.items()})


def _differs(y: torch.Tensor, right: torch.Tensor, largest: float) -> str | None:
    if y.shape != right.shape:
        return f"its output is of shape {tuple(y.shape)}, not {tuple(right.shape)}"
    if not largest < 1e30 or not right.numel():
        return None  # float32 ends there
    error = float((y.double() - right).abs().max())
    return None if error <= 1e-4 * max(1.0, largest) else f"its output is off by {error:g}"


Run = Callable[..., torch.Tensor]

RUNS: dict[str, Run] = {
    "linear": lambda x, w, b: x @ w.T + (0 if b is None else b),
    "conv2d": lambda x, w, b, **o: F.conv2d(x, w, b, **o),
    "relu": lambda x: x.clamp(min=0),
    "relu6": lambda x: x.clamp(0, 6),
    "leaky_relu": lambda x, slope: torch.where(x > 0, x, x * slope),
    "max_pool2d": lambda x, kernel, **o: F.max_pool2d(x, kernel, **o),
    "avg_pool2d": lambda x, kernel, **o: F.avg_pool2d(x, kernel, **o),
    "global_avg_pool": lambda x: x.mean((2, 3), keepdim=True),
    "flatten": lambda x: x.reshape(len(x), -1),
    "add": lambda x, y: x + y,
    "softmax": lambda x: x.softmax(1),
}  # fmt: skip


def interpreted(
    graph: Any, tensors: Mapping[str, torch.Tensor], x: torch.Tensor
) -> tuple[torch.Tensor, float]:
    """What a graph's JSON means, in double precision, and the largest number on the way.

    It shares no code with what is tested.
    """
    results, largest = {"input": x}, 0.0
    for node in graph["nodes"]:
        given: list[Any] = [results[name] for name in node["inputs"]]
        if "weight" in node:
            names = (node["weight"], node.get("bias"))
            given += [None if name is None else tensors[name].double() for name in names]
        result = RUNS[node["op"]](*given, **node.get("options", {}))
        results[node["name"]] = result
        peak = float(result.abs().max()) if result.numel() else 0.0
        largest = max(largest, peak) if peak < inf else inf
    return results[graph["output"]], largest
