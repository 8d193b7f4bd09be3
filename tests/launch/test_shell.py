from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

import pytest
import yaml

from tests.integration.launch import ROOT, environment

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
