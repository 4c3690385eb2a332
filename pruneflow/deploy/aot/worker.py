"""The process that compiles: ``python -m pruneflow.deploy.aot.worker``.

It reads a request, as JSON, from its standard input, and answers with one line of JSON for each
build. Kernels are imported by name; Triton must not interpret here.
"""

from __future__ import annotations

import json
import os
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

from pruneflow.deploy.kernels.language import triton


def main() -> None:
    """Compile what is asked for."""
    request = json.load(sys.stdin)
    with _answers() as answers:
        for number, build in enumerate(request["builds"]):
            try:
                answer = _compiled(build, request["capability"], Path(request["folder"]), number)
            except Exception as error:  # whatever Triton raises is told to whoever asked
                answer = {"error": _gist(error)}
            print(json.dumps(answer), file=answers, flush=True)


def _answers() -> TextIO:
    """What was standard output; whatever else is printed goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _compiled(build: dict[str, Any], capability: int, folder: Path, number: int) -> dict[str, Any]:
    function = getattr(import_module(build["module"]), build["function"])
    names = function.arg_names
    constants = {name: _frozen(value) for name, value in build["constants"].items()}
    source = triton.compiler.ASTSource(
        fn=function,
        signature={name: build["types"].get(name, "constexpr") for name in names},
        constexprs={(names.index(name),): value for name, value in constants.items()},
        attrs={(names.index(name),): [["tt.divisibility", 16]] for name in build["aligned"]},
    )
    options = {"num_warps": build["warps"], "num_stages": build["stages"]}
    if build["is_cooperative"]:
        options["launch_cooperative_grid"] = True
    target = triton.backends.compiler.GPUTarget("cuda", capability, 32)
    made = triton.compile(source, target=target, options=options)
    path = folder / f"{number}.cubin"
    path.write_bytes(made.asm["cubin"])
    found = made.metadata
    return {
        "path": str(path),
        "symbol": found.name,
        "warps": found.num_warps,
        "shared": found.shared,
        "widths": _widths(made.asm["ptx"]),
        "scratch": [
            [found.global_scratch_size or 0, found.global_scratch_align or 1],
            [found.profile_scratch_size or 0, found.profile_scratch_align or 1],
        ],
    }


def _frozen(value: Any) -> Any:
    """JSON knows no tuples."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _widths(ptx: str) -> list[int]:
    """Of all parameters of a kernel, in bits, Triton's own included."""
    entry = ptx[ptx.index(".entry") :]
    return list(map(int, re.findall(r"\.param \.[a-z]+(\d+)", entry[: entry.index(")")])))


def _gist(error: Exception) -> str:
    """What the assembler complains of, or else the last line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    assembler = (line for line in lines if re.match(r"ptxas.* (error|fatal) ", line))
    return next(assembler, lines[-1] if lines else type(error).__name__)


if __name__ == "__main__":
    main()
