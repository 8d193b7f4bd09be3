"""Two machines, simulated on one: `accelerate launch` twice, as each would say it.

`launch/node.py` on two nodes is in `test_slurm.py`, the check before it in `test_preflight.py`.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from safetensors.torch import load_file

from gsv2.training.checkpoints.checkpoint import find_component
from gsv2.training.distributed.ranks import Distributed
from tests.support.processes import ROOT, environment
from tests.support.toy_stage import fit_toy, torn_batch, toy_config

STEPS = 4


@pytest.mark.parametrize(
    "config",
    [
        pytest.param("multi_node.yaml", marks=pytest.mark.long),
        pytest.param("deepspeed_zero2.yaml", marks=pytest.mark.slow),
        pytest.param("deepspeed_zero3.yaml", marks=pytest.mark.slow),
    ],
)
def test_two_machines_train_as_one_process_does(tmp_path: Path, config: str) -> None:
    """Same weights after a few steps, dropout, a torn micro-batch and a validation on the way."""
    port = _free_port()
    machines = [
        _start(
            "--config_file", str(ROOT / "launch" / "accelerate" / config),
            "--machine_rank", str(rank), "--num_machines", "2", "--num_processes", "2",
            "--main_process_ip", "127.0.0.1", "--main_process_port", str(port), "--same_network",
            "-m", "tests.support.toy_stage", str(tmp_path / "two"), str(STEPS),
        )
        for rank in range(2)
    ]  # fmt: skip
    _finish(machines)
    options = {"max_steps": STEPS, "log_every_steps": 1, "validate_every_steps": 3}
    alone = toy_config(tmp_path / "one", trainer=options)
    stage, _ = fit_toy(alone, Distributed(), make_batch=torn_batch)
    for name, trainable in stage.trainables.items():
        saved = load_file(find_component(tmp_path / "two" / "run", name))
        for key, value in trainable.module.state_dict().items():
            assert (saved[key] - value).abs().max() <= 1e-5, f"{name}.{key}"


def _start(*arguments: str) -> subprocess.Popen[str]:
    return _run("-m", "accelerate.commands.launch", *arguments)


def _run(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, *arguments]
    env = {**environment(), "ACCELERATE_USE_CPU": "true"}
    return subprocess.Popen(command, cwd=ROOT, env=env, text=True, stderr=subprocess.PIPE)


def _finish(processes: Sequence[subprocess.Popen[str]]) -> None:
    try:
        errors = [process.communicate(timeout=200)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, text in zip(processes, errors, strict=True):
        assert process.returncode == 0, text


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
