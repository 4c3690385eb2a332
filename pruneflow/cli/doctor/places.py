"""Where data sets, recipes and plugins were looked for, and what was there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint, distributions
from pathlib import Path

from pruneflow.cli.doctor.finding import Finding, gist
from pruneflow.recipe import library
from pruneflow.runfolder import shown

GROUP = "pruneflow."


def data_sets() -> Iterator[Finding]:
    """Published data sets, where a run would look for them."""
    from pruneflow.zoo import cifar
    from pruneflow.zoo.files import Source, default_root
    from pruneflow.zoo.mnist import MNIST, FashionMNIST, IdxImages

    def idx(data: type[IdxImages]) -> tuple[Source, list[tuple[str, ...]]]:
        files = data.files.checksums.items()
        return data.files.source, [
            (f"{name}.gz",) if sums.content is None else (name, f"{name}.gz")
            for name, sums in files
        ]

    root = default_root()
    wanted: dict[str, tuple[Source, Sequence[tuple[str, ...]]]] = {
        "data=mnist": idx(MNIST),
        "data=fashion_mnist": idx(FashionMNIST),
        "data=cifar10": (cifar.SOURCE, [(cifar.ARCHIVE,)]),
    }
    yield Finding("data=digits", "", "good", "comes with scikit-learn")
    for name, (source, files) in wanted.items():
        found = [source.find(root, *names) for names in files]
        if all(found) and found[0] is not None:
            yield Finding(name, str(shown(found[0].parent)))
        else:
            there = shown(root / source.folder)
            yield Finding(name, "", "absent", f"not in {there}: downloaded when first asked for")
    if "PRUNEFLOW_DATA" in os.environ:
        yield Finding("PRUNEFLOW_DATA", str(root), "good" if root.is_dir() else "bad",
                      "" if root.is_dir() else "there is no such folder")  # fmt: skip


def recipes() -> Iterator[Finding]:
    """The folders in which recipes are found by name."""
    for root in library.roots():
        names = sorted(path.stem for path in root.glob("*.yaml") if path.stem[0] != ".")
        count = f"{len(names)} recipe{'s' * (len(names) != 1)}"
        place = "built in" if root == library.data_root() / "recipes" else "./recipes"
        yield Finding(place, count, "good", ", ".join(names))
    if not (Path.cwd() / "recipes").is_dir():
        yield Finding("./recipes", "", "absent", "recipes of your own would be found here")


def plugins() -> Iterator[Finding]:
    """Words that installed packages add."""
    for package in distributions():
        for point in package.entry_points:
            if point.group.startswith(GROUP):
                yield _plugin(point, f"{package.name} {package.version}")


def _plugin(point: EntryPoint, package: str) -> Finding:
    try:
        point.load()
    except (Exception, SystemExit) as error:
        return Finding(point.name, package, "bad", f"{point.group}: {gist(error)}")
    return Finding(point.name, package, "good", point.group)
