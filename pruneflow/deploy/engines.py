"""A network made ready to run by a backend."""

from __future__ import annotations

from collections.abc import Mapping

from pruneflow.deploy.backends.base import BACKENDS, Run
from pruneflow.deploy.backends.by_layer import ByLayer, replaced
from pruneflow.deploy.choice import DEFAULT
from pruneflow.deploy.network import Layer, Network
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
    backend = BACKENDS[name]
    if why := hindrance(network, name):
        raise DeployError(f"backend '{name}': {why}")
    if network.graph is not None:
        return backend.build(network.graph, network.tensors, threads)
    if backend.kind == "sparse":
        able = [layer.name for layer in network.layers if not backend.refuses(layer.graph)]
        return by_layer(network, dict.fromkeys(able, name), threads)
    assert network.module is not None
    run = backend.build_module(network.module, threads)
    assert run is not None
    return run


def hindrance(network: Network, name: str) -> str | None:
    """Why a backend cannot run the network on this machine; None if it can."""
    backend = BACKENDS[name]
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
        tensors = network.layer_tensors(layer)
        return BACKENDS[names[layer.name]].build(layer.graph, tensors, threads)

    chosen = [layer for layer in network.layers if names.get(layer.name, DEFAULT) != DEFAULT]
    if network.graph is not None:
        runs = {layer.name: run_of(layer) for layer in chosen}
        return ByLayer(network.graph, network.tensors, runs).eval()
    assert network.module is not None
    return replaced(network.module, {layer.name: (layer, run_of) for layer in chosen})


def kind_of(name: str) -> str:
    """``dense`` or ``sparse``."""
    return "sparse" if name == BY_LAYER else BACKENDS[name].kind


def of_kind(names: Mapping[str, object], kind: str) -> list[str]:
    """The names of one kind."""
    return [name for name in names if kind_of(name) == kind]


def candidates(wanted: tuple[str, ...] | None, asked: str | None) -> tuple[str, ...]:
    """The backends to try: dense torch always, and what is asked for.

    Args:
        wanted: Further ones; None: all.
        asked: What is to run the network whatever is found, if anything is.
    """
    tried = None if wanted is None else (*wanted, DEFAULT, asked)
    return tuple(name for name in BACKENDS if tried is None or name in tried)
