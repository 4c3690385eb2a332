"""Training that takes no time, for tests of everything around it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pruneflow import runfolder
from pruneflow.holding import held
from pruneflow.training import resume

VERSIONS = {"pruneflow": "0.0.1", "torch": "0.0.2"}


@dataclass
class Stub:
    """Stands in for ``training.job.train``: claims and locks as it does, and is done at once.

    Attributes:
        trained: The folders it was asked to train in, in order, by name.
        dies: Whether it stops right after it began, like a process that is killed.
        status: What its results say.
        versions: What they say of packages.
    """

    trained: list[str] = field(default_factory=list)
    dies: bool = False
    status: str = "complete"
    versions: dict[str, str] = field(default_factory=dict)

    def __call__(
        self, config: Any, folder: Path, console: Any, watch: Any, common: Any
    ) -> dict[str, Any]:
        with held(folder):
            config, _ = resume.begin(config, folder, console)
            self.trained.append(str(runfolder.shown(folder)))
            if self.dies:
                raise DiedError
            result = self.result(config)
            runfolder.write_json(folder / runfolder.RESULT, result)
            return result

    def result(self, config: Any) -> dict[str, Any]:
        """A result with no more in it than tables and pictures ask for."""
        return {
            "recipe": config.recipe.name,
            "model": "m",
            "data": "d",
            "seed": config.seed,
            "config_hash": config.digest,
            "status": self.status,
            "steps": 10,
            "sparsity": 0.5,
            "layers": {},
            "accuracy": {"dense": 0.9, "pruned": 0.8, "final": 0.9},
            "compression": {"parameters": 0.5, "bytes": 0.5},
            "versions": self.versions,
        }


class DiedError(BaseException):
    """The end of a process: nothing that catches errors catches it."""
