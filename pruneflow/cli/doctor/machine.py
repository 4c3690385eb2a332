"""What training and deploying will use on this machine."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

from pruneflow.cli.doctor.finding import Finding, gist


def trainers() -> Iterator[Finding]:
    """What each ``trainer=`` stands for here."""
    import torch

    from pruneflow.deploy.measure import machine
    from pruneflow.training.hardware import device, hindrance

    build = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built for CPUs"
    yield Finding("torch", torch.__version__, "good", build)
    threads = f"threads: {torch.get_num_threads()}; trainer.threads=N sets another number"
    yield Finding("trainer=cpu", machine.cpu(), "good", threads)
    for name in ("gpu", "mps"):
        where = device(name)
        if where is None:
            yield Finding(f"trainer={name}", "", "absent", hindrance(name) or "")
        elif where == "cuda":
            gpu = machine.gpu()
            about = f"driver {gpu['driver']}, CUDA {gpu['cuda']}, sm {gpu['capability']}"
            yield Finding(f"trainer={name}", gpu["gpu"], "good", about)
        else:
            yield Finding(f"trainer={name}", "Apple GPU", "good")


def compilers() -> Iterator[Finding]:
    """C compilers, the first of which makes the kernels of the backend ``c``."""
    from pruneflow.deploy.native.library import COMPILERS

    paths = {name: path for name in COMPILERS if (path := shutil.which(name))}
    if not paths:
        note = "deploy.backend=c: apt install gcc, or xcode-select --install"
        yield Finding("C compiler", "", "absent", note)
    for name, path in list(paths.items())[:1]:
        yield Finding("C compiler", path, "good", _first_line(path) or name)


def engines() -> Iterator[Finding]:
    """What ``pruneflow deploy`` can run networks with, by each backend's own account."""
    import torch

    from pruneflow.deploy.backends import BACKENDS

    away: dict[str, list[str]] = {}
    for name in BACKENDS:
        backend = BACKENDS[name]
        gpu_only = "cpu" not in backend.devices
        try:
            why = backend.missing()
            if why is None and not (gpu_only and not torch.cuda.is_available()):
                yield Finding(name, ", ".join(backend.devices), "good", backend.version())
                continue
        except Exception as error:
            yield Finding(name, "", "bad", gist(error))
            continue
        no_gpu = "no GPU here; deploy.target=cubin compiles for one elsewhere"
        away.setdefault(no_gpu if gpu_only and why is None else str(why), []).append(name)
    for why, names in away.items():
        yield Finding(", ".join(names), "", "absent", why)


def _first_line(compiler: str) -> str:
    done = subprocess.run(  # noqa: S603 - a compiler that was found on the path
        [compiler, "--version"], capture_output=True, text=True, timeout=10, check=False
    )
    return next(iter(done.stdout.splitlines()), "")
