"""Start processes as users do, in a clean environment."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
ANNOUNCEMENTS = ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning")
WARNINGS = ("-W", "error", *(part for kind in ANNOUNCEMENTS for part in ("-W", f"once::{kind}")))
"""Warnings are errors, as in the suite itself, but for a library's announcement of a change."""
LAUNCHER_KEYS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def environment() -> dict[str, str]:
    """Return the environment of a process without ranks, on one thread."""
    own = {key: value for key, value in os.environ.items() if key not in LAUNCHER_KEYS}
    return {**own, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def start_two_ranks(module: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start a module on two CPU ranks through `accelerate launch`, on a free port."""
    config = ROOT / "launch" / "accelerate" / "cpu_2ranks.yaml"
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config),
        "--main_process_port", str(free_port()), "-m", module, *arguments,
    ]  # fmt: skip
    return _start(command, {**environment(), "ACCELERATE_USE_CPU": "true", **variables})


def start_deepspeed_ranks(
    ranks: int, module: str, *arguments: str, options: Sequence[str] = ("--zero_stage", "3")
) -> subprocess.Popen[str]:
    """Start a module through `accelerate launch --use_deepspeed` with options of DeepSpeed's."""
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--use_deepspeed", *options,
        "--num_machines", "1", "--num_processes", str(ranks), "--mixed_precision", "no",
        "--dynamo_backend", "no", "--main_process_port", str(free_port()), "-m", module, *arguments,
    ]  # fmt: skip
    return _start(command, {**environment(), "ACCELERATE_USE_CPU": "true"})


def start_torchrun(
    ranks: int, module: str, *arguments: str, **variables: str
) -> subprocess.Popen[str]:
    """Start a module on CPU ranks through `torchrun`, on a free port."""
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(ranks),
        "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", "-m", module, *arguments,
    ]  # fmt: skip
    return _start(command, {**environment(), "ACCELERATE_USE_CPU": "true", **variables})


def finish(process: subprocess.Popen[str], timeout_sec: float = 300.0) -> str:
    """Wait for success; return what was written to stderr."""
    try:
        _, errors = process.communicate(timeout=timeout_sec)
    finally:
        end(process)
    assert process.returncode == 0, errors
    return errors


def finish_together(processes: Sequence[subprocess.Popen[str]], timeout_sec: float = 300.0) -> None:
    """Wait for the success of processes that wait for one another: the first failure ends all.

    What one of them writes to stderr must fit into a pipe.
    """
    deadline = time.monotonic() + timeout_sec
    try:
        while not any(process.poll() for process in processes) and time.monotonic() < deadline:
            if all(process.poll() == 0 for process in processes):
                break
            time.sleep(0.05)
        codes = [process.poll() for process in processes]
    finally:
        for process in processes:
            end(process)
    errors = [process.communicate()[1] for process in processes]
    assert not any(code != 0 for code in codes), "\n".join([f"exit codes {codes}", *errors])


def end(process: subprocess.Popen[str]) -> None:
    """Kill a process, unless it has ended, with all that it has started.

    That is more than its process group: torchrun gives each rank a session of its own.
    """
    if process.poll() is not None:
        return
    started = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGKILL)
    for child in started:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    process.wait()


def _start(command: Sequence[str], env: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, cwd=ROOT, env=env, text=True, stderr=subprocess.PIPE, start_new_session=True
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
