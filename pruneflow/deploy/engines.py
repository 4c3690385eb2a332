"""A network made ready to run by a backend."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from pruneflow.deploy.backends.base import BACKENDS, Run
from pruneflow.deploy.backends.by_layer import ByLayer, replaced
from pruneflow.deploy.backends.cuda_graph import Captured
from pruneflow.deploy.choice import DEFAULT
from pruneflow.deploy.module_state import placed
from pruneflow.deploy.network import Layer, Network
from pruneflow.deploy.place import CPU, Device, Place
from pruneflow.errors import DeployError

BY_LAYER = "by_layer"
"""The engine that runs every layer by its own backend."""


def build(network: Network, name: str, threads: int) -> Run:
    """Make ready to run the whole network.

    Args:
        network: What to run.
        name: A name of ``BACKENDS``.
        threads: How many threads may be used.

    Raises:
        DeployError: The backend cannot run here, or not this network.
    """
    backend, place = BACKENDS[name], network.place
    if why := hindrance(network, name):
        raise DeployError(f"backend '{name}': {why}")
    if network.graph is not None:
        whole = backend.build(network.graph, place.put_all(network.tensors), threads)
        return _at(place, whole, backend.captures)
    if backend.kind == "sparse":
        able = [layer.name for layer in network.layers if _can_run(network, layer, name)]
        if not able:
            raise DeployError(f"backend '{name}': it can hold no weight of this network")
        return by_layer(network, dict.fromkeys(able, name), threads)
    assert network.module is not None
    run = backend.build_module(_module(network), threads)
    assert run is not None
    return _at(place, run, backend.captures)


def build_layer(network: Network, layer: Layer, name: str, threads: int) -> Run:
    """Make ready to run one layer by itself; see ``build``."""
    backend = BACKENDS[name]
    return _at(network.place, _layer_run(network, layer, name, threads), backend.captures)


def hindrance(network: Network, name: str) -> str | None:
    """Why a backend cannot run the network on this machine; None if it can."""
    backend = BACKENDS[name]
    if network.place.device not in backend.devices:
        return f"it runs on {' and '.join(backend.devices)} only"
    if why := backend.missing():
        return why
    if network.graph is not None:
        return backend.refuses(network.graph)
    if backend.kind == "sparse":
        refusals = [backend.refuses(layer.graph) for layer in network.layers]
        if all(refusals):
            return refusals[0] if refusals else "the network has no layer it could run"
        return None
    assert network.module is not None
    if backend.build_module(network.module, 1) is None:
        return f"it runs graphs only; {network.opaque}"
    return None


def by_layer(network: Network, names: Mapping[str, str], threads: int) -> Run:
    """Make ready to run each of some layers by a backend of its own, the rest by dense torch.

    Args:
        network: What to run.
        names: Backends by layer.
        threads: How many threads may be used.
    """

    def run_of(layer: Layer) -> Run:
        return _layer_run(network, layer, names[layer.name], threads)

    place = network.place
    chosen = [layer for layer in network.layers if names.get(layer.name, DEFAULT) != DEFAULT]
    if network.graph is not None:
        runs = {layer.name: run_of(layer) for layer in chosen}
        mixed = ByLayer(network.graph, place.put_all(network.tensors), runs).eval()
        return _at(place, mixed, True)
    builds = {layer.name: (layer, run_of) for layer in chosen}
    return _at(place, replaced(_module(network), builds), True)


def _can_run(network: Network, layer: Layer, name: str) -> bool:
    """Whether a backend takes a layer with the weight it has."""
    if BACKENDS[name].refuses(layer.graph):
        return False
    try:
        _layer_run(network, layer, name, 1)
    except DeployError:
        return False
    return True


def _layer_run(network: Network, layer: Layer, name: str, threads: int) -> Run:
    tensors = network.place.put_all(network.layer_tensors(layer))
    return BACKENDS[name].build(layer.graph, tensors, threads)


def _module(network: Network) -> nn.Module:
    """An opaque network's module where it is to run; never the one that is kept."""
    assert network.module is not None
    return network.module if network.place == CPU else placed(network.module, network.place)


def _at(place: Place, run: Run, captures: bool) -> Run:
    """On a GPU, what is worth it becomes a CUDA graph."""
    return Captured(run) if place.is_gpu and captures else run


def kind_of(name: str) -> str:
    """``dense`` or ``sparse``."""
    return "sparse" if name == BY_LAYER else BACKENDS[name].kind


def of_kind(names: Mapping[str, object], kind: str) -> list[str]:
    """The names of one kind."""
    return [name for name in names if kind_of(name) == kind]


def candidates(
    wanted: tuple[str, ...] | None, asked: str | None, device: Device = "cpu"
) -> tuple[str, ...]:
    """The backends to try: dense torch always, and what is asked for.

    Args:
        wanted: Further ones; None: all for the device.
        asked: What is to run the network whatever is found, if anything is.
        device: Where it runs.
    """
    if wanted is None:
        return tuple(n for n in BACKENDS if device in BACKENDS[n].devices or n == asked)
    return tuple(name for name in BACKENDS if name in (*wanted, DEFAULT, asked))
