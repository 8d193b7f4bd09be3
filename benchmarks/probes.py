"""The machine under a benchmark: what it is, and how fast it is right now.

Four probes, each the best of many tries on one thread, so that what moves is the machine and not
chance: fp32 matrix product, memcpy beyond the caches, FLAC decoding, reading a cached file.
"""

from __future__ import annotations

import importlib.metadata
import io
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import soundfile
import torch

_MATRIX = 1024
_COPY_BYTES = 64 << 20
_FLAC_SEC = 8.0
_FLAC_RATE_HZ = 32_000
_TRIES = 20
_PACKAGES = ("torch", "numpy", "pyarrow", "soundfile", "orjson", "webdataset", "lhotse")
_FLAGS = ("fma", "avx2", "avx512", "amx", "asimd", "sve")


def probe_machine(*, quick: bool = False) -> dict[str, float]:
    """Return the speed of the machine now: name with unit -> value, larger is faster.

    Args:
        quick: one try each, for smoke tests.
    """
    with tempfile.NamedTemporaryFile() as file:
        probes = {
            "fp32 matrix product, GFLOP/s": _matrix_probe(),
            "memcpy, GB/s": _copy_probe(),
            "FLAC decode, x real time": _flac_probe(),
            "raw read, GB/s": _read_probe(file),
        }
        best = dict.fromkeys(probes, 0.0)
        for _ in range(1 if quick else _TRIES):  # in turn, so that a short disturbance hits all
            for name, (amount, run) in probes.items():
                run()
                start = time.process_time()
                run()
                best[name] = max(best[name], amount / (time.process_time() - start))
    return best


def describe_machine() -> dict[str, object]:
    """Return processor, its vector flags, cores, threads and versions of packages."""
    model, flags = platform.processor(), set[str]()
    cpuinfo = Path("/proc/cpuinfo")
    for line in cpuinfo.read_text().splitlines() if cpuinfo.is_file() else ():
        name, _, value = (part.strip() for part in line.partition(":"))
        model = value if name == "model name" else model
        if name in ("flags", "Features"):
            flags |= {flag for flag in value.split() if flag.startswith(_FLAGS)}
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "absent"
    return {
        "processor": model,
        "flags": sorted(flags),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "absent",
        "torch threads": torch.get_num_threads(),
        "system": platform.platform(),
        "versions": versions,
    }


Probe = tuple[float, Callable[[], object]]
"""Amount of work, and what does it."""


def _matrix_probe() -> Probe:
    matrix = torch.ones(_MATRIX, _MATRIX)
    return 2e-9 * _MATRIX**3, lambda: matrix @ matrix


def _copy_probe() -> Probe:
    source = np.ones(_COPY_BYTES, dtype=np.uint8)
    target = np.empty_like(source)
    return 1e-9 * _COPY_BYTES, lambda: np.copyto(target, source)


def _flac_probe() -> Probe:
    noise = 0.1 * np.random.default_rng(0).standard_normal(int(_FLAC_SEC * _FLAC_RATE_HZ))
    file = io.BytesIO()
    soundfile.write(file, noise.astype(np.float32), _FLAC_RATE_HZ, format="FLAC")
    content = file.getvalue()
    return _FLAC_SEC, lambda: soundfile.read(io.BytesIO(content), dtype="float32")


def _read_probe(file: IO[bytes]) -> Probe:
    file.write(bytes(_COPY_BYTES))
    file.flush()
    buffer = bytearray(_COPY_BYTES)

    def read() -> None:
        os.preadv(file.fileno(), [buffer], 0)

    return 1e-9 * _COPY_BYTES, read
