"""One run in a gathered page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pruneflow.report.deploy_view import Timing
from pruneflow.report.record import Record

COMPLETE, INCOMPLETE, UNFINISHED, FAILED = "complete", "ended early", "unfinished", "failed"
STATES = {
    INCOMPLETE: "training stopped before the recipe's end",
    UNFINISHED: "it began and has no result: it still runs, was interrupted or failed",
    FAILED: "it ended before its first step",
}
"""What the states other than complete mean."""

ESTIMATED = "after packing, estimated from validation"
VALIDATION = "on validation data"
SHORT = {ESTIMATED: "estimated", VALIDATION: "validation"}
"""How an accuracy is known where it was not measured on the test data, in words and in one."""


@dataclass(frozen=True)
class Row:
    """A run, or a deployed network without one; what is not known is None or empty.

    Attributes:
        folder: Where it is.
        state: ``complete``, or one of :data:`STATES`.
        recipe: The recipe's name; of a deployed network without a run, its own.
        model: The network's name.
        data: The data set's name.
        seed: The random seed, as text.
        sparsity: Share of the prunable weights that are zero.
        dense: Test accuracy before the first pruning.
        final: Test accuracy at the end, of the network that ``bytes`` counts.
        bytes: Of the bundle; of a run that is not deployed, as counted in its result.
        dense_bytes: Of the same network with every weight.
        timing: What its deployment measured, unless the gate is red.
        report: The deployment's report, if there is one.
        basis: How ``final`` is known where it was not measured on the test data:
            :data:`ESTIMATED` or :data:`VALIDATION`.
    """

    folder: Path
    state: str = COMPLETE
    recipe: str = ""
    model: str = ""
    data: str = ""
    seed: str = ""
    sparsity: float | None = None
    dense: float | None = None
    final: float | None = None
    bytes: float | None = None
    dense_bytes: float | None = None
    timing: Timing | None = None
    report: Record | None = None
    basis: str = ""

    @property
    def drop(self) -> float | None:
        """The test accuracy lost, in points."""
        if self.dense is None or self.final is None or self.basis == VALIDATION:
            return None
        return 100 * (self.dense - self.final)

    @property
    def ratio(self) -> float | None:
        """The compression ratio: sparse size over dense size."""
        return self.bytes / self.dense_bytes if self.bytes and self.dense_bytes else None

    @property
    def latency(self) -> float | None:
        """Microseconds of one call, as deployed."""
        return self.timing.latency if self.timing else None

    @property
    def speedup(self) -> float | None:
        """How many times as fast as the best dense engine."""
        return self.timing.speedup if self.timing else None

    @property
    def page(self) -> Path:
        """What to look at: the deployment's page if it is there, or the folder."""
        pages = (self.folder / "deploy" / "report.html",)
        return next((page for page in pages if page.is_file()), self.folder)
