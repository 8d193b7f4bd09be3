from __future__ import annotations

import resource
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch

import gsv2
from gsv2.preflight.machine import (
    check_devices,
    check_limits,
    check_shared_memory,
    code_facts,
    device_facts,
    environment_facts,
    require_devices,
    version_facts,
)

CPU = torch.device("cpu")
GPU = torch.device("cuda:0")
GIB = 2**30
Usage = namedtuple("Usage", "total used free")


def test_code_is_told_apart_by_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "gsv2"
    shutil.copytree(Path(gsv2.__file__).parent / "nn", package / "nn")
    init = package / "__init__.py"
    init.touch()
    here = code_facts()
    monkeypatch.setattr(gsv2, "__file__", str(init))
    before = code_facts()
    assert before != here
    assert code_facts() == before
    (package / "nn" / "masks.py").write_text("# edited on one machine\n")
    edited = code_facts()
    assert edited != before
    (package / "nn" / "masks.py").rename(package / "nn" / "mask.py")
    assert code_facts() != edited


def test_versions_are_those_of_what_computes() -> None:
    facts = version_facts()
    assert facts["torch"].startswith(torch.__version__.split("+")[0])
    assert {"python", "cuda", "accelerate", "deepspeed"} <= facts.keys()


def test_the_environment_that_counts_is_that_of_the_network() -> None:
    own = {"RANK": "1", "WANDB_API_KEY": "secret", "MASTER_ADDR": "h"}
    assert environment_facts({**own, "NCCL_IB_HCA": "mlx5"}) == {"NCCL_IB_HCA": "mlx5"}


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Two GPUs of 80 GiB, of which 79 are free."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (79 * GIB, 80 * GIB))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "H200")
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(16)))
    return monkeypatch


def test_a_rank_has_a_gpu_of_its_own(gpus: pytest.MonkeyPatch) -> None:
    require_devices(2, on_cpu=False)
    require_devices(3, on_cpu=True)
    with pytest.raises(ValueError, match=r"3 ranks on .*, but 2 GPUs are visible"):
        require_devices(3, on_cpu=False)
    assert device_facts(GPU) == {"device": "H200"}


def test_a_machine_whose_gpus_are_not_seen_does_not_compute_on_its_cores(
    gpus: pytest.MonkeyPatch,
) -> None:
    """The others would wait for it with another backend."""
    gpus.setattr(torch.cuda, "device_count", lambda: 0)
    require_devices(8, on_cpu=False)
    require_devices(8, on_cpu=True, granted=8)
    with pytest.raises(ValueError, match=r"8 GPUs of .* were given to this run, but torch sees"):
        require_devices(8, on_cpu=False, granted=8)


def test_devices_that_fit_are_described(gpus: pytest.MonkeyPatch) -> None:
    found = check_devices(GPU, 2, workers=2)
    assert found == ("devices", "ok", "2 GPUs, 80 GiB each, 16 cores")


def test_gpus_that_stand_idle_or_are_taken_are_warned_of(gpus: pytest.MonkeyPatch) -> None:
    assert check_devices(GPU, 1, workers=0).detail == "1 of 2 GPUs stand idle"
    assert "its GPUs stand idle" in check_devices(CPU, 1, workers=0).detail
    gpus.setattr(torch.cuda, "mem_get_info", lambda device: (40 * GIB, 80 * GIB))
    found = check_devices(GPU, 2, workers=0)
    assert found == ("devices", "warn", "cuda:0: 40.0 GiB are taken already")


def test_a_rank_bound_to_one_core_is_warned_of(gpus: pytest.MonkeyPatch) -> None:
    """What srun does without --cpus-per-task."""
    gpus.setattr("os.sched_getaffinity", lambda pid: {0})
    found = check_devices(GPU, 2, workers=4)
    assert found.status == "warn"
    assert "10 processes share 1 cores" in found.detail


@pytest.mark.parametrize(
    ("free_mib", "workers", "status"), [(64, 2, "fail"), (64, 0, "warn"), (512, 2, "ok")]
)
def test_the_shared_memory_of_a_container_is_too_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_mib: int, workers: int, status: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, free_mib * 2**20))
    found = check_shared_memory(2, workers, tmp_path)
    assert found.status == status
    assert str(free_mib) in found.detail


def test_a_machine_without_shared_memory_files_is_fine(tmp_path: Path) -> None:
    assert check_shared_memory(2, 2, tmp_path / "none").status == "ok"


@pytest.mark.parametrize(
    ("files", "status"), [(256, "fail"), (1024, "warn"), (4096, "ok"), (-1, "ok")]
)
def test_open_files_are_limited(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: int, status: str
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (files, -1))
    assert check_limits(2, tmp_path).status == status


def test_infiniband_needs_locked_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limits = {resource.RLIMIT_NOFILE: 65536, resource.RLIMIT_MEMLOCK: 8 << 20}
    monkeypatch.setattr(resource, "getrlimit", lambda what: (limits[what], -1))
    assert check_limits(2, tmp_path).status == "ok"
    (tmp_path / "mlx5_0").touch()
    assert check_limits(1, tmp_path).status == "ok"
    assert check_limits(2, tmp_path).detail == "ulimit -l is 8192, but InfiniBand wants unlimited"
