"""A bundle that runs."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, get_num_threads, nn
from torch.compiler import is_compiling
from torch.nn.modules.module import (
    _global_backward_hooks,
    _global_backward_pre_hooks,
    _global_forward_hooks,
    _global_forward_pre_hooks,
)

from pruneflow.deploy.backends.base import BACKENDS, Run
from pruneflow.deploy.bundles.damage import quoted
from pruneflow.deploy.choice import DEFAULT, Cell, Choice
from pruneflow.deploy.engines import BY_LAYER, build, by_layer, hindrance
from pruneflow.deploy.inputs import require
from pruneflow.deploy.network import Network
from pruneflow.errors import DeployError


class Deployed(nn.Module):
    """Runs a network by what was measured to be fastest for the size of the batch.

    What runs a call depends on the threads torch uses at that moment too: after
    ``torch.set_num_threads`` the next call is made ready for that many, and what was made ready
    before is kept. Nothing of it wants gradients; those of inputs pass where the backend is torch.

    With ``backend="torch"`` it is plain torch, which ``torch.export`` and ``torch.compile`` accept.

    Args:
        network: What to run; its module, where it has one, becomes this one's.
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
        self._network, self._choice = network.on(choice.place), choice
        self._engines: dict[Any, Run] = {}
        self._runs: dict[tuple[int, int], Run] = {}
        self._told: set[tuple[str, str]] = set()
        self._asked = backend or choice.asked
        self._only: Run | None = None
        if self._asked is not None:
            if self._asked not in BACKENDS:
                hint = "load(bundle, backend=NAME) chooses another"
                raise DeployError(f"there is no backend {quoted(self._asked)} here; {hint}")
            threads = get_num_threads()
            self._only = self._engine(Cell(threads, 1, self._asked), threads)
        self.eval()

    def __call__(self, x: Tensor) -> Tensor:
        """See ``forward``; past all that modules do in a call where nobody wants any of it."""
        own = self.__dict__
        if (
            own["_forward_hooks"] or own["_forward_pre_hooks"]
            or own["_backward_hooks"] or own["_backward_pre_hooks"]
            or _global_forward_hooks or _global_forward_pre_hooks
            or _global_backward_hooks or _global_backward_pre_hooks
            or "_compiled_call_impl" in own
            or type(x) is not Tensor
            or is_compiling()
        ):  # fmt: skip
            y: Tensor = super().__call__(x)
            return y
        try:
            run = own["_runs"][get_num_threads(), x.shape[0]]
        except (KeyError, IndexError):
            run = None
        return self._ready(x)(x) if run is None else run(x)

    def forward(self, x: Tensor) -> Tensor:
        """The network's output for inputs.

        Args:
            x: (n, ...), float32 on the CPU, or as the bundle was deployed: on a GPU, in its dtype.

        Raises:
            DeployError: It is no such tensor.
        """
        if self._only is not None and is_compiling():
            return self._only(x)
        return self._ready(x)(x)

    def backend_for(self, batch: int) -> str:
        """The name of what runs batches of a size with the threads torch uses now."""
        return self._cell(get_num_threads(), batch).backend

    def _ready(self, x: Tensor) -> Run:
        """What runs calls with as many samples and threads."""
        if not isinstance(x, Tensor):
            raise DeployError(f"the network takes a torch.Tensor, not a {type(x).__name__}")
        if self._network.graph is not None or x.dim() == 0:  # other networks may take more shapes
            require(x, self._network.input_shape, self._network.place)
        threads, batch = get_num_threads(), x.shape[0]
        if (threads, batch) not in self._runs:
            self._runs[threads, batch] = self._engine(self._cell(threads, batch), threads)
        return self._runs[threads, batch]

    def _cell(self, threads: int, batch: int) -> Cell:
        if self._asked is not None:
            return Cell(threads, batch, self._asked)
        return self._possible(self._choice.best(threads, batch))

    def _engine(self, cell: Cell, threads: int) -> Run:
        """The network made ready to run as a cell says; each way and number of threads once."""
        key = (threads, cell.backend, *sorted(cell.layers.items()))
        if key not in self._engines:
            with torch.inference_mode(False), torch.no_grad():  # calls may be in neither or both
                if self._network.module is not None:
                    self._network.module.requires_grad_(False)
                self._engines[key] = _made_ready(self._network, cell, threads)
        return self._engines[key]

    def _possible(self, cell: Cell) -> Cell:
        """The cell, or dense torch where what was measured cannot run here."""
        why = _why_not(self._network, cell)
        if why is None:
            return cell
        if (cell.backend, why) not in self._told:
            self._told.add((cell.backend, why))
            warnings.warn(
                f"measured best for batches of {cell.batch} was '{cell.backend}', but {why}; "
                f"running dense torch. 'pruneflow deploy' measures this machine anew",
                stacklevel=5,
            )
        return Cell(cell.threads, cell.batch, DEFAULT)


def _made_ready(network: Network, cell: Cell, threads: int) -> Run:
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
