"""Facts and limits of the machine of a rank: code, versions, devices, memory, open files."""

from __future__ import annotations

import hashlib
import os
import platform
import resource
import shutil
from collections.abc import Mapping
from pathlib import Path

import psutil
import torch

import gsv2
from gsv2.libraries import recorded_versions
from gsv2.openmp import num_cores
from gsv2.preflight.report import Finding

SHARED_MEMORY = Path("/dev/shm")
LEAST_SHARED_MIB = 256
"""Shared memory of each rank with data workers: batches on their way, and NCCL's buffers."""
LEAST_FILES = 1024
WANTED_FILES = 4096
_INFINIBAND = Path("/sys/class/infiniband")
_ENVIRONMENT = ("NCCL_", "GLOO_", "TORCH_", "PYTORCH_", "DS_", "FI_", "UCX_")
"""Beginnings of variables that change how ranks talk or compute."""
_MIB = 2**20
_GIB = 2**30
_MOSTLY = 0.9


def code_facts() -> dict[str, str]:
    """Return a hash of the package's files, whatever they were installed from."""
    root = Path(gsv2.__file__).parent
    digest = hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        digest.update(f"{file.relative_to(root)}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return {"gsv2": digest.hexdigest()[:12]}


def version_facts() -> dict[str, str]:
    """Return the versions of what a run computes with."""
    versions = {"python": platform.python_version(), "cuda": torch.version.cuda or "none"}
    if torch.cuda.is_available():
        versions["nccl"] = ".".join(map(str, torch.cuda.nccl.version()))
    return versions | recorded_versions()


def environment_facts(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables that change how ranks talk; those of one rank's own are none."""
    return {key: value for key, value in environ.items() if key.startswith(_ENVIRONMENT)}


def device_facts(device: torch.device) -> dict[str, str]:
    """Return what this rank computes on."""
    is_gpu = device.type == "cuda"
    return {"device": torch.cuda.get_device_name(device) if is_gpu else platform.machine()}


def require_devices(local_ranks: int, *, on_cpu: bool, granted: int = 0) -> None:
    """Check that every rank of this machine has a GPU of its own, before they meet.

    Args:
        local_ranks: ranks of this machine.
        on_cpu: whether they are to compute on its cores.
        granted: GPUs that the scheduler gave this machine; 0 if it says nothing of them.

    Raises:
        ValueError: there are fewer GPUs than ranks, or none of those that were given.
    """
    gpus = torch.cuda.device_count()
    if not on_cpu and granted and not gpus:
        raise ValueError(
            f"{granted} GPUs of {platform.node()} were given to this run, but torch sees none "
            "there; its driver is down, or torch is built for CPUs or another CUDA"
        )
    if not on_cpu and 0 < gpus < local_ranks:
        raise ValueError(
            f"{local_ranks} ranks on {platform.node()}, but {gpus} GPUs are visible there; start "
            "as many ranks as GPUs, or set ACCELERATE_USE_CPU=true"
        )


def check_devices(device: torch.device, local_ranks: int, workers: int) -> Finding:
    """Compare the devices of this machine with its ranks.

    Args:
        device: device of this rank.
        local_ranks: ranks of this machine.
        workers: data workers of each.
    """
    cores = num_cores()
    wanted = local_ranks * (1 + workers)
    few = f"; {wanted} processes share {cores} cores" if wanted > cores else ""
    if device.type != "cuda":
        idle = "; its GPUs stand idle" if torch.cuda.is_available() else ""
        detail = f"{local_ranks} ranks on {cores} cores{idle or few}"
        return Finding("devices", "warn" if idle else "ok", detail)
    gpus = torch.cuda.device_count()
    free, total = torch.cuda.mem_get_info(device)
    if free < _MOSTLY * total:
        taken = (total - free) / _GIB
        return Finding("devices", "warn", f"{device}: {taken:.1f} GiB are taken already")
    if gpus > local_ranks:
        return Finding("devices", "warn", f"{gpus - local_ranks} of {gpus} GPUs stand idle")
    detail = f"{gpus} GPUs, {total / _GIB:.0f} GiB each, {cores} cores"
    return Finding("devices", "warn" if few else "ok", detail + few)


def check_shared_memory(local_ranks: int, workers: int, where: Path = SHARED_MEMORY) -> Finding:
    """Check that batches of the data workers fit; a container has 64 MiB unless told otherwise."""
    name = "shared memory"
    if not where.is_dir():
        return Finding(name, "ok", f"no {where} here")
    free_mib = shutil.disk_usage(where).free // _MIB
    wanted_mib = LEAST_SHARED_MIB * local_ranks
    if free_mib >= wanted_mib:
        return Finding(name, "ok", f"{free_mib} MiB free in {where}")
    detail = f"{free_mib} MiB free in {where}, but {local_ranks} ranks should have {wanted_mib}"
    mend = "docker run --shm-size, or an emptyDir of medium Memory"
    return Finding(name, "fail" if workers else "warn", f"{detail} ({mend})")


def check_limits(nodes: int, infiniband: Path = _INFINIBAND) -> Finding:
    """Check how many files a process may open, and how much memory RDMA may lock."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    locked, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    unlimited = resource.RLIM_INFINITY
    if files != unlimited and files < WANTED_FILES:
        detail = f"ulimit -n is {files}, but should be {WANTED_FILES} or more"
        return Finding("limits", "fail" if files < LEAST_FILES else "warn", detail)
    uses_rdma = nodes > 1 and infiniband.is_dir() and any(infiniband.iterdir())
    if uses_rdma and locked != unlimited:
        kib = locked // 1024
        return Finding("limits", "warn", f"ulimit -l is {kib}, but InfiniBand wants unlimited")
    shown = "unlimited" if files == unlimited else str(files)
    return Finding("limits", "ok", f"{shown} open files")


def device_free_bytes() -> int:
    """Return the free memory of the first GPU; of the host where there is none."""
    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info(0)[0])
    return int(psutil.virtual_memory().available)
