"""What PruneFlow claims of itself, and by which script each claim is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.measured import RESULTS


@dataclass(frozen=True)
class Claim:
    """Something that a script of this folder measures.

    Attributes:
        name: Of the claim, and of its file in ``results/``.
        title: The question it answers.
        how: How it was measured, and against what.
        words: What is run: ``python -m benchmarks.`` and these.
        minutes: About how long it takes on a quiet machine.
        needs: What has to be there; claims that need something are run by hand.
        tables: The module whose ``table(results)`` shows it; by default what is run.
    """

    name: str
    title: str
    how: str
    words: tuple[str, ...]
    minutes: float
    needs: str = ""
    tables: str = ""

    @property
    def path(self) -> Path:
        """Its results."""
        return RESULTS / f"{self.name}.json"

    @property
    def command(self) -> str:
        """What a person types."""
        return f"python -m benchmarks.{' '.join(self.words)}"

    def table(self, results: Mapping[str, Any]) -> str:
        """Its results as Markdown."""
        home = import_module(f"benchmarks.{self.tables or self.words[0]}")
        return str(home.table(results))


CLAIMS = (
    Claim(
        "startup", "What a command takes before it does anything",
        "CPU time of whole processes, in turns; budgets are what they may take. Below them, for "
        "comparison, what training has to import.",
        ("startup",), 3,
    ),
    Claim(
        "steps", "What a masked step costs, and a whole fit",
        "Masks frozen at 90 %, against the same network without masks, masks by hand, "
        "`torch.nn.utils.prune`, `torch.nn.utils.parametrize` and, in fits, Lightning's "
        "`ModelPruning`, all in turns in one process.",
        ("steps",), 30,
    ),
    Claim(
        "events", "What a pruning event costs",
        "One event that takes a network from 50 to 80 % (2:4: its first), against the same step of "
        "`torch.nn.utils.prune`, `ModelPruning` and `torch.ao.pruning`, in turns in one process. "
        "Times ours below 1 are losses: ours also counts, hashes and journals every layer, which "
        "shows where layers are small.",
        ("events",), 3,
    ),
    Claim(
        "scale", "How a pruning event grows with the network",
        "One threshold for up to a billion parameters, and for several ranks.",
        ("scale",), 20,
    ),
    Claim(
        "checkpoints", "What masks add to a checkpoint",
        "A perceptron of ten million weights under Adam at 90 %, saved by Lightning, against the "
        "same without pruning and with `ModelPruning`, in turns in one process. By default "
        "`ModelPruning` saves no masks: training that goes on from its file is not masked.",
        ("checkpoints",), 1,
    ),
    Claim(
        "plans", "What it takes to plan for a big network",
        "Networks without memory for weights; no peer plans, so building the network itself "
        "stands beside it.",
        ("plans",), 1,
    ),
    Claim(
        "sharing", "What shared work saves in a sweep",
        "CPU time of whole commands: a sweep against as many separate runs, and against a sweep "
        "that shares nothing, all with the same bits in the end.",
        ("sharing",), 7,
    ),
    Claim(
        "accuracy_digits", "Accuracy against a dense network, digits",
        "`lenet_imp` at 90 % against a dense network that was trained as long, on test data.",
        ("accuracy", "digits"), 2,
    ),
    Claim(
        "accuracy_mnist", "Accuracy against a dense network, MNIST",
        "`lenet_imp` at 90 % on LeNet-5, 8 epochs, against a dense network that was trained as "
        "long, on test data.",
        ("accuracy", "mnist"), 10,
    ),
    Claim(
        "mnist_quality", "Every built-in recipe at one small budget",
        "Final test accuracy in percent on MNIST, mean over seeds (least - greatest), by "
        "sparsity, beside a dense network and random masks; "
        "[more about it](mnist_quality.md).",
        ("mnist_quality",), 160, tables="quality_table",
    ),
    Claim(
        "mnist_frontier", "How few weights do for MNIST",
        "Settings were chosen by validation data, and biases are not counted among the weights.",
        ("mnist_frontier",), 90,
    ),
    Claim(
        "deploy_networks", "Deployed networks against the best dense engine",
        "How many times as fast as the fastest of torch, `torch.compile` and ONNX Runtime in fp32; "
        "pruned uniformly at random, one thread, in turns in one process, by the clock. Where "
        "`dense` stands the bundle runs that engine itself, and the rest is noise.",
        ("deploy", "networks"), 15,
    ),
    Claim(
        "deploy_layers", "Deployed layers against the best dense engine",
        "As above; the last column is batch 128.",
        ("deploy", "layers"), 5,
    ),
    Claim(
        "deploy_trained", "A trained LeNet-5 against the best dense engine",
        "As above, with the weights that a run left.",
        ("deploy", "trained", "RUN"), 1, needs="a run of LeNet-5",
    ),
    Claim(
        "sparse_products", "A packed layer against the sparse products of others",
        "Our C kernels (in microseconds) against scipy's CSR, torch's CSR and dense torch (in "
        "times ours), the same layers, one thread, in turns in one process, by the clock.",
        ("sparse_products",), 1,
    ),
    Claim(
        "c99", "Networks as C99",
        "Flash and RAM in bytes and instructions counted in QEMU, against what the same generator "
        "makes of all weights in fp32; then times as fast as others on a PC.",
        ("c99", "RUN", "..."), 20, needs="runs, a cross compiler and QEMU",
    ),
    Claim(
        "kills", "Whether a killed run ends as if nothing had been",
        "Kills at random moments, the same command again, and every bit compared.",
        ("kills",), 60,
    ),
    Claim(
        "gpu_kernels", "Kernels on a GPU",
        "Every kernel against the best dense engine, checked against float64 first; what is "
        "predicted stands in [NOTES.md](NOTES.md).",
        ("gpu_kernels",), 30, needs="a GPU", tables="gpu.table",
    ),
)  # fmt: skip
