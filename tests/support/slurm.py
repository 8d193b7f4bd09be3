"""A Slurm of one machine: `sbatch`, `srun` and `scontrol`, as launch/slurm.sbatch uses them.

`install(folder)` writes the three programs. A job has two nodes, which are this machine twice. As
in Slurm, the batch script runs from a copy, on node 0, and only what srun starts knows its node.
Files in `folder` stand for what comes from outside: `time-limit` sends SIGUSR1 to the tasks of the
running step, `requeue` has the job started again. Calls are written to `folder/calls`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

NODES = 2
JOB = "4711"


def install(folder: Path) -> Path:
    """Write the programs into `folder/bin`; return it, for PATH."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    for name in ("sbatch", "srun", "scontrol"):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -S {__file__} {name} {folder} "$@"\n')
        program.chmod(0o755)
    return programs


def sbatch(folder: Path, arguments: Sequence[str]) -> int:
    """Run a batch script to its end, again as long as it is requeued."""
    script = folder / "spool" / "slurm_script"
    script.parent.mkdir(exist_ok=True)
    shutil.copyfile(arguments[0], script)
    job = {
        "SLURM_JOB_ID": JOB,
        "SLURM_JOB_NUM_NODES": str(NODES),
        "SLURM_JOB_NODELIST": "sim[0-1]",
        "SLURM_SUBMIT_DIR": str(Path.cwd()),
        "SLURM_NODEID": "0",
        "SLURM_PROCID": "0",
    }
    restarts = 0
    while True:
        again = {"SLURM_RESTART_COUNT": str(restarts)} if restarts else {}
        env = {**os.environ, **job, **again}
        code = subprocess.run(["bash", script, *arguments[1:]], env=env, cwd=folder).returncode
        if not (folder / "requeue").exists():
            return code
        (folder / "requeue").unlink()
        restarts += 1


def srun(folder: Path, arguments: Sequence[str]) -> int:
    """Run one task a node; return the highest of their codes."""
    command = list(arguments)
    options: dict[str, str] = {}
    while command[0].startswith("--"):
        name, equals, options[name] = command.pop(0).partition("=")
        assert equals or name == "--label", "an option without its value"
    assert options["--ntasks-per-node"] == "1"
    # `sbatch --export=NONE` has srun start its tasks without the job's variables, unless told.
    exported = options.get("--export", os.environ.get("SLURM_EXPORT_ENV", "ALL"))
    env = dict(os.environ) if exported == "ALL" else {"PATH": os.defpath}
    tasks = []
    for node in range(NODES):
        place = {"SLURM_STEP_NUM_NODES": str(NODES), "SLURM_NODEID": str(node)}
        tasks.append(subprocess.Popen(command, env={**env, **place}))
    while any(task.poll() is None for task in tasks):
        if (folder / "time-limit").exists():
            (folder / "time-limit").unlink()
            for task in tasks:
                task.send_signal(signal.SIGUSR1)
        time.sleep(0.02)
    return max(128 - task.returncode if task.returncode < 0 else task.returncode for task in tasks)


def scontrol(folder: Path, arguments: Sequence[str]) -> int:
    """Name the hosts of a job, or put it back into the queue."""
    if list(arguments) == ["show", "hostnames", "sim[0-1]"]:
        sys.stdout.write("127.0.0.1\n127.0.0.2\n")
        return 0
    assert list(arguments) == ["requeue", JOB]
    (folder / "requeue").touch()
    return 0


if __name__ == "__main__":
    home = Path(sys.argv[2])
    with (home / "calls").open("a") as calls:
        calls.write(" ".join([sys.argv[1], *sys.argv[3:]]) + "\n")
    sys.exit(
        {"sbatch": sbatch, "srun": srun, "scontrol": scontrol}[sys.argv[1]](home, sys.argv[3:])
    )
