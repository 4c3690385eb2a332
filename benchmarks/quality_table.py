"""The table and the picture of ``benchmarks.mnist_quality``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

from pruneflow import runfolder

Scores = dict[float, list[float]]

CONTROLS = ("dense", "random_mask")


def write(results: Path, left_out: Mapping[str, str]) -> None:
    """Write the table (``.md``) and the picture (``.png``) beside the results.

    Args:
        results: Runs, as ``mnist_quality`` writes them.
        left_out: Recipes that are no rows, and why.
    """
    tree = runfolder.read_json(results)
    text = ["# Every built-in recipe on MNIST", "", *_preamble(left_out), "", table(tree)]
    runfolder.write_bytes(results.with_suffix(".md"), ("\n".join(text).rstrip() + "\n").encode())
    _draw(tree["runs"], results.with_suffix(".png"))


def table(results: Mapping[str, Any]) -> str:
    """The results as Markdown, a table a network."""
    runs = results["runs"]
    text: list[str] = []
    for model in dict.fromkeys(run["model"] for run in runs):
        text += [f"## {model}", "", *_table([run for run in runs if run["model"] == model]), ""]
    refused = {run["recipe"]: run["refused"] for run in runs if "refused" in run}
    text += [f"- `{name}` was refused: {why}" for name, why in refused.items()]
    return "\n".join(text).rstrip()


def _preamble(left_out: Mapping[str, str]) -> list[str]:
    reasons = ", ".join(f"`{name}` ({why})" for name, why in left_out.items())
    return [
        "Final test accuracy in percent, mean over seeds (least to greatest), by sparsity;",
        "`python -m benchmarks.mnist_quality` makes it. The budget is small: 20 epochs, each of",
        "a quarter of MNIST (LeNet-5: a tenth), for all but recipes of rounds, whose controls are",
        "as long as they are. Settings are not tuned for any recipe. The sparsity of",
        "`channel_shrink` is one of channels, and more weights are gone than that.",
        f"No rows: {reasons}.",
    ]


def _table(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = scores(runs)
    sparsities = sorted({s for found in rows.values() for s in found if s > 0})
    counts = {len(values) for found in rows.values() for values in found.values()}
    seeds = " to ".join(map(str, dict.fromkeys((min(counts), max(counts)))))
    head = ["recipe", *(f"{sparsity:.0%}" for sparsity in sparsities)]
    lines = [f"Seeds: {seeds}.", "", _row(head), _row(["---"] * len(head))]
    for name in sorted(rows, key=lambda name: (name not in CONTROLS, name)):
        found = rows[name]
        if set(found) == {0.0}:
            lines.append(_row([f"**{name}**", *[_cell(found[0.0])] * len(sparsities)]))
        else:
            shown = f"**{name}**" if name in CONTROLS else name
            lines.append(_row([shown, *(_cell(found.get(s, [])) for s in sparsities)]))
    return lines


def scores(runs: Sequence[Mapping[str, Any]]) -> dict[str, Scores]:
    """Final accuracies in percent by row and sparsity; a dense network's sparsity is 0."""
    rows: dict[str, Scores] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        if "refused" not in run:
            control = "" if run["control"] == "none" else f", {run['control']}"
            sparsity = run["sparsity"] or round(run["reached_sparsity"], 2)
            rows[run["recipe"] + control][sparsity].append(100 * run["final_accuracy"])
    return rows


def _cell(values: Sequence[float]) -> str:
    if not values:
        return ""
    if len(values) == 1:
        return f"{values[0]:.2f} (one seed)"
    return f"{mean(values):.2f} ({min(values):.2f} - {max(values):.2f})"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _draw(runs: Sequence[Mapping[str, Any]], path: Path) -> None:
    models = list(dict.fromkeys(run["model"] for run in runs))
    colours = mpl.colormaps["tab20"]
    figure, axes = plt.subplots(1, len(models), figsize=(9 * len(models), 6), squeeze=False)
    for axis, model in zip(axes[0], models, strict=True):
        rows = scores([run for run in runs if run["model"] == model])
        best = max(max(values) for found in rows.values() for values in found.values())
        for index, (name, found) in enumerate(sorted(rows.items())):
            places = sorted(found)
            middle = [mean(found[s]) for s in places]
            if name == "dense":
                axis.axhline(middle[0], color="black", linestyle=":", label=name)
                continue
            control = name == "random_mask" or ", " in name
            mark = {"marker": "osv"[index % 3], "ms": 4}  # colours repeat, pairs do not
            style = {"linestyle": "--", "alpha": 0.6} if control else mark
            axis.plot([f"{s:.0%}" for s in places], middle, color=colours(index % 20), label=name,
                      linewidth=1.2, **style)  # fmt: skip
        axis.set_ylim(best - 6, best + 0.3)
        axis.set_title(model)
        axis.set_xlabel("sparsity")
        axis.set_ylabel("test accuracy, %")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
