"""Each job of an array gets its task; the programs of Slurm are stand-ins."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "launch" / "slurm-build.sbatch"


def job(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the script as a job, with programs that print their arguments."""
    for name in ("srun", "python"):
        program = folder / name
        program.write_text(f'#!/bin/sh\n[ {name} = srun ] || exec echo "$@"\nshift 2\nexec "$@"\n')
        program.chmod(0o755)
    env = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "GSV2_PYTHON": str(folder / "python"),
        "SLURM_SUBMIT_DIR": str(folder),
        "SLURM_CPUS_PER_TASK": "4",
        **variables,
    }
    return subprocess.run(["bash", SCRIPT, *arguments], env=env, text=True, capture_output=True)


def array(number: int, low: int, high: int) -> dict[str, str]:
    return {
        "SLURM_ARRAY_TASK_ID": str(number),
        "SLURM_ARRAY_TASK_MIN": str(low),
        "SLURM_ARRAY_TASK_MAX": str(high),
        "SLURM_ARRAY_TASK_COUNT": str(high - low + 1),
    }


def test_a_job_encodes_the_share_of_its_number(tmp_path):
    done = job(tmp_path, "--input", "in", "--out", "c", **array(3, 1, 16))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "-m gsv2 corpus build --input in --out c --task 3/16 --workers 4\n"
    again = job(tmp_path, "--input", "in", TASKS="16", **array(7, 7, 7))
    assert "--task 7/16" in again.stdout


@pytest.mark.parametrize("variables", [{}, array(3, 3, 5), array(0, 0, 4)])
def test_jobs_that_would_leave_shares_out_are_refused(tmp_path, variables):
    done = job(tmp_path, "--input", "in", **variables)
    assert done.returncode != 0
    assert "--array" in done.stderr
    assert job(tmp_path, **array(1, 1, 2)).returncode == 2
