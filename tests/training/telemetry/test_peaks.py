from __future__ import annotations

import pytest
import torch

from gsv2.training.telemetry.peaks import PEAKS, find_peak, peak_flops

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("NVIDIA H200", "H200"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA H100 NVL", "H100 NVL"),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA A10", "A10"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
    ],
)
def test_a_device_is_known_by_the_name_that_the_driver_gives_it(device: str, name: str) -> None:
    assert find_peak(device) == PEAKS[name]


@pytest.mark.parametrize("device", ["NVIDIA L400", "Tesla X", "NVIDIA A1000", ""])
def test_a_device_that_is_not_known_has_no_peak(device: str) -> None:
    assert find_peak(device) is None


def test_a_cpu_has_a_peak_only_if_the_config_gives_one() -> None:
    assert peak_flops(CPU, torch.float32, None) == 0.0
    assert peak_flops(CPU, torch.float32, 0.5) == 5e11


def test_the_peak_is_that_of_the_dtype(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA A100-SXM4-40GB")
    gpu = torch.device("cuda")
    assert peak_flops(gpu, torch.bfloat16, None) == 312e12
    assert peak_flops(gpu, torch.float32, None) == 19.5e12
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "high")
    assert peak_flops(gpu, torch.float32, None) == 156e12
