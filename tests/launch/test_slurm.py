from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from gsv2.train import main
from gsv2.training.config import TrainerConfig
from gsv2.training.faults import watchdog
from gsv2.training.faults.signals import EXIT_REQUEUE
from gsv2.training.run_folder.records import read_records
from tests.support import slurm
from tests.support.processes import ROOT, environment
from tests.support.real_stages import MODELS

pytestmark = pytest.mark.long

SCRIPT = ROOT / "launch" / "slurm.sbatch"
STEPS = 40


def submit(folder: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    programs = slurm.install(folder)
    env = {**environment(), "PATH": f"{programs}:{os.environ['PATH']}", **variables}
    command = ["sbatch", str(SCRIPT), *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, env=env, text=True, stderr=subprocess.PIPE, start_new_session=True
    )


def finish(job: subprocess.Popen[str], timeout_sec: float = 30.0) -> str:
    """Wait for the end of a job, and leave nothing behind; return what it wrote to stderr."""
    try:
        return job.communicate(timeout=timeout_sec)[1]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(job.pid, signal.SIGKILL)


def fake_python(folder: Path, body: str) -> str:
    """Return a program in the place of python; `$*` is what it was to run."""
    program = folder / "python"
    program.write_text(f"#!/bin/sh\necho $SLURM_NODEID $* >> {folder}/started\n{body}\n")
    program.chmod(0o755)
    return str(program)


def calls(folder: Path) -> list[str]:
    return [line.split()[0] for line in (folder / "calls").read_text().splitlines()]


def test_a_job_that_meets_its_time_limit_is_told_and_started_to_resume(
    tmp_path: Path,
) -> None:
    """SIGUSR1 reaches what runs on every node, whose 85 has the job requeued."""
    told = f"{tmp_path}/told$SLURM_NODEID"
    wait = f"trap 'exit 85' USR1; touch {told}; while :; do sleep 0.05; done"
    python = fake_python(tmp_path, f"[ -e {told} ] || {{ {wait}; }}")
    job = submit(tmp_path, "run.yaml", GSV2_PYTHON=python, GSV2_PREFLIGHT="0")
    while job.poll() is None and len(list(tmp_path.glob("told?"))) < slurm.NODES:
        time.sleep(0.02)
    (tmp_path / "time-limit").touch()
    errors = finish(job)
    assert job.returncode == 0, errors
    assert calls(tmp_path) == [
        "sbatch", "scontrol", "srun", "scontrol", "scontrol", "srun",
    ]  # fmt: skip
    started = (tmp_path / "started").read_text().splitlines()
    lines = [re.sub(r".*:\d+ ", "", line) for line in started]
    first = ["-- -m gsv2.train run.yaml"] * slurm.NODES
    assert lines == first + [f"{line} checkpoint.resume=auto" for line in first]


@pytest.mark.slow
def test_a_job_that_meets_its_time_limit_goes_on_where_it_stood(
    tmp_path: Path, tiny_corpus: Any
) -> None:
    """Two nodes, a checkpoint on SIGUSR1, requeued on 85, finished: the losses of one process."""
    source = {"path": str(tiny_corpus.path)}
    values = {
        "stage": "quantizer",
        "run": {"dir": str(tmp_path), "name": "slurm"},
        "data": {"sources": [source], "lanes": 2, "micro_batches_per_step": 2, "max_frames": 150},
        "model": MODELS["quantizer"],
        "trainer": {"max_steps": STEPS, "log_every_steps": 1},
        "tracking": {"progress": False},
    }
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump(values))
    variables = {"GSV2_PYTHON": sys.executable, "GSV2_PREFLIGHT": "0", "SLURM_GPUS_PER_NODE": "1"}
    job = submit(tmp_path, str(config), **variables)
    rows = tmp_path / "slurm" / "metrics.jsonl"
    while job.poll() is None and not (rows.exists() and len(rows.read_bytes().splitlines()) > 2):
        time.sleep(0.02)
    (tmp_path / "time-limit").touch()
    errors = finish(job, 240)
    assert job.returncode == 0, errors
    assert calls(tmp_path) == [
        "sbatch", "scontrol", "srun", "scontrol", "scontrol", "srun",
    ]  # fmt: skip
    main(config, ["run.name=one"])
    one, two = (read_records(tmp_path / name / "metrics.jsonl") for name in ("one", "slurm"))
    assert [row["step"] for row in two] == list(range(1, STEPS + 1))
    environ = json.loads((tmp_path / "slurm" / "environment.json").read_text())
    assert environ["ranks"] == 2
    for row, other in zip(one, two, strict=True):
        assert other["quantizer/loss"] == pytest.approx(row["quantizer/loss"], rel=1e-4)


@pytest.mark.parametrize("code", [0, 1, 137])
def test_other_ends_of_a_run_are_the_end_of_the_job(tmp_path: Path, code: int) -> None:
    job = submit(tmp_path, "run.yaml", GSV2_PYTHON=fake_python(tmp_path, f"exit {code}"))
    finish(job)
    assert job.returncode == code
    assert calls(tmp_path).count("scontrol") == 1


def test_every_node_is_checked_and_then_runs_the_same_line(tmp_path: Path) -> None:
    python = fake_python(tmp_path, "exit 0")
    finish(submit(tmp_path, "run.yaml", "trainer.max_steps=9", GSV2_PYTHON=python))
    started = sorted((tmp_path / "started").read_text().splitlines())
    lines = {re.sub(r"^\d ", "", line) for line in started}
    assert [line[0] for line in started] == ["0", "0", "1", "1"]
    port = re.findall(r"127\.0\.0\.1:(\d+)", started[0])[0]
    node = f"launch/node.py --main 127.0.0.1:{port} --"
    assert lines == {
        f"{node} launch/preflight.py run.yaml trainer.max_steps=9",
        f"{node} -m gsv2.train run.yaml trainer.max_steps=9",
    }


def test_a_machine_that_is_not_ready_starts_no_run(tmp_path: Path) -> None:
    body = 'case "$*" in *preflight*) [ $SLURM_NODEID = 0 ] || exit 1;; esac'
    job = submit(tmp_path, "run.yaml", GSV2_PYTHON=fake_python(tmp_path, body))
    finish(job)
    assert job.returncode == 1
    assert calls(tmp_path).count("srun") == 1


def test_a_job_that_meets_its_time_limit_in_the_check_of_the_nodes_is_requeued(
    tmp_path: Path,
) -> None:
    again = f"[ -e {tmp_path}/again$SLURM_NODEID ] || {{ touch {tmp_path}/again$SLURM_NODEID"
    python = fake_python(tmp_path, f"case $* in *preflight*) {again}; exit 85; }};; esac")
    job = submit(tmp_path, "run.yaml", GSV2_PYTHON=python)
    finish(job)
    assert job.returncode == 0
    assert calls(tmp_path).count("scontrol") == 3  # hosts, requeue, hosts
    started = (tmp_path / "started").read_text()
    assert (started.count("preflight"), started.count("gsv2.train")) == (4, 2)


def test_a_job_that_is_cancelled_in_the_check_of_the_nodes_trains_nothing(tmp_path: Path) -> None:
    body = "case $* in *preflight*) kill -TERM $(cat batch); sleep 0.2; exit 0;; esac"
    prologue = tmp_path / "prologue"
    prologue.write_text(f"echo $$ > {tmp_path}/batch\n")
    python = fake_python(tmp_path, f"cd {tmp_path}\n{body}")
    finish(submit(tmp_path, "run.yaml", GSV2_PYTHON=python, GSV2_PROLOGUE=str(prologue)))
    assert "gsv2.train" not in (tmp_path / "started").read_text()
    assert calls(tmp_path).count("scontrol") == 1


def test_the_other_nodes_have_the_time_that_a_lost_rank_takes() -> None:
    (wait_sec,) = re.findall(r"--wait=(\d+)", SCRIPT.read_text())
    assert int(wait_sec) > TrainerConfig(max_steps=1).rank_timeout_sec + watchdog._GRACE_SEC


def test_a_job_that_a_person_cancels_is_not_requeued(tmp_path: Path) -> None:
    """Scancel signals the script too; the ranks leave with 85 all the same."""
    body = "case $* in *train*) kill -TERM $(cat batch); sleep 0.2; exit 85;; esac"
    python = fake_python(tmp_path, f"cd {tmp_path}\n{body}")
    prologue = tmp_path / "prologue"
    prologue.write_text(f"echo $$ > {tmp_path}/batch\n")
    job = submit(tmp_path, "run.yaml", GSV2_PYTHON=python, GSV2_PROLOGUE=str(prologue))
    finish(job)
    assert job.returncode == EXIT_REQUEUE
    assert calls(tmp_path).count("scontrol") == 1


def test_a_requeued_job_listens_at_another_port(tmp_path: Path) -> None:
    """What is left of the one before may still hold its own."""
    python = fake_python(
        tmp_path, f"[ -e {tmp_path}/again ] || {{ touch {tmp_path}/again; exit 85; }}"
    )
    job = submit(tmp_path, "run.yaml", GSV2_PYTHON=python, GSV2_PREFLIGHT="0")
    finish(job)
    started = (tmp_path / "started").read_text()
    assert len(set(re.findall(r"127\.0\.0\.1:(\d+)", started))) == 2


def test_what_the_prologue_sets_reaches_the_ranks_however_the_job_was_submitted(
    tmp_path: Path,
) -> None:
    """`sbatch --export=NONE` leaves SLURM_EXPORT_ENV behind, which srun obeys."""
    python = fake_python(tmp_path, f"echo module $MODULE >> {tmp_path}/seen")
    prologue = tmp_path / "prologue"
    prologue.write_text("export MODULE=loaded\n")
    variables = {"GSV2_PYTHON": python, "GSV2_PROLOGUE": str(prologue), "SLURM_EXPORT_ENV": "NONE"}
    finish(submit(tmp_path, "run.yaml", GSV2_PREFLIGHT="0", **variables))
    assert (tmp_path / "seen").read_text() == "module loaded\n" * slurm.NODES


@pytest.mark.parametrize(
    ("asked", "ranks"), [("8", " --ranks 8"), ("a100:4", " --ranks 4"), ("0", ""), ("", "")]
)
def test_every_node_starts_as_many_ranks_as_gpus_were_asked_for(
    tmp_path: Path, asked: str, ranks: str
) -> None:
    """Not as many as it finds: one with a broken GPU would wait for ranks that nobody starts."""
    variables = {"GSV2_PYTHON": fake_python(tmp_path, "exit 0"), "SLURM_GPUS_PER_NODE": asked}
    finish(submit(tmp_path, "run.yaml", GSV2_PREFLIGHT="0", **variables))
    started = (tmp_path / "started").read_text().splitlines()
    assert [re.sub(r".*:\d+", "", line) for line in started] == [
        f"{ranks} -- -m gsv2.train run.yaml"
    ] * slurm.NODES


def test_a_job_that_never_gets_on_is_not_requeued_for_ever(tmp_path: Path) -> None:
    python = fake_python(tmp_path, "exit 85")
    variables = {"GSV2_PYTHON": python, "GSV2_PREFLIGHT": "0", "GSV2_MAX_REQUEUES": "2"}
    job = submit(tmp_path, "run.yaml", **variables)
    errors = finish(job)
    assert job.returncode == EXIT_REQUEUE
    requeued = [line for line in (tmp_path / "calls").read_text().splitlines() if "requeue" in line]
    assert len(requeued) == 2
    assert "not requeued: it was 2 times already (GSV2_MAX_REQUEUES)" in errors


def test_the_script_knows_the_code_and_the_signal_of_the_trainer() -> None:
    text = SCRIPT.read_text()
    assert f"requeue_me={EXIT_REQUEUE}\n" in text
    assert f"--signal={signal.SIGUSR1.name.removeprefix('SIG')}@" in text
