"""A SLURM of one machine: what ``sbatch`` is given runs here, two tasks of an array at a time.

It stands in for the commands that submitit calls, with the variables that SLURM sets. It queues
nothing, limits nothing, and knows no nodes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

JOB = "4711"
TASKS_AT_ONCE = 2
COMMANDS = ("sbatch", "srun", "sacct")


def install(folder: Path) -> Path:
    """Write the commands into a folder, to be put on the path."""
    folder.mkdir(parents=True)
    for name in COMMANDS:
        command = folder / name
        command.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} {name} "$@"\n')
        command.chmod(0o755)
    return folder


def sbatch(script: str) -> None:
    """Give a number to a job, and run it when the one who asks has gone."""
    kept = home() / "sbatch.sh"
    kept.write_text(Path(script).read_text())
    subprocess.Popen(
        [sys.executable, __file__, "run", str(kept)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=(home() / "errors").open("w"),
    )
    print(f"Submitted batch job {JOB}")


def run(script: str) -> None:
    """Run the tasks of a job, and note how each of them ends."""
    time.sleep(0.5)  # submitit moves its files when it knows the number
    last = re.search(r"--array=0-(\d+)", Path(script).read_text())
    tasks = range(int(last[1]) + 1) if last else [None]
    with ThreadPoolExecutor(TASKS_AT_ONCE) as pool:
        list(pool.map(lambda task: run_task(script, task), tasks))


def run_task(script: str, task: int | None) -> None:
    name = JOB if task is None else f"{JOB}_{task}"
    array = {"SLURM_ARRAY_JOB_ID": JOB, "SLURM_ARRAY_TASK_ID": str(task)}
    variables = {
        "SLURM_JOB_ID": str(int(JOB) + (task or 0)),
        "SLURM_JOB_NAME": "train",
        "SLURM_NTASKS": "1",
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_JOB_NODELIST": "localhost",
        **dict.fromkeys(("SLURM_NODEID", "SLURM_PROCID", "SLURM_LOCALID"), "0"),
        **({} if task is None else array),
    }
    code = subprocess.run(["bash", script], env={**os.environ, **variables}, check=False).returncode
    (home() / f"{name}.state").write_text("FAILED" if code else "COMPLETED")


def srun(*arguments: str) -> int:
    """Run a command with its output where it is sent."""
    *flags, output, _, error = arguments[: arguments.index("--error") + 2]
    command = arguments[arguments.index("--error") + 2 :]
    assert flags == ["--unbuffered", "--output"], flags
    with open(placed(output), "a") as out, open(placed(error), "a") as err:
        return subprocess.run(command, stdout=out, stderr=err, check=False).returncode


def placed(path: str) -> str:
    array, task = (os.environ.get(f"SLURM_ARRAY_{name}_ID", "") for name in ("JOB", "TASK"))
    here = {"%A": array, "%a": task, "%j": os.environ["SLURM_JOB_ID"], "%t": "0"}
    path = re.sub("%[Aajt]", lambda found: here[found[0]], path)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return path


def sacct() -> None:
    """Tell how tasks ended; those that have not yet are running."""
    print("JobID|State|NodeList")
    for path in home().glob("*.state"):
        print(f"{path.stem}|{path.read_text()}|localhost")


def home() -> Path:
    return Path(os.environ["PRETEND_SLURM"])


if __name__ == "__main__":
    command, *rest = sys.argv[1:]
    if command == "sacct":
        sacct()
    else:
        sys.exit({"sbatch": sbatch, "run": run, "srun": srun}[command](*rest))
