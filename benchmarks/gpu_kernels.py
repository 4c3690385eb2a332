"""Do pruned layers and networks win on a GPU? Every kernel and every rival, measured in turns.

    python -m benchmarks.gpu_kernels             measure what is not measured yet, for 9 minutes
    python -m benchmarks.gpu_kernels table       what is known, as Markdown
    python -m benchmarks.gpu_kernels picture     the same as a picture
    python -m benchmarks.gpu_kernels floors      what no kernel can beat, computed without a GPU
    python -m benchmarks.gpu_kernels --rehearse --out FILE   every line, without a GPU

Outputs are compared with float64 before anything is timed. Each engine's configurations are tried
first and the fastest is timed, in turns with all others: calls with cold caches, eager and as a
CUDA graph, and warm graphs; networks also by the computer's clock. A kernel's limits stand beside
its times. What fails stays in with its reason, and losses stay in. Every cell is written at once;
a second call goes on where the first stopped.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import torch

from benchmarks.gpu import picture, table
from benchmarks.gpu.results import Results

RESULTS = Path(__file__).parent / "results"
FILE = RESULTS / "gpu_kernels.json"


def main(arguments: list[str] | None = None) -> int:
    """The command; what it returns is its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_kernels")
    parser.add_argument("what", nargs="?", choices=("measure", "table", "picture", "floors"),
                        default="measure")  # fmt: skip
    parser.add_argument("--minutes", type=float, default=9, help="how long it may measure")
    parser.add_argument("--only", default="", help="a regular expression for titles of cells")
    parser.add_argument("--again", action="store_true", help="measure finished cells anew")
    parser.add_argument("--rehearse", action="store_true", help="on a CPU; times mean nothing")
    parser.add_argument("--out", type=Path, help=f"the file of results; {FILE.name} by default")
    asked = parser.parse_args(arguments)
    if asked.what == "floors":
        from benchmarks.gpu import floors

        print(floors.table())
        return 0
    out = (asked.out or FILE).absolute()
    if asked.what == "measure":
        if why := refusal(asked.rehearse, out):
            print(why, file=sys.stderr)
            return 2
        measure(asked, out)
    results = Results(out)
    if results.latest is None:
        print(f"nothing is measured yet: there is no {out}", file=sys.stderr)
        return 2
    if asked.what != "picture":
        print(table.of(results.latest))
    if asked.what != "table":
        print(picture.draw(results.latest, out.with_suffix(".png")))
    return 0


def refusal(is_rehearsal: bool, out: Path) -> str | None:
    """Why nothing can be measured; None if it can."""
    if is_rehearsal and out.is_relative_to(RESULTS):
        return f"a rehearsal is no result: say --out FILE, outside of {RESULTS}"
    if not is_rehearsal and not torch.cuda.is_available():
        return "there is no GPU here that torch can use; --rehearse --out FILE runs without one"
    return None


def measure(asked: argparse.Namespace, out: Path) -> None:
    """Measure until it is done or the time is over."""
    if asked.rehearse:
        os.environ["TRITON_INTERPRET"] = "1"  # read when a kernel is defined: in another process
    from benchmarks.gpu.attend import Attendant

    attendant = Attendant(Results(out), asked.minutes, asked.only, asked.again, asked.rehearse)
    is_done = attendant.attend()
    print("everything is measured" if is_done else "not everything is measured: call it again")


if __name__ == "__main__":
    sys.exit(main())
