from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

import pytest
import yaml

from tests.support.processes import ROOT, environment

LAUNCH = ROOT / "launch"
SCRIPTS = sorted([*LAUNCH.rglob("*.sh"), *LAUNCH.rglob("*.sbatch")])
SHELLCHECK = Path(sysconfig.get_path("scripts")) / "shellcheck"


def check(shell: str, script: str) -> str:
    command = [SHELLCHECK, "--shell", shell, "--severity=style", "-"]
    done = subprocess.run(command, input=script, text=True, capture_output=True)
    return done.stdout + done.stderr


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_clean(path: Path) -> None:
    assert check("bash", path.read_text()) == ""


def test_the_script_in_the_pod_is_clean() -> None:
    runtime = yaml.safe_load((LAUNCH / "k8s" / "runtime.yaml").read_text())
    job = runtime["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]
    _, options, script, name = job["template"]["spec"]["containers"][0]["command"]
    assert options == "-ec"
    assert name == "gsv2"
    assert check("bash", script) == ""


def test_shellcheck_finds_what_is_wrong() -> None:
    assert "SC2086" in check("bash", "#!/usr/bin/env bash\nx=$1\nrm $x\n")


def test_local_says_how_it_is_used() -> None:
    command = ["bash", LAUNCH / "local.sh", "2"]
    done = subprocess.run(command, env=environment(), text=True, capture_output=True)
    assert done.returncode == 2
    assert "RANKS CONFIG" in done.stderr


@pytest.mark.parametrize("ranks", ["0", "two", "-1"])
def test_local_refuses_what_is_no_number_of_ranks(ranks: str) -> None:
    command = ["bash", LAUNCH / "local.sh", ranks, "run.yaml"]
    done = subprocess.run(command, env=environment(), text=True, capture_output=True)
    assert done.returncode == 2
    assert f"RANKS must be a number of 1 or more, but is '{ranks}'" in done.stderr


@pytest.mark.parametrize(
    ("gpus", "on_cpu", "said"), [(0, "true", ""), (1, "true", "1 GPUs"), (2, "", "")]
)
def test_local_takes_the_cores_where_gpus_are_too_few(
    tmp_path: Path, gpus: int, on_cpu: str, said: str
) -> None:
    """And says so where there are some, which would stand idle."""
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\nif [ "$1" = -c ]; then echo {gpus}; else echo "$ACCELERATE_USE_CPU"; fi\n'
    )
    python.chmod(0o755)
    command = ["bash", LAUNCH / "local.sh", "2", "run.yaml"]
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(command, env=env, text=True, capture_output=True)
    assert done.stdout == f"{on_cpu}\n"
    assert said in done.stderr
    assert bool(done.stderr) == bool(said)
