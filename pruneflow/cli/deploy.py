"""``pruneflow deploy``: pack, check and measure the networks of finished runs."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from pruneflow.cli.arguments import only_shows, parse
from pruneflow.cli.complain import complain
from pruneflow.errors import ConfigError, PruneFlowError, did_you_mean

KEYS = ("run", "out", "trust", "deploy")
PAGE = "report.html"


def main(arguments: Sequence[str]) -> int:
    """Deploy what a command line asks for."""
    parsed = _parsed(arguments)
    if only_shows(parsed):
        from pruneflow.cli.hydra_app import show

        return show("deploy", parsed)
    from pruneflow import runfolder
    from pruneflow.deploy.settings import Settings
    from pruneflow.training.finished import finished_runs

    if parsed.multirun:
        raise ConfigError("deploy takes no -m; run=FOLDER may be a sweep: each run is deployed")
    tree = _tree(parsed)
    if not tree.get("run"):
        raise ConfigError("deploy what? Write run=FOLDER, the folder of a finished run or a sweep")
    settings = Settings.from_tree(tree.get("deploy") or {})
    folder, out = Path(str(tree["run"])), tree.get("out") or None
    if (trusts := tree.get("trust", False)) not in (True, False):
        raise ConfigError(f"trust={trusts}: needs true or false")
    runs = finished_runs(folder)
    if out is not None and len(runs) > 1:
        raise ConfigError(f"out={out} has room for one run, but {folder} holds {len(runs)}")
    code = 0
    for run in runs:
        try:
            place = run / runfolder.DEPLOYED if out is None else Path(str(out))
            _deploy(run, place, settings, trusts)
        except PruneFlowError as error:
            if runs == [folder]:
                raise
            complain(f"{runfolder.shown(run)}: {error}")
            code = max(code, error.exit_code)
    for job in runfolder.jobs(folder) if runs != [folder] else ():
        if job not in runs:
            complain(f"{runfolder.shown(job)}: not deployed, for this run is not finished")
    return code


def _parsed(arguments: Sequence[str]) -> Namespace:
    try:
        return parse(arguments)
    except ConfigError:
        for word in arguments:
            if word[:1] != "-" and "=" not in word and Path(word).exists():
                raise ConfigError(f"write 'run={word}' to deploy the run in {word}") from None
        raise


def _tree(parsed: Namespace) -> dict[str, Any]:
    """The configuration a command line asks for."""
    from pruneflow.cli.jobs import Composer, require_known
    from pruneflow.deploy.settings import Settings

    inner = [field.name for field in fields(Settings)]
    for override in parsed.overrides:
        plain = override.lstrip("+~")
        group, _, key = plain.partition("=")[0].partition(".")
        if group in inner:
            raise ConfigError(f"command line ({override}): write 'deploy.{plain}'")
        if group == "deploy" and key and key not in inner:
            hint = did_you_mean(key, inner, always=True)
            raise ConfigError(f"command line ({override}): no key 'deploy.{key}'.{hint}")
        require_known([plain], KEYS)
        if _has_several_values(override):
            raise ConfigError(
                f"command line ({override}): deploy takes one value for each key; "
                "run=FOLDER may be a sweep: each run is deployed"
            )
    tree = Composer("deploy", parsed).tree(parsed.overrides)
    for key in tree:
        if key not in KEYS:
            raise ConfigError(f"conf: unknown key '{key}'.{did_you_mean(key, KEYS, True)}")
    return tree


def _has_several_values(override: str) -> bool:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    from pruneflow.recipe.complaints import reported

    with reported():
        return OverridesParser.create().parse_override(override).is_sweep_override()


def _deploy(run: Path, folder: Path, settings: Any, trusts: bool) -> None:
    from pruneflow import runfolder
    from pruneflow.cli.console import PlainConsole
    from pruneflow.deploy.api import deploy_model
    from pruneflow.report import deploy_page
    from pruneflow.report.deploy_table import deploy_table
    from pruneflow.training.finished import SOURCE, open_run

    console = PlainConsole()
    with console.status(f"deploying {runfolder.shown(run)}") as status, runfolder.writing(folder):
        finished = open_run(run, trusts)
        source = {key: finished.result[key] for key in SOURCE}
        preprocessing = getattr(finished.data, "preprocessing", None)
        done = deploy_model(
            finished.module, finished.example(), folder,
            validation=finished.validation(),
            test=finished.test() if settings.target == "c99" else None,
            preprocessing=preprocessing if isinstance(preprocessing, dict) else None,
            name=str(source["recipe"]),
            source={"run": str(runfolder.shown(run)), **source},
            tell=status.update,
            settings=settings,
        )  # fmt: skip
        deploy_page.write(done.report, folder / PAGE)
    console.print(deploy_table(done.report))
    for path in (done.bundle, folder / PAGE):
        console.print(f"{'Bundle' if path == done.bundle else 'Report'}: {runfolder.shown(path)}",
                      soft_wrap=True)  # fmt: skip
