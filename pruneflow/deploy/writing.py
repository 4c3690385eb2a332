"""Write a network as a bundle: with the narrowest values that keep its accuracy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pruneflow import runfolder
from pruneflow.deploy import layouts
from pruneflow.deploy.accuracy import Accuracy, Classification
from pruneflow.deploy.backends.base import Run
from pruneflow.deploy.bundles import bundle as bundles
from pruneflow.deploy.bundles.bundle import Bundle
from pruneflow.deploy.bundles.strict_json import JsonObject
from pruneflow.deploy.choice import DEFAULT, Choice
from pruneflow.deploy.choices import AUTO
from pruneflow.deploy.engines import build
from pruneflow.deploy.graphs.graph import Graph
from pruneflow.deploy.network import Network, of_graph
from pruneflow.deploy.place import Place
from pruneflow.deploy.settings import Settings
from pruneflow.errors import DeployError

EXACT = "fp32"


@dataclass(frozen=True)
class Written:
    """A bundle, read back.

    Attributes:
        bundle: What was read.
        network: What it holds.
        values: How its weights are written.
        accuracy: Before and after; None without data.
    """

    bundle: Bundle
    network: Network
    values: str
    accuracy: Accuracy | None

    def save(self, path: Path, choice: Choice) -> Written:
        """Write it to disk with a measured choice, and read it back."""
        old = self.bundle
        tensors = {name: old.packed.get(name, tensor) for name, tensor in old.tensors.items()}
        bundles.write(path, tensors, old.graph, old.preprocessing, choice.to_json())
        bundle = bundles.read(path)
        network = _network(bundle, self.network).on(choice.place)
        return replace(self, bundle=bundle, network=network)


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Context: a name for a file that is tried out first; neither it nor new folders remain.

    New folders do remain where all went well.
    """
    new = [folder for folder in path.parents if not folder.exists()]
    part = runfolder.temporary(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield part
    except BaseException:
        part.unlink(missing_ok=True)
        with suppress(OSError):
            for folder in new:
                folder.rmdir()
        raise
    part.unlink()


def encode(
    network: Network,
    original: Run,
    settings: Settings,
    validation: Classification | None,
    preprocessing: JsonObject | None,
) -> Written:
    """Make a bundle of a network, and read it back; nothing is written to disk yet.

    Args:
        network: What to write.
        original: Runs the network as it was before.
        settings: Which values and layouts, and what they may cost.
        validation: Data to check narrower values on.
        preprocessing: What has to be done to an input first.

    Raises:
        DeployError: The values cost more than allowed, or there is no data to check them on.
    """
    to_try = layouts.values_to_try(settings)
    if validation is None and to_try != (EXACT,):
        if settings.values != AUTO:
            wide = "values" if settings.activations == EXACT else "activations"
            raise DeployError(
                f"deploy.values={settings.values} changes the weights, and there is no validation "
                f"data to check the accuracy on: choose deploy.{wide}=fp32, or deploy with data"
            )
        to_try = (EXACT,)
    before = None if validation is None else validation(original)
    for values in to_try:
        try:
            tensors = layouts.packed(network, settings.goal, values)
        except DeployError:
            if values == to_try[-1]:
                raise
            continue  # too narrow for the numbers themselves
        graph = None if network.graph is None else network.graph.to_json()
        data = bundles.encode(tensors, graph, preprocessing)
        bundle = bundles.decode(data, "the bundle")
        read = _network(bundle, network)
        accuracy = None
        if validation is not None and before is not None:
            after = validation(_as_it_will_run(read, settings.place))
            accuracy = Accuracy(before, after, settings.max_accuracy_drop)
        if accuracy is None or accuracy.holds or values == EXACT:
            return Written(bundle, read, values, accuracy)
    assert accuracy is not None
    raise DeployError(
        f"deploy.values={values}: the accuracy on validation data would fall from "
        f"{accuracy.before:.2%} to {accuracy.after:.2%}, by more than "
        f"deploy.max_accuracy_drop={settings.max_accuracy_drop:g} points; nothing was written"
    )


def _as_it_will_run(network: Network, place: Place) -> Run:
    """Dense torch where the network is to run, for inputs and outputs on the CPU."""
    run = build(network.on(place), DEFAULT, 1)
    return lambda x: run(place.put(x)).float().cpu()


def _network(bundle: Bundle, like: Network) -> Network:
    if bundle.graph is not None:
        return of_graph(Graph.from_json(bundle.graph), bundle.tensors)
    return like.with_tensors(bundle.tensors)
