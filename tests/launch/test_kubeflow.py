"""launch/k8s against the CRDs: keys that a cluster would refuse, and what must fit together."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from gsv2.stages import SCHEMAS
from gsv2.training.faults.signals import EXIT_REQUEUE
from tests.support.kubernetes_schemas import KINDS, problems
from tests.support.processes import ROOT

FOLDER = ROOT / "launch" / "k8s"


def load(name: str) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / name).read_text())


@pytest.fixture
def runtime() -> dict[str, Any]:
    return load("runtime.yaml")


@pytest.fixture
def job() -> dict[str, Any]:
    return load("trainjob.yaml")


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.yaml")))
def test_files_fit_the_crds(name: str) -> None:
    value = load(name)
    assert value["apiVersion"] == "trainer.kubeflow.org/v1alpha1"
    assert problems(value, KINDS[value["kind"]]) == []


def test_the_check_finds_wrong_keys_and_types(job: dict[str, Any]) -> None:
    job["spec"]["trainer"]["numNodes"] = "4"
    job["spec"]["trainer"]["numWorkers"] = 4
    del job["spec"]["runtimeRef"]["name"]
    assert problems(job, KINDS["TrainJob"]) == [
        "spec.runtimeRef.name is missing",
        "spec.trainer.numNodes should be int, but is '4'",
        "spec.trainer.numWorkers is unknown",
    ]


def test_the_job_runs_in_the_runtime(runtime: dict[str, Any], job: dict[str, Any]) -> None:
    """Kubeflow finds the trainer's container by its name and the job's label."""
    reference = job["spec"]["runtimeRef"]
    assert (reference["kind"], reference["name"]) == (runtime["kind"], runtime["metadata"]["name"])
    (node,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    assert node["name"] == "node"
    labels = node["template"]["metadata"]["labels"]
    assert labels == {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
    assert container(runtime)["name"] == "node"
    trainer = job["spec"]["trainer"]
    limits = trainer["resourcesPerNode"]["limits"]
    assert trainer["numProcPerNode"] == int(limits["nvidia.com/gpu"])


def test_the_arguments_are_those_of_a_run(job: dict[str, Any], runtime: dict[str, Any]) -> None:
    config, *overrides = job["spec"]["trainer"]["args"]
    assert (ROOT / config).exists()
    assert dict(item.split("=") for item in overrides)["run.dir"] == mounts(runtime)["runs"]
    assert yaml.safe_load((ROOT / config).read_text())["stage"] in SCHEMAS


def test_a_run_that_asks_for_it_is_started_again(runtime: dict[str, Any]) -> None:
    """85, or a pod that was told to go: as often as it takes. Anything else: a few times."""
    policy = runtime["spec"]["template"]["spec"]["failurePolicy"]
    assert policy["maxRestarts"] > 0
    (rule,) = policy["rules"]
    assert rule["action"] == "RestartJobSetAndIgnoreMaxRestarts"
    assert rule["onJobFailureReasons"] == ["PodFailurePolicy"]
    job = job_spec(runtime)
    on_code, on_condition = job["podFailurePolicy"]["rules"]
    assert on_code["onExitCodes"] == {
        "containerName": container(runtime)["name"],
        "operator": "In",
        "values": [EXIT_REQUEUE],
    }
    assert on_condition["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert {on_code["action"], on_condition["action"]} == {"FailJob"}
    assert job["backoffLimit"] == 0, "a pod that comes back alone finds no run"
    assert job["template"]["spec"]["restartPolicy"] == "Never", "else no podFailurePolicy"


@pytest.mark.parametrize(
    ("codes", "expected", "started"), [((0, 85), 85, 2), ((0, 0), 0, 2), ((1, 0), 1, 1)]
)
def test_the_pod_checks_then_trains_and_ends_as_the_run_does(
    runtime: dict[str, Any], tmp_path: Path, codes: tuple[int, int], expected: int, started: int
) -> None:
    calls = tmp_path / "calls"
    python = tmp_path / "python"
    case = f"case $* in *preflight*) exit {codes[0]};; *) exit {codes[1]};; esac"
    python.write_text(f"#!/bin/sh\necho $* >> {calls}\n{case}\n")
    python.chmod(0o755)
    pod = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PET_MASTER_ADDR": "n0", "PET_MASTER_PORT": "29500"}
    command = [*container(runtime)["command"], "run.yaml", "run.name=a b"]
    assert subprocess.run(command, env=pod).returncode == expected
    check = "launch/node.py --main n0:29501 -- launch/preflight.py run.yaml run.name=a b"
    train = "launch/node.py -- -m gsv2.train run.yaml run.name=a b"
    assert calls.read_text().splitlines() == [check, train][:started]
    assert "$(" not in command[2], "Kubernetes would take it for a variable of its own"


def test_a_pod_that_is_told_to_go_in_its_check_comes_back(
    runtime: dict[str, Any], tmp_path: Path
) -> None:
    """Bash as process 1 would ignore the signal: the pod would be killed, and its run fail."""
    calls, python = tmp_path / "calls", tmp_path / "python"
    python.write_text(
        f"#!/bin/sh\necho $* >> {calls}\ntrap 'sleep 0.2; echo told >> {calls}; exit 85' TERM\n"
        "sleep 20 & wait\n"
    )
    python.chmod(0o755)
    pod = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PET_MASTER_ADDR": "n0", "PET_MASTER_PORT": "29500"}
    process = subprocess.Popen([*container(runtime)["command"], "run.yaml"], env=pod)
    while not calls.exists():
        time.sleep(0.02)
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == EXIT_REQUEUE
    assert [line.split()[-1] for line in calls.read_text().splitlines()] == ["run.yaml", "told"]


@pytest.mark.parametrize(("restarts", "is_again"), [("0", False), ("2", True)])
def test_a_job_that_is_started_again_goes_on_whatever_it_began_from(
    runtime: dict[str, Any], tmp_path: Path, restarts: str, is_again: bool
) -> None:
    calls, python = tmp_path / "calls", tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho $* >> {calls}\n")
    python.chmod(0o755)
    (variable,) = container(runtime)["env"]
    where = variable["valueFrom"]["fieldRef"]["fieldPath"]
    assert where == "metadata.annotations['jobset.sigs.k8s.io/restart-attempt']"
    pod = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PET_MASTER_ADDR": "n0", "PET_MASTER_PORT": "29500"}
    command = [*container(runtime)["command"], "run.yaml", "checkpoint.resume=old"]
    subprocess.run(command, env={**pod, variable["name"]: restarts}, check=True)
    lines = calls.read_text().splitlines()
    last = "checkpoint.resume=auto" if is_again else "checkpoint.resume=old"
    assert [line.split()[-1] for line in lines] == [last] * 2


def test_a_pod_that_is_told_to_go_has_time_for_a_checkpoint(runtime: dict[str, Any]) -> None:
    assert job_spec(runtime)["template"]["spec"]["terminationGracePeriodSeconds"] >= 60
    last = container(runtime)["command"][2].strip().splitlines()[-1]
    assert last.startswith("exec "), "bash would not pass SIGTERM on"


def test_shared_memory_is_memory(runtime: dict[str, Any]) -> None:
    volumes = {
        volume["name"]: volume for volume in job_spec(runtime)["template"]["spec"]["volumes"]
    }
    assert mounts(runtime)["shared-memory"] == "/dev/shm"
    assert volumes["shared-memory"]["emptyDir"]["medium"] == "Memory"
    assert volumes.keys() == mounts(runtime).keys()


def job_spec(runtime: dict[str, Any]) -> dict[str, Any]:
    (node,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    return node["template"]["spec"]


def container(runtime: dict[str, Any]) -> dict[str, Any]:
    (only,) = job_spec(runtime)["template"]["spec"]["containers"]
    return only


def mounts(runtime: dict[str, Any]) -> dict[str, str]:
    return {mount["name"]: mount["mountPath"] for mount in container(runtime)["volumeMounts"]}
