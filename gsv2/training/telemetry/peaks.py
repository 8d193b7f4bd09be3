"""Peak speeds of devices: the denominator of MFU (model FLOPs utilisation).

Dense matrix products, without sparsity, from the makers' data sheets.
"""

from __future__ import annotations

from typing import NamedTuple

import torch


class Peak(NamedTuple):
    """TFLOP/s of one device."""

    half: float
    """bf16 and fp16."""
    tf32: float
    fp32: float


PEAKS = {
    "B200": Peak(2250.0, 1125.0, 75.0),
    "GH200": Peak(989.4, 494.7, 66.9),
    "H200": Peak(989.4, 494.7, 66.9),
    "H100 NVL": Peak(835.0, 417.5, 60.0),
    "H100 PCIe": Peak(756.0, 378.0, 51.2),
    "H100": Peak(989.4, 494.7, 66.9),
    "H800": Peak(989.4, 494.7, 66.9),
    "A100": Peak(312.0, 156.0, 19.5),
    "A800": Peak(312.0, 156.0, 19.5),
    "L40S": Peak(362.1, 183.2, 91.6),
    "L4": Peak(121.0, 60.0, 30.3),
    "A40": Peak(149.7, 74.8, 37.4),
    "A10": Peak(125.0, 62.5, 31.2),
    "RTX 4090": Peak(165.2, 82.6, 82.6),
    "RTX 3090": Peak(71.0, 35.6, 35.6),
}
"""Part of a device's name -> its peak; the first that fits counts, and whole words only."""
_TERA = 1e12


def find_peak(device_name: str) -> Peak | None:
    """Return the peak of a device by its name (`NVIDIA H100 80GB HBM3`); None if it is unknown."""
    words = device_name.replace("-", " ").split()
    for name, peak in PEAKS.items():
        if set(name.split()) <= set(words):
            return peak
    return None


def peak_flops(device: torch.device, dtype: torch.dtype, override_tflops: float | None) -> float:
    """Return FLOP/s of one device in matrix products of `dtype`; 0 if nobody knows.

    A CPU has no entry: its peak is a matter of cores, clock and memory.

    Args:
        dtype: dtype that the products are computed in.
        override_tflops: `tracking.peak_tflops`, for every dtype.
    """
    if override_tflops is not None:
        return override_tflops * _TERA
    peak = find_peak(torch.cuda.get_device_name(device)) if device.type == "cuda" else None
    if peak is None:
        return 0.0
    if dtype in (torch.bfloat16, torch.float16):
        return peak.half * _TERA
    is_tf32 = torch.get_float32_matmul_precision() != "highest"
    return (peak.tf32 if is_tf32 else peak.fp32) * _TERA
