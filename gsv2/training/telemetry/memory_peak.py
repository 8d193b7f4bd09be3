"""Memory peak between two moments: of a GPU, or of this process on the host."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch

from gsv2.heap import give_back_memory

_FORGET = Path("/proc/self/clear_refs")
_FORGET_PEAK = "5"
"""See proc_pid_clear_refs(5)."""
_STATUS = Path("/proc/self/status")
_PEAK = "VmHWM:"
_KIB = 2**10


def begin_peak(device: torch.device) -> None:
    """Forget the peaks so far.

    That of the host is Linux's to forget; elsewhere, and where it may not be told to,
    `read_peak` is of the whole life of the process.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    give_back_memory()
    if _FORGET.exists():
        with suppress(PermissionError):  # in a sandbox
            _FORGET.write_text(_FORGET_PEAK)


def read_peak(device: torch.device) -> float:
    """Return the most bytes since `begin_peak` that a GPU's tensors, or this process, took.

    Of a process, memory counts that was written to.
    """
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith(_PEAK):
                return float(line.split()[1]) * _KIB
    unit = 1 if sys.platform == "darwin" else _KIB
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * unit
