"""Deploy a network: pack it, check it, measure it, and let the fastest run it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pruneflow import runfolder
from pruneflow.deploy import asked, findings, writing
from pruneflow.deploy.accuracy import Classification
from pruneflow.deploy.bundles import bundle as bundles
from pruneflow.deploy.bundles.strict_json import JsonObject
from pruneflow.deploy.choice import Choice
from pruneflow.deploy.choices import AUTO
from pruneflow.deploy.deployed import Deployed
from pruneflow.deploy.kernels import tuning
from pruneflow.deploy.measure import candidates as gathering
from pruneflow.deploy.measure import machine
from pruneflow.deploy.measure.candidates import Tell
from pruneflow.deploy.measure.faithful import evaluating, faithful
from pruneflow.deploy.measure.gate import Reference, reference
from pruneflow.deploy.network import Network, of_module
from pruneflow.deploy.place import exact_sums
from pruneflow.deploy.settings import Settings
from pruneflow.deploy.trials import Trials, measured
from pruneflow.deploy.writing import Written
from pruneflow.errors import ConfigError

REPORT = "report.json"


@dataclass(frozen=True)
class Deployment:
    """What came of deploying a network.

    Attributes:
        bundle: The file to ship.
        report: Everything that was found out, as in ``report.json``.
        module: The network as it runs now.
    """

    bundle: Path
    report: dict[str, Any]
    module: Deployed


def deploy_model(
    module: nn.Module,
    example: torch.Tensor,
    folder: str | os.PathLike[str],
    *,
    validation: Iterable[tuple[torch.Tensor, torch.Tensor]] | None = None,
    test: Iterable[tuple[torch.Tensor, torch.Tensor]] | None = None,
    preprocessing: JsonObject | None = None,
    name: str | None = None,
    source: Mapping[str, Any] | None = None,
    tell: Callable[[str], None] = lambda text: None,
    settings: Settings | None = None,
    **options: Any,
) -> Deployment:
    """Make a bundle of a pruned network, and find out what runs it fastest on this machine.

    Args:
        module: The network, its zeros in place; it is left as it was.
        example: A batch of float32 inputs (n, ...).
        folder: Where ``bundle.safetensors`` and ``report.json`` go.
        validation: Batches of inputs (n, ...) and class labels (n,) to check the accuracy on;
            values narrower than fp32 need them.
        test: Batches that nothing is chosen by, to compare C99 code with the network on; the
            validation data where there are none.
        preprocessing: What has to be done to an input first; kept in the bundle.
        name: What to call the network.
        source: Where it comes from, for the report.
        tell: Is told what goes on.
        settings: How to deploy, or else:
        **options: The fields of ``Settings``.

    Raises:
        ConfigError: An option cannot be.
        DeployError: The network cannot be deployed as asked; nothing is written then.
    """
    if settings is not None and options:
        raise ConfigError(f"give settings or {', '.join(options)}, not both")
    settings = settings or Settings.from_tree(options)
    settings.place.require()
    path = Path(folder) / bundles.FILE
    module = asked.network(module, example)
    name = name or type(module).__name__
    source = asked.plain(source or {"model": name})
    data = None if validation is None else Classification(validation, "val", example)
    unseen = data if test is None else Classification(test, "test", example)
    with torch.inference_mode(False):
        inputs, distinct = asked.inputs(example, data, settings.batches)
        with evaluating(module) as original:
            network = faithful(of_module(module, example), original, inputs)
            original = network.module or original
            written = writing.encode(network, original, settings, data, preprocessing)
        shape = () if network.graph else network.input_shape
        place = settings.place
        choice = Choice((), machine.name(place), shape, settings.asked, place)
        with writing.beside(path) as part, exact_sums(), tuning.trying() as tuned:
            written = written.save(part, choice)
            right = reference(written.network, inputs)
            if settings.target == "c99":
                from pruneflow.deploy.c99.target import Original, exported

                with evaluating(module) as trained:
                    known = Original(network, trained, unseen, data)
                    label = str(source.get("model", name))
                    trials = exported(
                        label, known, written, preprocessing, path.parent, settings, right, tell
                    )
            else:
                trials = _trials(written.network, path.parent, settings, right, tell)
        cells = tuple(outcome.cell for outcome in trials.outcomes if outcome.times)
        choice = replace(choice, cells=cells, tuned=tuned)
        written = written.save(path, replace(choice, place=settings.shipped_to))
        report = {
            **findings.frame(name, source, settings.goal, written.values, place),
            **_report(written, trials),
            "gate": findings.gate(trials.found, trials.outcomes, distinct, right.precision),
            "verdict": trials.verdict,
            "accuracy": _accuracy(written, data),
            **trials.extra,
        }
        runfolder.write_json(path.with_name(REPORT), report)
        deployed = Deployed(written.network, choice)
    deployed.preprocessing = preprocessing
    return Deployment(path, report, deployed)


def _trials(
    network: Network, folder: Path, settings: Settings, right: Reference, tell: Tell
) -> Trials:
    if settings.target == AUTO:
        return measured(network, settings, right, tell)
    from pruneflow.deploy.ahead import compiled

    return compiled(network, folder, settings, right, tell)


def _report(written: Written, trials: Trials) -> dict[str, Any]:
    outcomes = trials.outcomes
    return {
        **findings.counts(written.network),
        "bundle": findings.sizes(written),
        "layers": findings.layers(written, outcomes[0]),
        "latency": [outcome.to_json() for outcome in outcomes if outcome.times],
        "engines": gathering.describe(trials.found, findings.timed(outcomes)),
        "graph": written.network.graph is not None,
        "kernels": trials.kernels,
    }


def _accuracy(written: Written, data: Classification | None) -> dict[str, Any] | None:
    if data is None or written.accuracy is None:
        return None
    return data.to_json(written.accuracy)
