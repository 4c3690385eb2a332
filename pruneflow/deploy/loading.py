"""From a file to a network that runs."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from pruneflow import runfolder
from pruneflow.deploy.backends.base import BACKENDS
from pruneflow.deploy.bundles import bundle as bundles
from pruneflow.deploy.bundles.bundle import Bundle
from pruneflow.deploy.bundles.damage import quoted, within
from pruneflow.deploy.choice import Choice
from pruneflow.deploy.deployed import Deployed
from pruneflow.deploy.graphs.graph import Graph
from pruneflow.deploy.kernels import tuning
from pruneflow.deploy.measure import machine
from pruneflow.deploy.module_state import load_state, own_copy
from pruneflow.deploy.network import Network, of_graph, opaque
from pruneflow.deploy.place import CPU, Device, Place
from pruneflow.errors import ConfigError, DeployError, did_you_mean


def load(
    path: str | os.PathLike[str],
    into: nn.Module | None = None,
    backend: str | None = None,
    device: Device | None = None,
) -> Deployed:
    """Load a bundle.

    Args:
        path: The file, the folder that holds it, or that of the run it was made of.
        into: The module it was made from, for networks that are no graph; it is given the
            bundle's weights when all else is done.
        backend: What is to run it; by default what was asked for when it was deployed, or else
            what was measured to be fastest.
        device: ``cpu`` or ``cuda``; by default where it was deployed for, or else, where there is
            no GPU, the CPU.

    Raises:
        BundleError: The file is damaged.
        DeployError: ``into`` is missing, not needed, or another network; ``backend`` cannot run
            it here; there is no such device.
        ConfigError: There is no such backend.
    """
    if backend is not None and backend not in BACKENDS:
        raise ConfigError(
            f"there is no backend '{backend}'.{did_you_mean(backend, BACKENDS, True)}"
        )
    file = _file(Path(path))
    bundle = bundles.read(file)
    into = getattr(into, "_orig_mod", into)  # what torch.compile wrapped
    with within(str(file)), torch.inference_mode(False):
        choice = _placed(Choice.from_json(bundle.choice), device, quoted(file))
        network = network_of(bundle, choice, into)
    tuning.use(choice.tuned)
    deployed = Deployed(network, choice, backend)
    deployed.preprocessing = bundle.preprocessing
    here = machine.name(choice.place)
    if choice.cells and not (backend or choice.asked) and choice.device != here:
        warnings.warn(
            f"{quoted(file)} was measured on '{quoted(choice.device)}', and this is '{here}': "
            "another backend may be faster here. 'pruneflow deploy' measures this machine anew",
            stacklevel=2,
        )
    if into is not None:
        load_state(into, bundle.tensors)
    return deployed


def _file(path: Path) -> Path:
    if not path.is_dir():
        return path
    inside = path / runfolder.DEPLOYED / bundles.FILE
    return inside if inside.is_file() else path / bundles.FILE


def network_of(bundle: Bundle, choice: Choice, into: nn.Module | None = None) -> Network:
    """The network a bundle holds.

    Args:
        bundle: What was read.
        choice: Its choice.
        into: The module it was made from, for networks that are no graph; left as it was.

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
    copied = own_copy(into)
    load_state(copied, bundle.tensors)
    return opaque(copied, torch.zeros(2, *choice.input_shape), "it was no graph when deployed")


def _placed(choice: Choice, device: Device | None, where: str) -> Choice:
    """A choice for where the network is to run now.

    Raises:
        DeployError: There is no such device.
    """
    place = choice.place
    wanted = place if device in (None, place.device) else Place(device or "cpu")
    if device is None and place.is_gpu and not torch.cuda.is_available():
        warnings.warn(
            f"{where} was deployed for a GPU, and there is none here: running dense torch on the "
            "CPU. 'pruneflow deploy' measures this machine",
            stacklevel=4,
        )
        wanted = CPU
    wanted.require()
    return choice if wanted == place else replace(choice, cells=(), asked=None, place=wanted)
