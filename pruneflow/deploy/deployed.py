"""A bundle that runs."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pruneflow import runfolder
from pruneflow.deploy.backends.base import BACKENDS, Run
from pruneflow.deploy.bundles import bundle as bundles
from pruneflow.deploy.bundles.bundle import Bundle
from pruneflow.deploy.bundles.damage import quoted, within
from pruneflow.deploy.choice import DEFAULT, Cell, Choice
from pruneflow.deploy.engines import BY_LAYER, build, by_layer, hindrance
from pruneflow.deploy.graphs.graph import Graph
from pruneflow.deploy.module_state import load_state
from pruneflow.deploy.network import Network, of_graph, opaque
from pruneflow.errors import ConfigError, DeployError, did_you_mean


class Deployed(nn.Module):
    """Runs a network by what was measured to be fastest for the size of the batch.

    With ``backend="torch"`` it is plain torch, which ``torch.export`` and ``torch.compile`` accept.

    Args:
        network: What to run.
        choice: The winners.
        backend: What is to run it, whatever was measured; by default what was asked for when it
            was deployed, if anything was.

    Attributes:
        preprocessing: What has to be done to an input first, as the bundle says.

    Raises:
        DeployError: What is asked for cannot run it here.
    """

    preprocessing: Any = None

    def __init__(self, network: Network, choice: Choice, backend: str | None = None) -> None:
        super().__init__()
        self._network, self._choice = network, choice
        self._engines: dict[Any, Run] = {}
        self._by_batch: dict[int, Run] = {}
        self._threads = torch.get_num_threads()
        self._asked = backend or choice.asked
        self._only: Run | None = None
        if self._asked is not None:
            self._only = _asked_for(network, self._asked, self._threads)
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The network's output for float32 inputs (n, ...)."""
        if self._only is not None:
            return self._only(x)
        run = self._by_batch.get(x.shape[0])
        return self._first_call(x)(x) if run is None else run(x)

    def backend_for(self, batch: int) -> str:
        """The name of what runs batches of a size."""
        return self._asked or self._possible(self._choice.best(self._threads, batch)).backend

    def _first_call(self, x: torch.Tensor) -> Run:
        batch = len(x)
        cell = self._possible(self._choice.best(self._threads, batch))
        key = (cell.backend, tuple(sorted(cell.layers.items())))
        if key not in self._engines:
            self._engines[key] = _engine(self._network, cell, self._threads)
        self._by_batch[batch] = self._engines[key]
        return self._by_batch[batch]

    def _possible(self, cell: Cell) -> Cell:
        """The cell, or dense torch where what was measured cannot run here."""
        if why := _why_not(self._network, cell):
            warnings.warn(
                f"measured best for batches of {cell.batch} was '{cell.backend}', but {why}; "
                f"running dense torch. 'pruneflow deploy' measures this machine anew",
                stacklevel=4,
            )
            return Cell(cell.threads, cell.batch, DEFAULT)
        return cell


def load(
    path: str | os.PathLike[str], into: nn.Module | None = None, backend: str | None = None
) -> Deployed:
    """Load a bundle.

    Args:
        path: The file, the folder that holds it, or that of the run it was made of.
        into: The module it was made from, for networks that are no graph; it is given the
            bundle's weights.
        backend: What is to run it; by default what was asked for when it was deployed, or else
            what was measured to be fastest.

    Raises:
        BundleError: The file is damaged.
        DeployError: ``into`` is missing, not needed, or another network; ``backend`` cannot run
            it here.
        ConfigError: There is no such backend.
    """
    if backend is not None and backend not in BACKENDS:
        raise ConfigError(
            f"there is no backend '{backend}'.{did_you_mean(backend, BACKENDS, True)}"
        )
    file = _file(Path(path))
    bundle = bundles.read(file)
    with within(str(file)):
        choice = Choice.from_json(bundle.choice)
        network = network_of(bundle, choice, into)
    deployed = Deployed(network, choice, backend)
    deployed.preprocessing = bundle.preprocessing
    return deployed


def _file(path: Path) -> Path:
    if not path.is_dir():
        return path
    inside = path / runfolder.DEPLOYED / bundles.FILE
    return inside if inside.is_file() else path / bundles.FILE


def network_of(bundle: Bundle, choice: Choice, into: nn.Module | None = None) -> Network:
    """The network a bundle holds.

    Raises:
        BundleError: Its graph and its tensors do not fit each other.
        DeployError: ``into`` is missing, not needed, or another network.
    """
    if bundle.graph is not None:
        if into is not None:
            raise DeployError(
                "this bundle holds the whole network, its weights are no longer those of a "
                "module: load(bundle) without into"
            )
        return of_graph(Graph.from_json(bundle.graph), bundle.tensors)
    if into is None:
        raise DeployError(
            "this bundle holds weights only, its network is no graph of listed operations: "
            "give the module it was made from, load(bundle, into=module)"
        )
    into = getattr(into, "_orig_mod", into)  # what torch.compile wrapped
    load_state(into, bundle.tensors)
    return opaque(into, torch.zeros(2, *choice.input_shape), "it was no graph when deployed")


def _asked_for(network: Network, backend: str, threads: int) -> Run:
    """What a person asked for, here or when the bundle was made; it never falls back."""
    if backend not in BACKENDS:
        hint = "load(bundle, backend=NAME) chooses another"
        raise DeployError(f"there is no backend {quoted(backend)} here; {hint}")
    return build(network, backend, threads)


def _engine(network: Network, cell: Cell, threads: int) -> Run:
    if cell.backend == BY_LAYER:
        return by_layer(network, cell.layers, threads)
    return build(network, cell.backend, threads)


def _why_not(network: Network, cell: Cell) -> str | None:
    """Why what was measured cannot run on this machine; None if it can."""
    names = cell.layers.values() if cell.backend == BY_LAYER else [cell.backend]
    for name in dict.fromkeys(names):
        if name not in BACKENDS:
            return f"there is no backend {quoted(name)} here"
        whole = cell.backend != BY_LAYER
        if why := (hindrance(network, name) if whole else BACKENDS[name].missing()):
            return why
    known = {layer.name for layer in network.layers}
    return None if cell.layers.keys() <= known else "its layers are not this network's"
