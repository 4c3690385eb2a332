"""``pruneflow plan``: what a recipe will do, without training or reading data."""

from __future__ import annotations

from collections.abc import Sequence

from pruneflow import runfolder
from pruneflow.cli.arguments import only_shows, parse, value


def main(arguments: Sequence[str]) -> int:
    """Show the plan of every job of a command line."""
    parsed = parse(arguments)
    if only_shows(parsed):
        from pruneflow.cli.hydra_app import show

        return show("plan", parsed)
    from pruneflow.cli.console import PlainConsole
    from pruneflow.cli.hydra_app import RUN_DIR
    from pruneflow.cli.jobs import Composer
    from pruneflow.report.pictures import draw_plan
    from pruneflow.report.tables import plan_table
    from pruneflow.sweep.sharing import sharing
    from pruneflow.training.planning import preview
    from pruneflow.training.resume import grounded

    console = PlainConsole()
    named = value(parsed.overrides, RUN_DIR) is not None
    jobs = Composer("plan", parsed).jobs(parsed.overrides, parsed.multirun)
    previews = [preview(job.config) for job in jobs]
    configs = [grounded(job.config) for job in jobs]
    for job, foresight in zip(jobs, previews, strict=True):
        plan = foresight.to_dict()
        with runfolder.writing(job.folder):
            folder = job.folder if named else runfolder.new(job.folder)
            runfolder.write_json(folder / runfolder.PLAN, plan)
            draw_plan(plan, folder / "plan.png")
        console.print(plan_table(plan))
        console.print(f"Picture: {runfolder.shown(folder / 'plan.png')}", soft_wrap=True)
    if told := str(sharing(configs, [foresight.plan for foresight in previews])):
        console.print(told, soft_wrap=True)
    return 0
